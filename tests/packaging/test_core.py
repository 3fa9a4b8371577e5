"""The core in a clean environment on every Python: small, without a framework, and working from the wheel."""

import json
from pathlib import Path

import pytest

from neuromorph.cli.health import REFERENCE
from tests.packaging.venvs import Venv, make_venv, need_python

LARGEST_MB = 100
FRAMEWORKS = ("torch", "norse", "brian2", "lava", "numba", "scipy", "sklearn", "matplotlib", "jinja2")


@pytest.fixture(scope="module", params=["3.11", "3.12", "3.13"])
def core(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Venv:
    return make_venv(tmp_path_factory.mktemp("core") / "venv", need_python(request.param), wheel)


def test_it_is_small_and_its_import_loads_no_framework(core: Venv) -> None:
    assert core.megabytes < LARGEST_MB
    assert not [name for name in FRAMEWORKS if (core.site / name).exists()]
    code = "import sys, neuromorph; [getattr(neuromorph, n) for n in neuromorph.__all__]; print(neuromorph.__file__)"
    assert Path(core.told("python", "-c", code).strip()).is_relative_to(core.site)
    code = "import sys, neuromorph; print(*{m.partition('.')[0] for m in sys.modules} & {'numpy', 'h5py', 'typer', 'rich'})"
    assert core.told("python", "-c", code).strip() == ""


def test_its_commands_work(core: Venv, small: Path) -> None:
    found = json.loads(core.told("neuromorph", "doctor", "--json"))
    assert {c["backend"]: (c["available"], c["agrees"]) for c in found["backends"]} == {
        "brian2": (False, None),
        "fast": (False, None),
        "lava": (False, None),
        "reference": (True, True),
    }
    assert found["python"]["ok"]
    assert {'pip install "neuromorph[train]"', 'pip install "neuromorph[fast]"'} <= set(found["mend"])
    assert any(command.startswith("neuromorph lava install") for command in found["mend"])
    assert "loihi2_estimate" in core.told("neuromorph", "profiles", "list", "--json")
    model, spikes = small / "m.h5", small / "s.h5"
    assert json.loads(core.told("neuromorph", "inspect", model, "--json"))["neurons"] == 14
    run = json.loads(core.told("neuromorph", "run", model, spikes, "--json"))
    assert (run["backend"], run["spikes"]["hidden"]) == ("reference", REFERENCE["spikes"])
    assert json.loads(core.told("neuromorph", "energy", model, spikes, "--json"))["energy"][0]["total"]["nominal"] > 0


def test_what_it_lacks_is_told_with_the_command(core: Venv, small: Path) -> None:
    if not core.site.parent.name.endswith("3.12"):
        pytest.skip("one Python is enough for it")
    model, spikes = small / "m.h5", small / "s.h5"
    for extra, command in {
        "train": ("train", "digits"),
        "map": ("energy", model, spikes, "--map"),
        "fast": ("run", model, spikes, "--backend", "fast"),
    }.items():
        done = core.run("neuromorph", *command)
        assert done.returncode == 2
        assert f'run: pip install "neuromorph[{extra}]"' in done.stderr
        assert "Traceback" not in done.stderr
