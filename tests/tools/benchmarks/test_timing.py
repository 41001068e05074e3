"""What takes turns takes them in order; medians, ratios and the verdict are those of the rounds."""

from __future__ import annotations

import pytest

from tools.benchmarks import timing
from tools.benchmarks.timing import Seconds, clocked, interleaved, ratios, timed, verdict


class Clock:
    """Stands still but for what runs say they take."""

    def __init__(self, monkeypatch):
        self.wall = self.cpu = 100.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(timing.time, "process_time", lambda: self.cpu)

    def pass_by(self, wall: float, cpu: float = 0.0) -> str:
        self.wall, self.cpu = self.wall + wall, self.cpu + cpu
        return "done"


def of(*walls: float) -> list[Seconds]:
    return [Seconds(wall, 10 * wall) for wall in walls]


def test_a_run_is_timed_on_the_clock_and_on_the_processor(monkeypatch):
    clock = Clock(monkeypatch)
    assert timed(lambda: clock.pass_by(2.0, 3.5)) == ("done", Seconds(wall=2.0, cpu=3.5))


def test_every_round_runs_all_once_in_order_and_warm_up_is_thrown_away(monkeypatch):
    clock, ran = Clock(monkeypatch), []

    def run(name: str):
        ran.append(name)
        clock.pass_by(len(ran))

    turns = {name: clocked(lambda name=name: run(name)) for name in ("b", "a", "c")}
    spent = interleaved(turns, 2, warm_up=1)
    assert ran == ["b", "a", "c"] * 3
    assert {name: [s.wall for s in kept] for name, kept in spent.items()} == {
        "b": [4, 7],
        "a": [5, 8],
        "c": [6, 9],
    }
    assert list(spent) == ["b", "a", "c"]


def test_without_warm_up_every_round_is_kept(monkeypatch):
    clock = Clock(monkeypatch)
    assert len(interleaved({"a": clocked(lambda: clock.pass_by(1))}, 3)["a"]) == 3


def test_what_a_run_does_around_its_clock_is_not_counted(monkeypatch):
    clock = Clock(monkeypatch)

    def staged() -> Seconds:
        clock.pass_by(50)
        spent = timed(lambda: clock.pass_by(2))[1]
        clock.pass_by(50)
        return spent

    assert interleaved({"a": staged}, 1)["a"] == [Seconds(2, 0)]


def test_median_and_fastest_are_of_the_clock():
    rounds = [Seconds(4, 1), Seconds(1, 9), Seconds(2, 5), Seconds(30, 2)]
    assert timing.median(rounds) == 3 and timing.fastest(rounds) == 1


def test_ratios_are_of_neighbours_and_not_of_medians():
    assert ratios([1, 40, 9], [2, 10, 3]) == (3, 0.5, 4)
    with pytest.raises(ValueError):
        ratios([1, 2], [1])


@pytest.mark.parametrize("limit, status", [(0.5, 0), (0.51, 1)])
def test_the_verdict_prints_rates_spread_and_processor_time(capsys, limit, status):
    spent = {"bare": of(1, 2, 4), "data": [Seconds(2, 40), Seconds(8, 25), Seconds(4, 50)]}
    assert verdict("data", spent, {"clips": 8, "frames": 24}, limit) == status
    assert capsys.readouterr().out.splitlines() == [
        "data    2.0 clips/s, 6.0 frames/s",
        "bare    4.0 clips/s, 12.0 frames/s",
        f"ratio 0.50 (limit {limit}; median of 0.25 to 1.00), "
        "of this process's processor time 0.80",
    ]


def test_versions_come_before_and_the_load_after(monkeypatch, capsys):
    loads = iter([1.25, 7.75])
    monkeypatch.setattr(timing.os, "getloadavg", lambda: (next(loads), 0, 0))
    with timing.on_this_machine():
        print("between")
    first, between, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Python 3.") and "grain " in first and first.endswith(" cores")
    assert (between, last) == ("between", "load of the machine 1.2 before, 7.8 after")
