"""Results of experiments: what is kept, summarised and shown."""

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.experiment import About, Condition, Results, half_interval, summary, table

ABOUT = About("A title", "A paper", "error", "lower", {"a": Condition("first", "1.5", "table 1"), "b": Condition("second")})


def test_half_the_interval_by_hand() -> None:
    """Deviation 1, three values: 4.3027 / sqrt(3)."""
    assert half_interval([1.0, 2.0, 3.0]) == pytest.approx(2.4841, abs=1e-4)
    assert half_interval([5.0] * 4) == 0


def test_runs_are_kept_by_condition_seed_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    results, other = Results(path, ABOUT, {"n": 1}), Results(path, ABOUT, {"n": 2})
    for seed, value in ((1, 4.0), (0, 2.0), (1, 3.0)):
        results.add("b", seed, value, 1800.0)
    results.add("a", 0, 1.0, 3600.0)
    assert [(run["condition"], run["seed"], run["value"]) for run in results.runs] == [("a", 0, 1.0), ("b", 0, 2.0), ("b", 1, 3.0)]
    assert not other.runs, "other settings, other results"
    found = summary(results.runs)["b"]
    assert found["median"] == found["mean"] == 2.5
    assert found["interval"] is None, "two seeds tell no interval"
    assert found["cpu_hours"] == 1.0


def test_the_table_has_the_papers_numbers_beside(tmp_path: Path) -> None:
    results = Results(tmp_path / "found.json", ABOUT, {})
    for seed in range(3):
        results.add("a", seed, 1.0 + seed, 3600.0)
    results.add("b", 0, 7.0, 0.0)
    first, second = table(asdict(ABOUT), results.runs).splitlines()[2:]
    assert first == "| first | 1.5 (table 1) | 2 (1 to 3) | 2 +- 2.5 | 3 | 3 |"
    assert second == "| second | - | 7 (7 to 7) | - | 1 | 0 |"
