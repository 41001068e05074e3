"""Published torch weights -> one safetensors file that says what it is.

    python -m v2v_jax.weights.convert flownet2 FlowNet2_checkpoint.pth.tar flownet2.safetensors
    python -m v2v_jax.weights.convert --check vgg16 vgg16-397923af.pth

torch's files, both the zip of today and the pickle stream before torch 1.6, need torch (pip install
'v2v_jax[convert]'); what they hold is never executed.  The tensors keep their names and layouts and
are checked against the whole list of names and shapes of KIND.  The new file needs no torch, and is
verified whenever it is read: its kind, its shapes, and every bit.  VGG's classifier is left out.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from v2v_jax.data.atomic import Partial
from v2v_jax.weights import KINDS, StateDict, from_torch, load_state_dict
from v2v_jax.weights.converted import metadata


def _flownet2(kind: str, state: StateDict) -> dict[str, Any]:
    # Here, because it brings JAX along, which takes seconds.
    from flownet2_port import params_from_torch

    return params_from_torch(state, kind)


_FLOWNET2 = ("flownet2", "flownet2_c", "flownet2_s", "flownet2_sd")
CONVERTERS: dict[str, Callable[[StateDict], dict[str, Any]]] = {
    **{kind: functools.partial(_flownet2, kind) for kind in _FLOWNET2},
    **{kind: functools.partial(from_torch, kind) for kind in KINDS},
}
"""Kind -> strict conversion to a parameter tree; a new network is one name map in `KINDS`."""


def convert(kind: str, source: pathlib.Path, target: pathlib.Path) -> str:
    """Writes ``target``, whole or not at all.

    Args:
        kind: one of `CONVERTERS`.
        source: a file that `read_state_dict` reads.
        target: a ``.safetensors`` file; one that is there already is replaced.

    Returns:
        What was done, one line.

    Raises:
        ValueError: ``source`` is damaged, holds code or is no ``kind``; a wrong suffix.
        OSError: ``source`` is not there, or ``target`` cannot be written.
    """
    if target.suffix != ".safetensors":
        raise ValueError(f"{target}: the converted file must be named *.safetensors")
    state = load_state_dict(source, kind)
    numbers = sum(leaf.size for _, leaf in _leaves(_convert(kind, source, state)))
    state = {key: np.ascontiguousarray(state[key]) for key in _kept(kind, state)}
    with source.open("rb") as file:
        source_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    write(target, state, metadata(kind, source.name, source_sha256, state))
    return f"{target}: {kind}, {len(state)} tensors, {numbers:,} parameters, from {source.name}"


def _convert(kind: str, source: pathlib.Path, state: StateDict) -> dict[str, Any]:
    try:
        return CONVERTERS[kind](state)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _kept(kind: str, state: StateDict) -> list[str]:
    """What a network needs: neither VGG's classifier nor other things that may be absent."""
    if kind not in KINDS:
        return list(state)
    slots = KINDS[kind](state)
    return [key for key in state if slots[key].required]


def write(target: pathlib.Path, state: dict[str, np.ndarray], about: dict[str, str]) -> None:
    """Writes one safetensors file, whole or not at all.

    Args:
        target: one that is there already is replaced.
        state: torch's names -> contiguous arrays, in torch's layouts.
        about: the file's header, from `v2v_jax.weights.converted.metadata`.

    Raises:
        OSError: ``target`` cannot be written, one line; what was there before is whole.
    """
    partial = Partial(target)
    mode = partial.path.stat().st_mode
    try:
        save_file(state, partial.path, about)
        # safetensors puts a file of its own there, which only its owner may read.
        partial.path.chmod(mode)
        partial.commit()
    except (OSError, SafetensorError) as error:
        raise OSError(f"cannot write {target}: {error}") from error
    finally:
        partial.discard()


def check(kind: str, source: pathlib.Path) -> Iterator[str]:
    """What `convert` would load: a line for every tensor, then the sum.

    Raises:
        ValueError, OSError: see `convert`; what is wrong with the file comes after its list.
    """
    state = load_state_dict(source, kind)
    # Numbers in the place of tensors: where they come out is where the tensors go.
    tags = {
        key: np.broadcast_to(np.asarray(tag, _tag_type(value)), value.shape)
        for tag, (key, value) in enumerate(state.items())
    }
    destinations: dict[int, str] = {}
    problem = None
    try:
        leaves = list(_leaves(_convert(kind, source, tags)))
        destinations = {int(leaf.flat[0]): path for path, leaf in leaves}
    except ValueError as error:
        leaves, problem = [], error
    width = max(map(len, state), default=0)
    for tag, (key, value) in enumerate(state.items()):
        goes = destinations.get(tag, "(no effect)" if leaves else "")
        yield f"{key:<{width}}  {list(value.shape)!s:<20} {value.dtype!s:<8} {goes}".rstrip()
    if problem:
        raise problem
    loaded = sum(math.prod(leaf.shape) for _, leaf in leaves)
    yield f"{kind}: {len(leaves)} of {len(state)} tensors, {loaded:,} parameters; nothing written"


def _tag_type(value: np.ndarray) -> Any:
    return np.float32 if np.issubdtype(value.dtype, np.floating) else np.int64


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Every array with its path, ``conv1_1/kernel``."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 0 if all went well."""
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=CONVERTERS, metavar="KIND", help=", ".join(CONVERTERS))
    parser.add_argument("source", type=_path, metavar="SRC", help="a published file")
    parser.add_argument(
        "target", type=_path, metavar="DST", nargs="?", help="a .safetensors file to write"
    )
    parser.add_argument("--check", action="store_true", help="say what would be loaded, write none")
    given = parser.parse_args(argv)
    if not given.check and given.target is None:
        parser.error("DST is needed, or --check")
    try:
        lines = check(given.kind, given.source) if given.check else [convert(**_paths(given))]
        for line in lines:
            print(line)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _path(text: str) -> pathlib.Path:
    return pathlib.Path(text).expanduser()


def _paths(given: argparse.Namespace) -> dict[str, Any]:
    return {"kind": given.kind, "source": given.source, "target": given.target}


if __name__ == "__main__":
    sys.exit(main())
