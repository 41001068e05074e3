"""A part of every n-th frame of a video, as folders of PNGs that training reads.

    python tools/crop_video.py IN.mp4 OUT_FOLDER --rows=82,270 --columns=52,428 --every=2

Two domains are compared place by place best where the horizon lies at the same height and things
pass at about the same speed (pretrained/sim2highway).  One folder for each of the n starts, so that
no frame is lost: OUT_FOLDER/IN_0, OUT_FOLDER/IN_1, ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from v2v_jax.data.media.reader import open_video


def main(argv: list[str] | None = None) -> None:
    """Writes the folders; a part that leaves the frame is an error before anything is written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=_range, required=True, help="first,end in pixels")
    parser.add_argument("--columns", type=_range, required=True, help="first,end in pixels")
    parser.add_argument("--every", type=int, default=1, help="keep every n-th frame")
    asked = parser.parse_args(argv)
    (top, bottom), (left, right) = asked.rows, asked.columns
    if asked.every < 1:
        parser.error(f"--every={asked.every}: give at least 1")
    with open_video(asked.video) as reader:
        for at, frame in enumerate(reader):
            height, width = frame.shape[:2]
            if bottom > height or right > width:
                parser.error(
                    f"{asked.video} has {height} rows and {width} columns: --rows={top},{bottom} "
                    f"--columns={left},{right} leaves them"
                )
            folder = asked.out / f"{asked.video.stem}_{at % asked.every}"
            folder.mkdir(parents=True, exist_ok=True)
            part = cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_RGB2BGR)
            picture = folder / f"{at // asked.every:05d}.png"
            if not cv2.imwrite(str(picture), part):
                parser.error(f"{picture} cannot be written: is the disk full?")


def _range(text: str) -> tuple[int, int]:
    first, end = (int(number) for number in text.split(","))
    if not 0 <= first < end:
        raise argparse.ArgumentTypeError(f"{text!r}: give first,end with 0 <= first < end")
    return first, end


if __name__ == "__main__":
    main()
