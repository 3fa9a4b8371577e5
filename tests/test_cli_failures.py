"""Failures of the program: a sentence and an exit code; with --debug the traceback, too."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuromorph.cli.failures import BAD_INPUT, BUG, INTERRUPTED, PIPE, Interrupted, guarded, sentence
from neuromorph.cli.findings import within
from neuromorph.errors import GraphError


def program(*args: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, where `before` is done first."""
    code = f"import sys\n{before}\nsys.argv = {['neuromorph', *args]!r}\nfrom neuromorph.cli import main\nmain()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment})


def absent(*modules: str) -> str:
    """As if these were not installed."""
    return f"sys.modules.update(dict.fromkeys({modules!r}))"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("inspect", "nowhere.h5"), "error: nowhere.h5: no such file."),
        (("inspect", "/"), "/"),
        (("profiles", "show", "loihi9"), "'loihi9' is unknown"),
        (("quantize", "nowhere.h5", "--profile", "loihi9"), "'loihi9' is unknown"),
        (("data", "fetch", "nothing"), "'nothing' is not known"),
        (("run", "nowhere.h5", "nowhere.h5", "--counts", "--backend", "lava"), "--counts"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(args: tuple[str, ...], told: str) -> None:
    done = program(*args)
    assert done.returncode == BAD_INPUT
    assert told in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(("option", "variable"), [(("--debug",), ""), ((), "1")])
def test_debug_shows_the_traceback_too(option: tuple[str, ...], variable: str) -> None:
    done = program(*option, "inspect", "nowhere.h5", NEUROMORPH_DEBUG=variable)
    assert done.returncode == BAD_INPUT
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("error: nowhere.h5: no such file.\n")


BUGGY = "import neuromorph.graph\ndef load(path): raise {}\nneuromorph.graph.load = load"


def test_a_bug_is_told_as_one() -> None:
    done = program("inspect", "model.h5", before=BUGGY.format("KeyError('weights')"))
    assert done.returncode == BUG
    assert done.stderr.startswith("error: this is a bug in neuromorph: KeyError: 'weights'. Run `neuromorph --debug COMMAND ...`")
    assert "Traceback" not in done.stderr
    assert "in load" in program("--debug", "inspect", "model.h5", before=BUGGY.format("KeyError('weights')")).stderr


def test_an_interruption_is_told_in_a_line() -> None:
    done = program("inspect", "model.h5", before=BUGGY.format("KeyboardInterrupt"))
    assert (done.returncode, done.stderr) == (INTERRUPTED, "interrupted: stopped by Ctrl-C.\n")


@pytest.mark.parametrize(
    ("command", "modules", "told"),
    [
        (("train", "digits"), ("norse",), 'this needs norse (not installed); run: pip install "neuromorph[train]"'),
        (("export", "a", "b"), ("torch", "norse"), 'needs torch, norse (not installed); run: pip install "neuromorph[train]"'),
        (("report", "runs"), ("jinja2", "markupsafe"), 'pip install "neuromorph[report]"'),
        (("import", "a.nir"), ("scipy",), 'this needs scipy (not installed); run: pip install "neuromorph[map]"'),
    ],
)
def test_what_is_not_installed_comes_with_the_command(command: tuple[str, ...], modules: tuple[str, ...], told: str) -> None:
    done = program(*command, before=absent(*modules))
    assert done.returncode == BAD_INPUT
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [("profiles", "list"), ("profiles", "list", "--json")])
def test_a_closed_pipe_is_silent(args: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "neuromorph", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == PIPE


def test_another_pipe_that_breaks_is_a_failure() -> None:
    done = program("inspect", "model.h5", before=BUGGY.format("BrokenPipeError('the worker has gone')"))
    assert (done.returncode, "the worker has gone" in done.stderr) == (BUG, True)


def test_sentences() -> None:
    told = {
        GraphError("what to do"): ("what to do", BAD_INPUT),
        PermissionError(errno.EACCES, "Permission denied", "model.h5"): ("model.h5: Permission denied", BAD_INPUT),
        OSError(errno.ENOSPC, "No space left on device", "out.h5"): ("out.h5: No space left on device", BAD_INPUT),
        ConnectionRefusedError("no scheduler"): ("no scheduler", BAD_INPUT),
        MemoryError("3 GiB"): ("not enough memory: 3 GiB. Give fewer samples, or a smaller graph.", BAD_INPUT),
        ModuleNotFoundError("No module named 'neuromorph.x'", name="neuromorph.x"): (
            "this is a bug in neuromorph: ModuleNotFoundError: No module named 'neuromorph.x'.",
            BUG,
        ),
        Interrupted("the same command goes on."): ("the same command goes on.", INTERRUPTED),
    }
    for error, expected in told.items():
        assert sentence(error) == expected


def test_exit_codes_of_commands_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: sys.exit(1))
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "")


def test_python_versions_are_held_against_the_package() -> None:
    bounds = ">=3.11,<3.14"
    assert [version for version in ((3, 10), (3, 11), (3, 13), (3, 14), (4, 0)) if within(version, bounds)] == [(3, 11), (3, 13)]
    (declared,) = (line for line in Path("pyproject.toml").read_text().splitlines() if line.startswith("requires-python"))
    assert bounds in declared
