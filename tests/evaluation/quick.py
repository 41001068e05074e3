"""Judges that are trained, but for a few steps: how well they judge is tested elsewhere."""

from __future__ import annotations

import pytest

from v2v_jax.assembly import scoring


def quick_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps on twenty frames for whatever an evaluation trains in this process."""
    for name in ("train_segmenter", "train_domain_classifier", "train_likeness"):
        full = getattr(scoring, name)
        monkeypatch.setattr(
            scoring, name, lambda *a, _full=full, **options: _full(*a, **options | {"steps": 2})
        )
    monkeypatch.setattr(scoring, "PROBE_FRAMES", 20)
