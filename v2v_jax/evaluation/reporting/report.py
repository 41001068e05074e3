"""One self-contained HTML file about a run: figures, clips, pictures, tables, curves, config.

Nothing is loaded from anywhere: pictures and clips are inlined, curves are SVG, there is no
script.  So the file can be mailed, attached to an issue, and read in ten years.
"""

from __future__ import annotations

import base64
import html
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from v2v_jax.evaluation.reporting.curves import curve_svg, read_metrics
from v2v_jax.evaluation.reporting.verdicts import Row, Verdict, format_cell
from v2v_jax.evaluation.reporting.whole_files import write_whole

CURVE_GROUPS = {
    "eval": "Evaluation during training",
    "loss": "Losses, by player",
    "term": "Loss terms, unweighted",
    "grad_norm": "Gradient norms, by player",
}
"""Titles by the part of a name before its slash; other names come under "Other"."""


def write_report(
    path: Path,
    *,
    title: str,
    config: Mapping[str, Any],
    metrics_jsonl: Path | None,
    scores: Sequence[Verdict],
    tables: Mapping[str, Sequence[Row]] | None = None,
    pictures: Mapping[str, np.ndarray] | None = None,
    clips: Mapping[str, bytes] | None = None,
    notes: Sequence[str] = (),
    facts: Mapping[str, str | float] | None = None,
) -> None:
    """Writes the report, atomically.

    Args:
        path: the HTML file; its folder is made.
        title: heading.
        config: nested dict of plain values, shown in full.
        metrics_jsonl: see ``curves.read_metrics``; None leaves the curves out.
        scores: headline figures against their thresholds, from ``verdicts.verdicts``.
        tables: caption -> rows; columns are the rows' keys, in order of appearance.
        pictures: caption -> uint8 [H, W], [H, W, 3], or [T, H, W, 3] for a film strip.
        clips: caption -> the bytes of a GIF, MP4 or WebM file.
        notes: what a reader must not miss, shown first and loudly.
        facts: small figures without a threshold, under the heading.

    Raises:
        FileNotFoundError: no metrics file.
        ValueError: a picture or clip of an unknown form.
    """
    parts = [
        _header(title, scores, facts or {}),
        _notes(notes),
        _headlines(scores),
        _section("The clip", _clips(clips or {})),
        _section("Pictures", _pictures(pictures or {})),
        _section("Evaluation", "".join(_table(c, rows) for c, rows in (tables or {}).items())),
        _section("Curves", "" if metrics_jsonl is None else _curves(metrics_jsonl)),
        _section("Configuration", _config(config)),
    ]
    body = "\n".join(part for part in parts if part)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    write_whole(path, page)


def _header(title: str, scores: Sequence[Verdict], facts: Mapping[str, str | float]) -> str:
    failed = sum(not score.passed for score in scores)
    badge = ""
    if scores:
        text = f"{failed} of {len(scores)} checks failed" if failed else "all checks passed"
        badge = f'<span class="badge {"bad" if failed else "good"}">{text}</span>'
    items = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(format_cell(value))}</dd></div>"
        for name, value in facts.items()
    )
    return f"<header><h1>{html.escape(title)}</h1>{badge}<dl>{items}</dl></header>"


def _notes(notes: Sequence[str]) -> str:
    return "".join(
        f'<p class="note"><strong>Note</strong> {html.escape(note)}</p>' for note in notes
    )


def _headlines(scores: Sequence[Verdict]) -> str:
    cards = "".join(
        f'<div class="card {"good" if score.passed else "bad"}">'
        f'<div class="state">{"✓ pass" if score.passed else "✗ FAILURE"}</div>'
        f'<div class="figure">{score.value:.3g}</div>'
        f'<div class="name">{html.escape(score.name)}</div>'
        f'<div class="limit">{"at least" if score.at_least else "at most"} {score.threshold:g}'
        f"{'' if score.passed else ' – ' + html.escape(score.meaning)}</div></div>"
        for score in scores
    )
    return f'<section class="cards">{cards}</section>' if cards else ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def _clips(clips: Mapping[str, bytes]) -> str:
    return "".join(
        f'<figure class="clip">{_clip(name, data)}<figcaption>{html.escape(name)}</figcaption>'
        "</figure>"
        for name, data in clips.items()
    )


