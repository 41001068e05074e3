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
from typing import Any, NamedTuple

import cv2
import numpy as np

from v2v_jax.evaluation.reporting.curves import curve_svg, read_metrics
from v2v_jax.evaluation.reporting.rows import Row, format_cell
from v2v_jax.evaluation.reporting.style import STYLE
from v2v_jax.evaluation.reporting.verdicts import Verdict, meaning_checked, summary
from v2v_jax.evaluation.reporting.whole_files import write_whole

CURVE_GROUPS = {
    "eval": "Evaluation during training",
    "loss": "Losses, by player",
    "term": "Loss terms, unweighted",
    "grad_norm": "Gradient norms, by player",
}
"""Titles by the part of a name before its slash; other names come under "Other"."""


class Section(NamedTuple):
    """Pictures and tables under one heading, as ``write_report`` takes them."""

    pictures: Mapping[str, np.ndarray]
    tables: Mapping[str, Sequence[Row]]
    clips: Mapping[str, bytes] = {}


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
    truth: Section | None = None,
    beside: Section | None = None,
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
        truth: how far the output is from the truth, where there is one.
        beside: another run and the truth next to this one, shown before the figures.
        notes: what a reader must not miss, shown first and loudly.
        facts: small figures without a threshold, under the heading.

    Raises:
        FileNotFoundError: no metrics file.
        ValueError: a picture or clip of an unknown form.
    """
    parts = [
        _header(title, scores, facts or {}),
        _notes(notes),
        _section("Side by side", "" if beside is None else _shown(*beside)),
        _section("Checks", _headlines(scores)),
        _section("Distance to the truth", "" if truth is None else _shown(*truth)),
        _section("The clip", _clips(clips or {})),
        _section("Pictures", _pictures(pictures or {})),
        _section("Evaluation", _shown({}, tables or {})),
        _section("Curves", "" if metrics_jsonl is None else _curves(metrics_jsonl)),
        _section("Configuration", _config(config)),
    ]
    body = "\n".join(part for part in parts if part)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    write_whole(path, page)


def _header(title: str, scores: Sequence[Verdict], facts: Mapping[str, str | float]) -> str:
    failed = sum(not score.passed for score in scores)
    badge = ""
    if scores:
        good = not failed and meaning_checked(scores)
        badge = f'<span class="badge {"good" if good else "bad"}">{summary(scores)}</span>'
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
    return f'<div class="cards">{cards}</div>' if cards else ""


def _shown(
    pictures: Mapping[str, np.ndarray],
    tables: Mapping[str, Sequence[Row]],
    clips: Mapping[str, bytes] | None = None,
) -> str:
    found = "".join(_table(caption, rows) for caption, rows in tables.items() if rows)
    return _clips(clips or {}) + _pictures(pictures) + found


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def _clips(clips: Mapping[str, bytes]) -> str:
    return "".join(
        f'<figure class="clip">{_clip(name, data)}{_clip_caption(name)}</figure>'
        for name, data in clips.items()
    )


def _clip_caption(name: str) -> str:
    """Of "a | b", videos side by side, every name stands under its own."""
    names = "".join(f"<span>{html.escape(part)}</span>" for part in name.split(" | "))
    return f'<figcaption class="columns">{names}</figcaption>'


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
