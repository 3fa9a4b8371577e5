"""Shell completion: the scripts, and what is offered; without numpy or a framework, and never with an error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neuromorph.cli import complete


def completed(typed: str, shell: str = "fish", **environment: str) -> list[str]:
    """What the program offers for a line that ends where the cursor is."""
    asked = {"_NEUROMORPH_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    code = (
        "import sys\nfrom neuromorph.cli import main\nsys.argv[0] = 'neuromorph'\ntry:\n    main()\nfinally:\n"
        "    print(*{'numpy', 'torch', 'h5py', 'numba', 'brian2'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **asked, **environment})
    assert done.stderr.strip() == "", "neither an error nor a heavy import"
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("neuromorph prof", ["profiles"]),
        ("neuromorph energy model.h5 test.h5 --profile loihi", ["loihi1", "loihi1_sanafe", "loihi2", "loihi2_estimate"]),
        ("neuromorph profiles show xy", ["xylo", "xylo_audio2"]),
        ("neuromorph run model.h5 test.h5 --backend ", ["brian2", "fast", "lava", "reference"]),
        ("neuromorph validate model.h5 test.h5 --backend t", ["torch"]),
        ("neuromorph train seq", ["sequential_mnist"]),
        ("neuromorph train --set task.name=d", ["task.name=digits"]),
    ],
)
def test_names_are_offered(typed: str, offered: list[str]) -> None:
    assert [line.split("\t")[0] for line in completed(typed)] == offered


def test_profiles_of_a_folder_of_your_own_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "mine.toml").touch()
    (tmp_path / "chips" / "other.h5").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROMORPH_PROFILES", str(tmp_path / "chips"))
    assert complete.profiles("mi") == ["mine"]
    assert complete.profiles("ch") == ["chips/"]
    assert complete.profiles("chips/") == ["chips/mine.toml"]
    assert complete.configs(f"{tmp_path}/chips/m") == [f"{tmp_path}/chips/mine.toml"]
    assert complete.data_sets("m") == ["mnist"]


def test_a_completion_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROMORPH_PROFILES", "/nowhere")
    assert complete.profiles("loi") == []
    assert complete.profiles("/nowhere/x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_shown(shell: str) -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "neuromorph", "--show-completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    assert "NEUROMORPH" in script.upper()
    assert f"complete_{shell}" in script
    if there := shutil.which(shell):
        subprocess.run([there, "-n"], input=script, text=True, check=True, capture_output=True)


def test_bash_itself_completes(tmp_path: Path) -> None:
    """The script as installed, in a shell of its own, on the program's own name."""
    if not (bash := shutil.which("bash")):
        pytest.skip("there is no bash")
    folder = Path(sys.executable).parent
    if not (folder / "neuromorph").exists():
        pytest.skip("the program is not installed beside this interpreter")
    code = """
    eval "$(_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 neuromorph --show-completion bash)"
    COMP_WORDS=(neuromorph energy a b --profile lo) COMP_CWORD=5
    "$(complete -p neuromorph | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" neuromorph
    echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    shown = subprocess.run([bash, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert shown.stdout.split() == ["loihi1", "loihi1_sanafe", "loihi2", "loihi2_estimate"]