def _clip(name: str, data: bytes) -> str:
    text = base64.b64encode(data).decode()
    if data.startswith(b"GIF8"):
        return f'<img alt="{html.escape(name)}" src="data:image/gif;base64,{text}">'
    for kind, sign in (("mp4", data[4:8] == b"ftyp"), ("webm", data[:4] == b"\x1aE\xdf\xa3")):
        if sign:
            source = f'src="data:video/{kind};base64,{text}"'
            return f"<video autoplay loop muted playsinline controls {source}></video>"
    raise ValueError(f"report: clip '{name}' is neither GIF, MP4 nor WebM")


def _pictures(pictures: Mapping[str, np.ndarray]) -> str:
    return "".join(
        f'<figure class="picture {"strip" if picture.ndim == 4 else "single"}">'
        f'<img alt="{html.escape(name)}" src="data:image/png;base64,{_png(name, picture)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, picture in pictures.items()
    )


def _png(name: str, picture: np.ndarray) -> str:
    if picture.dtype != np.uint8 or not (
        picture.ndim == 2 or (picture.ndim in (3, 4) and picture.shape[-1] == 3)
    ):
        raise ValueError(
            f"report: picture '{name}' must be uint8 [H, W], [H, W, 3] or [T, H, W, 3], "
            f"got {picture.dtype} {picture.shape}"
        )
    if picture.ndim == 4:
        picture = _film_strip(picture)
    # OpenCV writes blue first.
    done, data = cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)
    if not done:
        raise ValueError(f"report: picture '{name}' could not be encoded")
    return base64.b64encode(data.tobytes()).decode()


def _film_strip(frames: np.ndarray) -> np.ndarray:
    """[T, H, W, 3] -> [H, T * (W + gap) - gap, 3] with white gaps."""
    gap = max(frames.shape[2] // 64, 1)
    spaced = np.pad(frames, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate(list(spaced), axis=1)[:, :-gap]


def _table(caption: str, rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(format_cell(row.get(name, float('nan'))))}</td>" for name in columns
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption>'
        f"<thead>{_head(columns)}</thead><tbody>{body}</tbody></table></div>"
    )


def _head(columns: Sequence[str]) -> str:
    """One header row; two where names have a slash: "a/x", "a/y" share a heading "a"."""
    groups = [
        (group, [name.split("/", 1)[1] for name in names] if "/" in names[0] else [])
        for group, names in (
            (group, list(names))
            for group, names in itertools.groupby(columns, lambda name: name.split("/")[0])
        )
    ]
    top = "".join(
        f'<th class="group" colspan="{len(names)}">{_words(group)}</th>'
        if names
        else f'<th rowspan="2">{_words(group)}</th>'
        for group, names in groups
    )
    below = "".join(f"<th>{_words(name)}</th>" for _, names in groups for name in names)
    return f"<tr>{top}</tr><tr>{below}</tr>"


def _words(name: str) -> str:
    return html.escape(name.replace("_", " ").replace("iou", "IoU"))


def _curves(metrics_jsonl: Path) -> str:
    curves = read_metrics(metrics_jsonl)
    groups: dict[str, list[str]] = {title: [] for title in (*CURVE_GROUPS.values(), "Other")}
    for name in curves:
        groups[CURVE_GROUPS.get(name.split("/")[0], "Other")].append(name)
    return "".join(
        f'<h3>{title}</h3><div class="curves">{"".join(_plot(n, curves[n]) for n in names)}</div>'
        for title, names in groups.items()
        if names
    )


def _plot(name: str, curve: tuple[np.ndarray, np.ndarray]) -> str:
    known = curve[1][np.isfinite(curve[1])]
    last = f"<b>{known[-1]:.4g}</b>" if known.size else "<b>no value</b>"
    short = html.escape(name.split("/", 1)[-1])
    return f"<figure><figcaption>{short} {last}</figcaption>{curve_svg(name, curve)}</figure>"


def _config(config: Mapping[str, Any]) -> str:
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, value in _flattened(config):
        groups.setdefault(name.split(".")[0] if "." in name else "", []).append((name, value))
    lists = "".join(
        "<dl>"
        + "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(repr(value))}</dd>"
            for name, value in entries
        )
        + "</dl>"
        for entries in groups.values()
    )
    return f'<div class="config">{lists}</div>' if lists else ""


