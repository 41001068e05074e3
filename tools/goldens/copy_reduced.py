"""Writes the reduced copies of ../shared/goldens that tests/golden keeps.

    .venv/bin/python tools/goldens/copy_reduced.py

Losses and the warp are small and copied whole; of the fusion block every fourth row and column.
"""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
SOURCE = ROOT.parent / "shared" / "goldens"
TARGET = ROOT / "tests" / "golden"
FUSION_INPUTS = ("in|translated_u8", "in|bw_flow")


def main() -> None:
    """Copies what fits."""
    for suffix in ("npz", "json"):
        shutil.copyfile(SOURCE / f"gan_losses.{suffix}", TARGET / f"gan_losses.{suffix}")
    with np.load(SOURCE / "paper_terms.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files if "warp_" in name}
        kept |= {name: arrays[name] for name in FUSION_INPUTS}
        fusion = [name for name in arrays.files if name.endswith("_mask")]
        kept |= {f"{name}_every_4th": arrays[name][:, :, ::4, ::4] for name in fusion}
    np.savez_compressed(TARGET / "paper_terms.npz", **kept)  # type: ignore[arg-type]
    about = json.loads((SOURCE / "paper_terms.json").read_text())
    (TARGET / "paper_terms.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
