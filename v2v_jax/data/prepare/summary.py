"""What a preparation found, made and left out, for people."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable
from typing import Any

from v2v_jax.data.prepare.work import Job
from v2v_jax.data.raw.reading import Skip

_COLUMNS = ("clips", "frames", "labels", "forward", "backward")
_SHOWN = 5


def table(counts: dict[str, dict[str, int]]) -> str:
    """A line per split."""
    lines = [f"{'split':12}" + "".join(f"{name:>10}" for name in _COLUMNS)]
    for split, row in counts.items():
        cells = (row.get(name, row.get(f"{name}_flow", 0)) for name in _COLUMNS)
        lines.append(f"{split:12}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(lines)


def found(job: Job) -> str:
    """What a download holds."""
    return table(job.counts)


def skips(skipped: Iterable[Skip]) -> str:
    """What was left out, by reason, a few examples each."""
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for skip in skipped:
        # Numbers and names tell apart what is one reason.
        reasons[re.sub(r"\S*[/0-9]\S*", "…", skip.why)].append(f"{skip.what}: {skip.why}")
    lines = [f"{sum(map(len, reasons.values()))} files were skipped:"] if reasons else []
    for reason, examples in sorted(reasons.items()):
        lines.append(f"  {len(examples)} × {reason}")
        lines += [f"    {example}" for example in examples[:_SHOWN]]
        if len(examples) > _SHOWN:
            lines.append(f"    and {len(examples) - _SHOWN} more")
    return "\n".join(lines) or "nothing was skipped"


def made(summary: dict[str, Any]) -> str:
    """The summary `finish.publish` wrote."""
    lines = [table(summary["splits"]), skips(Skip(*pair) for pair in summary["skipped"])]
    return "\n".join(lines)