def _flattened(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat += _flattened(value, f"{prefix}{name}.")
        else:
            flat.append((prefix + name, value))
    return flat


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5d6778; --line: #dde2ea; --page: #f5f6f9;
  --card: #fff; --accent: #2f62c9; --good: #1b7f4b; --bad: #c0262d; --warn: #8a5a00;
  --warn-page: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #9aa5b8; --line: #333c4c;
  --page: #12161d; --card: #1b212b; --accent: #7fa7ff; --good: #57c98c; --bad: #ff7b7b;
  --warn: #ffd27a; --warn-page: #3a2f14; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; margin-bottom: 18px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; padding-bottom: 6px; border-bottom: 1px solid
  var(--line); }
h3 { font-size: 14px; margin: 20px 0 8px; color: var(--soft); font-weight: 600; }
header dl { display: flex; flex-wrap: wrap; gap: 4px 26px; margin: 0; flex-basis: 100%; }
header dt { display: inline; color: var(--soft); } header dd { display: inline; margin: 0 0 0 6px;
  font-weight: 600; }
.badge { padding: 3px 12px; border-radius: 99px; color: var(--card); font-weight: 600;
  font-size: 13px; }
.badge.good { background: var(--good); } .badge.bad { background: var(--bad); }
.note { background: var(--warn-page); color: var(--warn); border-left: 4px solid currentColor;
  border-radius: 4px; padding: 10px 14px; margin: 10px 0; }
.note strong { text-transform: uppercase; font-size: 12px; letter-spacing: .06em;
  margin-right: 8px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px;
  margin-top: 20px; }
.card { background: var(--card); border: 1px solid var(--line); border-top: 4px solid;
  border-radius: 8px; padding: 12px 16px; }
.card.good { border-top-color: var(--good); } .card.bad { border-top-color: var(--bad); }
.state { font-size: 12px; font-weight: 700; } .good .state { color: var(--good); }
.bad .state, .bad .figure { color: var(--bad); }
.figure { font-size: 30px; font-weight: 650; line-height: 1.25; }
.name { font-weight: 600; line-height: 1.35; } .limit { color: var(--soft); font-size: 13px; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: 13px; margin-top: 4px; }
.clip { margin-bottom: 16px; } .clip img, .clip video { width: 100%; border-radius: 6px;
  display: block; image-rendering: pixelated; }
.picture { margin: 0 14px 14px 0; } .picture img { width: 100%; display: block;
  border-radius: 4px; image-rendering: pixelated; }
.picture.single { display: inline-block; width: calc(33.3% - 14px); vertical-align: top; }
.wide { overflow-x: auto; margin-bottom: 20px; background: var(--card); border: 1px solid
  var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 10px 14px; }
th, td { padding: 6px 10px; text-align: right; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; line-height: 1.3; }
th:first-child, td:first-child { text-align: left; padding-left: 14px; }
thead tr + tr th:first-child { text-align: right; padding-left: 10px; }
th.group { text-align: center; border-left: 1px solid var(--line); border-right: 1px solid
  var(--line); } thead tr + tr th { border-top: 0; padding-top: 0; font-weight: 400; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 12px; }
.curves figure { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 8px 10px 2px; }
.curves figcaption { display: flex; justify-content: space-between; margin: 0 4px 2px;
  overflow-wrap: anywhere; }
.curves b { color: var(--ink); } svg { width: 100%; display: block; }
.grid { stroke: var(--line); } .tick { fill: var(--soft); font-size: 10px; }
.faint { fill: none; stroke: var(--accent); opacity: .3; } .dot { fill: var(--accent); }
.bold { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.config { columns: 2 380px; column-gap: 32px; font: 12.5px/1.6 ui-monospace, "DejaVu Sans Mono",
  monospace; }
.config dl { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 12px;
  margin: 0 0 14px; break-inside: avoid; }
.config dt { color: var(--soft); overflow-wrap: anywhere; } .config dd { margin: 0;
  overflow-wrap: anywhere; }
"""
