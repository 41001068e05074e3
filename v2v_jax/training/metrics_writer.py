"""Scalars, pictures and clips of a run: TensorBoard events, metrics.jsonl and picture files.

TensorBoard's files are written by tensorboardX behind clu's asynchronous writer.  TensorFlow is
never needed: clu imports it for one writer of its own, which is replaced where it is absent.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from tensorboardX import SummaryWriter
from tensorboardX.proto import summary_pb2

from v2v_jax.training.pictures import gif_bytes, png_bytes

Summary: Any = getattr(summary_pb2, "Summary")  # noqa: B009 - made at run time by protobuf


def _import_clu() -> Any:
    name = "clu.metric_writers.summary_writer"
    if name not in sys.modules and importlib.util.find_spec("tensorflow") is None:

        class NeedsTensorFlow:
            def __init__(self, *args: Any, **kwargs: Any):
                raise ImportError("clu's own SummaryWriter needs TensorFlow")

        stub = types.ModuleType(name)
        setattr(stub, "SummaryWriter", NeedsTensorFlow)  # noqa: B010
        sys.modules[name] = stub
    from clu import metric_writers

    return metric_writers


metric_writers = _import_clu()


class EventWriter(metric_writers.MetricWriter):
    """clu's MetricWriter over tensorboardX: scalars, images, texts, and videos as animated GIFs."""

    def __init__(self, logdir: Path, purge_step: int, fps: float = 8.0):
        """Opens ``logdir``; TensorBoard hides what earlier runs wrote from ``purge_step`` on."""
        # purge_step=0 would purge nothing.
        self._writer: Any = SummaryWriter(str(logdir), purge_step=purge_step or None)
        self._fps = fps

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Name -> number."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, float(value), step)

    def write_images(self, step: int, images: Mapping[str, Any]) -> None:
        """Name -> uint8 [N, H, W, 3]."""
        for name, image in images.items():
            self._writer.add_images(name, np.asarray(image), step, dataformats="NHWC")

    def write_videos(self, step: int, videos: Mapping[str, Any]) -> None:
        """Name -> uint8 [N, T, H, W, 3]; the image tab plays them."""
        for name, clips in videos.items():
            for i, clip in enumerate(np.asarray(clips)):
                height, width = clip.shape[1:3]
                image = Summary.Image(
                    height=height, width=width, colorspace=3,
                    encoded_image_string=gif_bytes(clip, self._fps),
                )  # fmt: skip
                summary = Summary(value=[Summary.Value(tag=f"{name}/{i}", image=image)])
                self._writer.file_writer.add_summary(summary, step)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Name -> Markdown."""
        for name, text in texts.items():
            self._writer.add_text(name, text, step)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """One table of text."""
        rows = "".join(f"|{key}|{value}|\n" for key, value in hparams.items())
        self._writer.add_text("hparams", f"|name|value|\n|-|-|\n{rows}", 0)

    def write_histograms(
        self, step: int, arrays: Mapping[str, Any], num_buckets: Mapping[str, int] | None = None
    ) -> None:
        """Name -> array."""
        for name, array in arrays.items():
            bins = (num_buckets or {}).get(name) or 30
            self._writer.add_histogram(name, np.asarray(array), step, bins=bins)

    def write_audios(self, step: int, audios: Mapping[str, Any], *, sample_rate: int) -> None:
        """Name -> float [N, T, channels]."""
        for name, clips in audios.items():
            for i, clip in enumerate(np.asarray(clips)):
                self._writer.add_audio(f"{name}/{i}", clip, step, sample_rate)

    def write_summaries(
        self, step: int, values: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Not offered: raw summaries are tensors of TensorFlow."""
        raise NotImplementedError("raw summaries need TensorFlow")

    def write_pointcloud(self, step: int, point_clouds: Any, **kwargs: Any) -> None:
        """Not offered: tensorboardX's mesh format differs."""
        raise NotImplementedError("point clouds are not written")

    def flush(self) -> None:
        """Writes what is buffered."""
        self._writer.flush()

    def close(self) -> None:
        """Writes and closes."""
        self._writer.close()


class MetricsWriter:
    """Where a run's numbers and pictures go; only the writing process makes one.

    - ``workdir/tensorboard``: everything.
    - ``workdir/metrics.jsonl``: one line per logged step, ``{"step": 50, "loss/generator": 1.2}``;
      numbers that are not finite are left out, so that every line is plain JSON.
    - ``workdir/pictures/<name>_<step>.png`` and ``.gif``.
    """

    def __init__(self, workdir: str | Path, *, step: int = 0, fps: float = 8.0):
        """Continues the files of a run that goes on after ``step``.

        Lines of later steps are dropped: the resumed run writes them again.
        """
        self._workdir = Path(workdir)
        self._fps = fps
        self._workdir.mkdir(parents=True, exist_ok=True)
        path = self._workdir / "metrics.jsonl"
        _keep_until(path, step)
        self._lines = path.open("a")
        events = EventWriter(
            self._workdir / "tensorboard", purge_step=step + 1 if step else 0, fps=fps
        )
        self._events = metric_writers.AsyncWriter(events)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Logs numbers by name."""
        finite = {name: float(v) for name, v in values.items() if math.isfinite(v)}
        self._lines.write(json.dumps({"step": step, **finite}) + "\n")
        self._lines.flush()
        self._events.write_scalars(step, {name: float(v) for name, v in values.items()})

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs one picture, uint8 [H, W, 3] RGB."""
        self._save(step, name, "png", png_bytes(image))
        self._events.write_images(step, {name: image[None]})

    def clip(self, step: int, name: str, frames: np.ndarray) -> None:
        """Logs an animated clip, uint8 [T, H, W, 3] RGB."""
        self._save(step, name, "gif", gif_bytes(frames, self._fps))
        self._events.write_videos(step, {name: frames[None]})

    def _save(self, step: int, name: str, suffix: str, data: bytes) -> None:
        folder = self._workdir / "pictures"
        folder.mkdir(exist_ok=True)
        (folder / f"{name.replace('/', '_')}_{step:08d}.{suffix}").write_bytes(data)

    def flush(self) -> None:
        """Waits until everything is written."""
        self._events.flush()

    def close(self) -> None:
        """Writes everything and closes."""
        self._events.close()
        self._lines.close()


def _keep_until(path: Path, step: int) -> None:
    """Drops the lines of later steps, and a last line that a kill cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError, TypeError):
            logging.warning("%s: dropping a line that was cut short: %.60s", path, line)
    # By way of a second file: a kill in between loses nothing.
    new = path.with_suffix(".tmp")
    new.write_text("".join(kept))
    new.replace(path)
