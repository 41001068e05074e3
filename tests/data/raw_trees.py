"""Tiny downloads in the true formats of VIPER, Cityscapes and Recycle-GAN."""

from __future__ import annotations

import io
import pathlib
import zipfile

import cv2
import numpy as np
from PIL import Image

Files = dict[str, bytes]
VIPER_SIZE = (27, 48)  # 16:9
CITY_SIZE = (24, 48)  # 2:1


def texture(seed: int, height: int, width: int, shift: int = 0) -> np.ndarray:
    """Smooth, moves by ``shift``."""
    rows = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return np.roll(cv2.GaussianBlur(rows, (0, 0), 2.0), shift, 1)


def picture(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG" if kind == "png" else "JPEG", quality=95)
    return buffer.getvalue()


def palette_png(labels: np.ndarray, colours: np.ndarray) -> bytes:
    """8 bit indexed, as VIPER's cls are."""
    image = Image.fromarray(labels, "P")
    image.putpalette(colours.astype(np.uint8).ravel().tolist())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def viper_colours() -> np.ndarray:
    colours = np.random.default_rng(7).integers(0, 256, (256, 3))
    colours[25] = colours[29] = (0, 80, 100)  # Van and train share one.
    return colours


def grey_png(labels: np.ndarray) -> bytes:
    return cv2.imencode(".png", labels)[1].tobytes()


def flow_npz(u: np.ndarray, v: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, u=u.astype(np.float16), v=v.astype(np.float16))
    return buffer.getvalue()


def viper_labels(number: int) -> np.ndarray:
    height, width = VIPER_SIZE
    columns, rows = np.arange(width)[None] // 5, np.arange(height)[:, None] // 4
    return ((13 * columns + 7 * rows + number) % 32).astype(np.uint8)


def viper_flow(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A NaN, an Inf and a huge value in the first row; the rest is constant."""
    u, v = (np.full(VIPER_SIZE, value, np.float16) for value in (6.0 + number, -2.25))
    u[0, 0], v[0, 20], u[0, 40] = np.nan, np.inf, 512
    return u, v


def viper(
    sequences: dict[str, int],
    kind: str = "png",
    *,
    backward: bool = False,
    last_flow: bool = True,
) -> Files:
    """Files of ``{"train/001": frames, ...}``; numbers start at 1, as VIPER's do."""
    files: Files = {}
    for place, count in sequences.items():
        split, sequence = place.split("/")
        for number in range(1, count + 1):
            name = f"{sequence}/{sequence}_{number:05}"
            image = texture(int(sequence), *VIPER_SIZE, shift=number)
            files[f"{split}/img/{name}.{kind}"] = picture(image, kind)
            if split == "test":
                continue
            files[f"{split}/cls/{name}.png"] = palette_png(viper_labels(number), viper_colours())
            if number < count or last_flow:
                files[f"{split}/flow/{name}.npz"] = flow_npz(*viper_flow(number))
            if backward and number > 1:
                u, v = viper_flow(number - 1)
                files[f"{split}/flowbw/{name}.npz"] = flow_npz(-u, -v)
    return files


def city_labels(seed: int) -> np.ndarray:
    height, width = CITY_SIZE
    return ((np.arange(width)[None] // 2 + np.arange(height)[:, None] // 8 + seed) % 34).astype(
        np.uint8
    )


def cityscapes(snippets: dict[str, int], frames: int = 30) -> Files:
    """Files of ``{"train/aachen_000000": first frame number, ...}``."""
    files: Files = {}
    for place, first in snippets.items():
        split, name = place.split("/")
        city = name.partition("_")[0]
        for at in range(frames):
            base = f"{split}/{city}/{name}_{first + at:06}"
            image = picture(texture(first, *CITY_SIZE, shift=at), "png")
            files[f"leftImg8bit_sequence/{base}_leftImg8bit.png"] = image
            if at == 19:
                files[f"gtFine/{base}_gtFine_labelIds.png"] = grey_png(city_labels(first))
                files[f"gtFine/{base}_gtFine_color.png"] = image
                files[f"gtFine/{base}_gtFine_polygons.json"] = b"{}"
    return files


def write_tree(files: Files, root: pathlib.Path) -> pathlib.Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(files: Files, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_zips(files: Files, root: pathlib.Path, parts: int = 1) -> pathlib.Path:
    """One or more zips per kind, every other member stored, the rest deflated."""
    root.mkdir(parents=True, exist_ok=True)
    archives: dict[str, zipfile.ZipFile] = {}
    for number, (name, data) in enumerate(sorted(files.items())):
        kind = "_".join(name.split("/")[:2])
        archive = f"{kind}_{number % parts}.zip"
        if archive not in archives:
            archives[archive] = zipfile.ZipFile(root / archive, "w")
        method = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
        archives[archive].writestr(name, data, method)
    for archive in archives.values():
        archive.close()
    return root
