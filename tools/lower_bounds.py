"""Prints the lower bound of every dependency and of the tests' own, as pip's constraints.

python tools/lower_bounds.py > oldest.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> None:
    """Prints one line for each: ``numpy==2.0``."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        found = re.match(r"([\w-]+)(?:\[\w+\])?[>=]=([\d.]+)", line)
        if found is None:
            raise SystemExit(f"error: {line!r} in {PYPROJECT} has no lower bound: give it one")
        print(f"{found[1]}=={found[2]}")


if __name__ == "__main__":
    main()
