"""The README tells the truth: its example runs, its table is that of the backends, its commands exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example as printed, with one training epoch instead of its own number."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 14
    shortened = re.sub(r'"epochs": \d+', '"epochs": 1', code)
    assert shortened != code
    exec(compile(shortened, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "brian2 float64 against reference, 5 samples: identical" in printed
    assert "uJ per inference" in printed


def test_generated_tables_are_up_to_date() -> None:
    from docs.generate import TABLES, renewed

    for document in TABLES:
        assert renewed(document) == document.read_text(), f"{document.name}: run `make docs`"


def test_the_support_table_has_every_behaviour() -> None:
    from docs.generate import ROWS

    assert set(ROWS) == {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "conformance").glob("test_*.py")}


def test_every_command_is_described_and_exists() -> None:
    from neuromorph.cli.app import app

    described = set(re.findall(r"`neuromorph ([a-z]+)", README)) - {"train", "COMMAND"} | {"train"}
    commands = {c.name or c.callback.__name__ for c in app.registered_commands} | {g.name for g in app.registered_groups}
    assert described == commands


def test_local_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
