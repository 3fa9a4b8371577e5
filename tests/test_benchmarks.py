"""The smoke size of every benchmark runs."""

from pathlib import Path

from benchmarks.digits_seeds import Args, main


def test_digits_seeds(tmp_path: Path) -> None:
    out = tmp_path / "runs.json"
    runs = main(Args(seeds=1, epochs=1, out=out))
    assert [sorted(run["accuracy"]) for run in runs] == [["float", "loihi2"], ["float", "loihi1", "loihi2"]]
    assert main(Args(seeds=1, epochs=1, out=out)) == runs, "a second call finds everything done"
