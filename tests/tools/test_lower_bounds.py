"""What `make test-oldest` installs is the lower end of every range."""

from __future__ import annotations

from tools import lower_bounds
from v2v_jax import versions


def test_every_dependency_has_its_lower_bound(capsys):
    lower_bounds.main()
    lines = dict(line.split("==") for line in capsys.readouterr().out.splitlines())
    assert versions.TESTED.keys() <= lines.keys()
    for name, tested in versions.TESTED.items():
        assert tested.partition(",")[0].lstrip("=>") == lines[name]
    assert {"pytest", "pyright"} <= lines.keys()
