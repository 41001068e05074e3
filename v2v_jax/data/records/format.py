"""How a prepared frame is stored: one tf.train.Example per frame, in TFDS's ArrayRecord files.

    image          JPEG, quality 95, uint8 [H, W, 3] RGB
    clip, frame    name of the clip (text) and number of the frame in it
    labels         PNG, uint8 [H, W, 1]: class ids of the data set, 255 where unknown
    forward_flow   zlib, float16 [H, W, 2], (dx, dy) in pixels to the next frame, NaN where unknown
    backward_flow  the same to the previous frame

Labels and flow are there only where the download has them.  Which frames of a clip truly have them
is in the index, see `records.dataset`.  TFDS reads all of it without this module.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

VERSION = "1.0.1"
"""Of the stored frames: raise it when what is stored, or how it is computed, changes."""
JPEG_QUALITY = 95
OPTIONAL = {"labels": "l", "forward_flow": "f", "backward_flow": "b"}
"""Features a data set may have, and the letter that says that a frame has it."""
_ZLIB_LEVEL = 1  # The default level takes four times as long and saves 4 %.


def features(height: int, width: int, optional: list[str]) -> Any:
    """The TFDS features of a data set with these optional ones."""
    import tensorflow_datasets as tfds

    image = tfds.features.Image
    flow = tfds.features.Tensor(shape=(height, width, 2), dtype=np.float16, encoding="zlib")
    every = {
        "image": image(shape=(height, width, 3), encoding_format="jpeg"),
        "clip": tfds.features.Text(),
        "frame": tfds.features.Scalar(np.int32),
        "labels": image(shape=(height, width, 1), encoding_format="png"),
        "forward_flow": flow,
        "backward_flow": flow,
    }
    names = [name for name in every if name not in OPTIONAL or name in optional]
    return tfds.features.FeaturesDict({name: every[name] for name in names})


@functools.cache
def example_class() -> Any:
    """tf.train.Example.

    Call it before threads do: TFDS imports lazily under a lock of its own, and two threads that
    import it for the first time can wait for each other for ever.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]


def example(clip: str, frame: int, coded: dict[str, bytes]) -> bytes:
    """One record; equal input gives equal bytes.

    Args:
        clip, frame: where it belongs.
        coded: ``image`` and the data set's optional features, each as its ``encode_…`` gives it.
    """
    record = example_class()()
    feature = record.features.feature
    feature["clip"].bytes_list.value.append(clip.encode("utf-8", "backslashreplace"))
    feature["frame"].int64_list.value.append(frame)
    for name, data in coded.items():
        feature[name].bytes_list.value.append(data)
    return record.SerializeToString(deterministic=True)


def parse(record: bytes, names: Iterable[str]) -> tuple[str, int, dict[str, bytes]]:
    """What `example` was given, of the features only ``names``.

    TFDS's own reader copies and reshapes every feature, wanted or not.

    Raises:
        ValueError: not such a record, or it lacks one of them.
    """
    try:
        feature = example_class().FromString(record).features.feature
        clip, frame = feature["clip"].bytes_list.value[0], feature["frame"].int64_list.value[0]
        coded = {name: feature[name].bytes_list.value[0] for name in names}
    except Exception as error:  # Protobuf's kinds of damage; IndexError where one is missing.
        raise ValueError(f"not a record of v2v_jax.data.prepare ({error})") from error
    return clip.decode(), frame, coded


def encode_image(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB -> JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def encode_labels(labels: np.ndarray) -> bytes:
    """uint8 [H, W] -> PNG."""
    return cv2.imencode(".png", labels)[1].tobytes()


def encode_flow(flow: np.ndarray) -> bytes:
    """float16 [H, W, 2] -> zlib."""
    return zlib.compress(flow.tobytes(), _ZLIB_LEVEL)


def decode_image(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """JPEG -> uint8 [H, W, 3] RGB.

    Raises:
        ValueError: no picture of this size.
    """
    return _checked(data, cv2.IMREAD_COLOR_RGB, (*size, 3))


def decode_labels(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """PNG -> uint8 [H, W].

    Raises:
        ValueError: no labels of this size.
    """
    return _checked(data, cv2.IMREAD_UNCHANGED, size)


def decode_flow(data: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Zlib -> flow float32 [H, W, 2], 0 where unknown, and valid bool [H, W].

    Raises:
        ValueError: no flow of this size.
    """
    try:
        flow = np.frombuffer(zlib.decompress(data), np.float16).reshape(*size, 2)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    valid = ~np.isnan(flow[..., 0] + flow[..., 1])
    return np.where(valid[..., None], flow, 0).astype(np.float32), valid


def _checked(data: bytes, flags: int, shape: tuple[int, ...]) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None or image.shape != shape or image.dtype != np.uint8:
        raise ValueError(f"not an 8 bit picture of {shape[1]}x{shape[0]} pixels")
    return image
