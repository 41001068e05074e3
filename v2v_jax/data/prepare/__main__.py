"""The command line: ``python -m v2v_jax.data.prepare viper --raw=zips --out=prepared/viper``."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from v2v_jax.data.media.resample import FITS, Resampler
from v2v_jax.data.prepare import engine, films, finish, frames, summary, triplets
from v2v_jax.data.prepare.progress import say
from v2v_jax.data.prepare.work import Job
from v2v_jax.data.raw import cityscapes, class_maps, recyclegan, viper


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one preparation; what is wrong with the user's input is one line and exit code 1."""
    args = parse(argv)
    former = signal.signal(signal.SIGTERM, _terminated)
    try:
        prepare(args)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(_readable(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        signal.signal(signal.SIGTERM, former)


def prepare(args: argparse.Namespace) -> None:
    """Looks, then works, then publishes."""
    out = pathlib.Path(args.out)
    say(f"looking through {args.raw}")
    job = KINDS[args.kind][0](args)
    print(summary.found(job), flush=True)
    if args.dry_run:
        print(summary.skips(job.skipped))
        have = sum(engine.finished(s, engine.work_folder_name(out)) is not None for s in job.shards)
        print(
            f"{job.frames} frames in {len(job.shards)} shards, {have} of them there already; "
            f"nothing was written to {out}"
        )
        return
    if finish.prepared_key(out) == job.key:
        shutil.rmtree(engine.work_folder_name(out), ignore_errors=True)
        say(f"{out} is there already, made from the same files with the same settings")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(
            f"{out} exists and is something else: remove it, or choose another --out"
        )
    with engine.work_folder(out) as work:
        done = engine.run(job, work, args.workers)
        result = finish.publish(job, done, work, out)
    print(summary.made(result))
    say(f"{out} is ready; data.source={out}, or {out}@SPLIT for another split than train")


def _viper(args: argparse.Namespace) -> Job:
    found = viper.find(
        args.raw,
        split_rule=args.split_rule,
        splits=args.splits,
        without=args.without,
        partial=args.partial,
        class_map=_class_map(args, "viper"),
    )
    return frames.job(found, _resampler(args), args.frames_per_shard, one_size=True)


def _cityscapes(args: argparse.Namespace) -> Job:
    found = cityscapes.find(
        args.raw,
        splits=args.splits,
        cities=args.cities,
        without=args.without,
        partial=args.partial,
        class_map=_class_map(args, "cityscapes"),
    )
    return frames.job(found, _resampler(args), args.frames_per_shard, one_size=True)


def _recyclegan(args: argparse.Namespace) -> Job:
    found = recyclegan.find(args.raw, splits=args.splits)
    return triplets.job(found, _resampler(args), args.frames_per_shard)


def _videos(args: argparse.Namespace) -> Job:
    return films.job(args.raw, _resampler(args))


KINDS: dict[str, tuple[Callable[[argparse.Namespace], Job], str]] = {
    "viper": (_viper, "squeeze"),
    "cityscapes": (_cityscapes, "squeeze"),
    "recyclegan": (_recyclegan, "squeeze"),
    "videos": (_videos, "crop"),
}
"""What makes the work of each, and how frames get to their size by default."""


def _resampler(args: argparse.Namespace) -> Resampler:
    height, width = args.size
    return Resampler(height, width, args.fit)


def _class_map(args: argparse.Namespace, kind: str) -> class_maps.ClassMap:
    return class_maps.load(args.class_map or kind, args.class_variants)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(1, f"error: {message}; see {self.prog} --help\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the flags; a mistake is one line and exit code 1."""
    parser = _Parser(prog="python -m v2v_jax.data.prepare", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar=f"{{{','.join(KINDS)}}}")
    for kind, (_, fit) in KINDS.items():
        sub = kinds.add_parser(kind, prog=f"{parser.prog} {kind}")
        _add_common(sub, fit)
        if kind != "videos":
            sub.add_argument("--splits", type=_words, default=(), help="only these: train,val")
        if kind in ("viper", "cityscapes"):
            _add_labelled(sub, kind)
    return parser.parse_args(argv)


def _add_common(sub: argparse.ArgumentParser, fit: str) -> None:
    home = os.path.expanduser
    sub.add_argument("--raw", type=home, required=True, help="the downloads: zips or files")
    sub.add_argument("--out", type=home, required=True, help="the data set's folder, made anew")
    sub.add_argument("--size", type=_size, default=(256, 512), help="height,width; 256,512")
    sub.add_argument("--fit", choices=FITS, default=fit, help=f"how it gets there; {fit}")
    sub.add_argument("--dry_run", action="store_true", help="look and count, write nothing")
    sub.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="threads")
    sub.add_argument("--frames_per_shard", type=_positive, default=256, help="frames per file")


def _add_labelled(sub: argparse.ArgumentParser, kind: str) -> None:
    kinds = ("labels", "flow") if kind == "viper" else ("labels",)
    sub.add_argument("--without", type=_one_of(kinds), default=(), help=f"leave out {kinds}")
    sub.add_argument("--partial", action="store_true", help="go on though some clips are missing")
    sub.add_argument(
        "--class_map", type=os.path.expanduser, help="a .csv of id,name,train_id,variant"
    )
    sub.add_argument("--class_variants", type=_words, help="its variants that count; all")
    if kind == "viper":
        rules = "; ".join(f"{name}: {what}" for name, what in viper.SPLIT_RULES.items())
        sub.add_argument(
            "--split_rule", choices=viper.SPLIT_RULES, default="recyclegan", help=rules
        )
    else:
        sub.add_argument("--cities", type=_positive, default=0, help="only the first so many")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\(?\s*(\d+)\s*[,x]\s*(\d+)\s*\)?", text)
    if match is None or not all(8 <= int(side) <= 8192 for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r}: give height,width of 8 to 8192 pixels, for example 256,512"
        )
    return int(match[1]), int(match[2])


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of at least 1")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _one_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        if foreign := [word for word in _words(text) if word not in known]:
            raise argparse.ArgumentTypeError(f"{foreign[0]!r}: choose from {', '.join(known)}")
        return _words(text)

    return read


def _readable(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:  # The system's own.
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _terminated(number: int, frame: Any) -> NoReturn:
    print("terminated; the same command goes on where it stopped", file=sys.stderr)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
