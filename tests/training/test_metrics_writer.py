"""Numbers and pictures reach their files, once, and without TensorFlow."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX.proto import event_pb2
from training import worker

from v2v_jax.training.metrics_writer import MetricsWriter

Event: Any = getattr(event_pb2, "Event")  # noqa: B009 - made at run time by protobuf


def _frames(image: Any) -> int:
    return image.n_frames


def _lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def _events(workdir):
    """(step, tag, value) of every summary; a record is its length, a crc, the data, a crc."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            found += [(event.step, value.tag, value) for value in event.summary.value]
            data = data[16 + size :]
    return found


def test_everything_is_written(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.scalars(3, {"loss/generator": 1.5, "term/gan": float("nan")})
    writer.image(3, "sheet", np.full((6, 8, 3), 200, np.uint8))
    frames = np.arange(4 * 6 * 8 * 3, dtype=np.uint8).reshape(4, 6, 8, 3)
    writer.clip(3, "evaluate/clip", frames)
    writer.close()

    # No NaN: it is not JSON, and browsers refuse it.
    assert _lines(tmp_path) == [{"step": 3, "loss/generator": 1.5}]
    with Image.open(tmp_path / "pictures" / "sheet_00000003.png") as image:
        assert image.size == (8, 6) and np.all(np.asarray(image) == 200)
    with Image.open(tmp_path / "pictures" / "evaluate_clip_00000003.gif") as image:
        assert _frames(image) == 4

    events = {tag: (step, value) for step, tag, value in _events(tmp_path)}
    assert events["loss/generator"][0] == 3
    assert events["loss/generator"][1].simple_value == 1.5
    assert np.isnan(events["term/gan"][1].simple_value)
    stored = [value.image.encoded_image_string[:4] for _, value in events.values()]
    assert b"\x89PNG" in stored and b"GIF8" in stored


def test_a_resumed_run_writes_every_step_once(tmp_path):
    writer = MetricsWriter(tmp_path)
    for step in range(1, 6):
        writer.scalars(step, {"loss": float(step)})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed in the middle of a line

    writer = MetricsWriter(tmp_path, step=3)
    writer.scalars(4, {"loss": 40.0})
    writer.close()
    assert [(line["step"], line["loss"]) for line in _lines(tmp_path)] == [
        (1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0),
    ]  # fmt: skip
    MetricsWriter(tmp_path, step=0).close()
    assert _lines(tmp_path) == []


def test_a_line_is_on_disk_when_it_is_written(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.scalars(1, {"loss": 2.0})
    assert _lines(tmp_path) == [{"step": 1, "loss": 2.0}]
    writer.close()


def test_tensorflow_is_neither_needed_nor_imported(tmp_path):
    code = (
        "import sys\n"
        "from v2v_jax.training.metrics_writer import MetricsWriter\n"
        f"w = MetricsWriter({str(tmp_path)!r}); w.scalars(1, {{'a': 1.0}}); w.close()\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=worker.ROOT)
