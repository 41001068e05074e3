"""Tables from a data set's class ids to Cityscapes train ids.

A map is a CSV file of ``id,name,train_id,variant``.  A line with a variant counts only where that
variant is asked for and is void otherwise: public maps of VIPER agree on 14 classes and differ on
bicycle (22 to 18), train (29 to 16) and pole (infrastructure, 10 to 5).  Van (25) is void.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

VOID = 255


@dataclasses.dataclass(frozen=True)
class ClassMap:
    """What an id means.

    Attributes:
        name: the file's.
        variants: the ones that count.
        known: ids that may occur in a label image; others show that it is something else.
        table: 256 train ids, 255 for void; an id of 255 stays void.
    """

    name: str
    variants: tuple[str, ...]
    known: tuple[int, ...]
    table: tuple[int, ...]

    def apply(self, labels: np.ndarray) -> np.ndarray:
        """Class ids uint8 [...] -> train ids uint8 [...]."""
        return np.asarray(self.table, np.uint8)[labels]

    def unknown(self, labels: np.ndarray) -> list[int]:
        """The ids of a label image uint8 [H, W] that the map does not have, in order."""
        foreign = np.ones(256, np.uint8)
        foreign[list(self.known)] = 0
        flags = cv2.LUT(labels, foreign)
        # Finding none is quick; naming them is not.
        return [int(i) for i in np.unique(labels[flags > 0])] if cv2.countNonZero(flags) else []


def load(name: str, variants: Sequence[str] | None = None) -> ClassMap:
    """Reads a class map.

    Args:
        name: "viper", "cityscapes" or a CSV file of the same columns.
        variants: those that count; None for all the file has.

    Raises:
        FileNotFoundError: no such map.
        ValueError: a file of another form, or an unknown variant.
    """
    path = pathlib.Path(name)
    if path.suffix != ".csv":
        path = pathlib.Path(__file__).with_name(f"{name}.csv")
    if not path.is_file():
        own = sorted(file.stem for file in pathlib.Path(__file__).parent.glob("*.csv"))
        raise FileNotFoundError(f"no class map {name!r}: give a .csv file or one of {own}")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    try:
        rows = [(int(x["id"]), int(x["train_id"]), (x["variant"] or "").strip()) for x in lines]
        if any(not (0 <= i < 256 and 0 <= t < 256) for i, t, _ in rows) or not rows:
            raise ValueError("ids must be 0 to 255")
        if len({i for i, _, _ in rows}) < len(rows):
            raise ValueError("an id occurs twice")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a class map ({error}); the columns are id,name,train_id,variant"
        ) from error
    return _class_map(path.stem, rows, variants)


def _class_map(
    name: str, rows: list[tuple[int, int, str]], variants: Sequence[str] | None
) -> ClassMap:
    has = sorted({variant for _, _, variant in rows if variant})
    chosen = has if variants is None else sorted(set(variants))
    if foreign := [variant for variant in chosen if variant not in has]:
        raise ValueError(f"class map {name} has no variant {foreign[0]!r}; it has {has}")
    table = [VOID] * 256
    for id_, train_id, variant in rows:
        if not variant or variant in chosen:
            table[id_] = train_id
    return ClassMap(name, tuple(chosen), tuple(id_ for id_, _, _ in rows), tuple(table))
