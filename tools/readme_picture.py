"""The README's picture, from a finished demo run.

    python tools/readme_picture.py runs/demo docs/demo.png

Rows: source, image generator alone, fusion mask (white keeps the carried pixel), output, the
perfect translation; columns: frames 1, 10, 30 and 60 of the first held-out clip.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from ml_collections import ConfigDict

import v2v_jax
from v2v_jax.assembly.scoring import evaluation_clips
from v2v_jax.evaluation import scoring, session
from v2v_jax.training.checkpoints import load_player


def main(workdir: Path, picture: Path) -> None:
    """Translates the clip and writes the sheet, twice as large as the frames."""
    translator = v2v_jax.Translator.load(workdir)
    config = ConfigDict(load_player(workdir.resolve() / "checkpoints")[1]["config"])
    clip = evaluation_clips(config, "source", workdir)[0]
    params = translator.params
    score = scoring.evaluate_clip(
        translator.method,
        params["generator"],
        params["frozen"],
        clip,
        flow_for_method=translator.host_flow,
    )
    rows = [
        np.concatenate(list(strip), axis=1) for strip in session.film_strips(clip, score).values()
    ]
    sheet = cv2.resize(np.concatenate(rows), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
