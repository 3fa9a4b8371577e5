"""What is in the wheel and in the sdist: all of the package, and nothing else."""

import re
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from neuromorph.extras import EXTRAS
from tests.packaging.venvs import ROOT, uv

PROFILES = {f"neuromorph/hardware_profiles/{p.name}" for p in (ROOT / "hardware_profiles").glob("*.toml")}


def hashes(wheel: Path) -> dict[str, str]:
    """Of every file in a wheel, from its RECORD."""
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith("RECORD"))
        rows = (line.rsplit(",", 2) for line in archive.read(record).decode().splitlines())
        return {name: digest for name, digest, _ in rows}


def test_the_wheel_holds_the_package_and_its_profiles(wheel: Path) -> None:
    held = set(hashes(wheel))
    package = {str(p.relative_to(ROOT)) for p in (ROOT / "neuromorph").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    metadata = {name for name in held if name.startswith("neuromorph-")}
    assert held - metadata == package | PROFILES
    assert PROFILES
    for needed in (
        "py.typed",
        "configs/digits.toml",
        "report/templates/report.html",
        "backends/lava/procs/adaptive_lif.py",
        "backends/lava/worker.py",
    ):
        assert f"neuromorph/{needed}" in held
    assert {name.rpartition("/")[2] for name in metadata} >= {"LICENSE", "DATA_LICENSES.md", "entry_points.txt", "METADATA"}


def test_the_sdist_holds_what_the_wheel_is_built_from(dists: tuple[Path, Path], tmp_path: Path) -> None:
    """The wheel came from the sdist; the one from the checkout is the same."""
    sdist, wheel = dists
    with tarfile.open(sdist) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    documents = {"README.md", "CHANGELOG.md", "LICENSE", "DATA_LICENSES.md"}
    assert tops == {"neuromorph", "hardware_profiles", "pyproject.toml", "PKG-INFO", ".gitignore", *documents}
    subprocess.run([uv(), "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (direct,) = tmp_path.glob("*.whl")
    assert hashes(direct) == hashes(wheel)


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        about = Parser().parsestr(archive.read(name).decode())
        points = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert about["Requires-Python"] == "<3.14,>=3.11"
    assert set(about.get_all("Provides-Extra", [])) == {*EXTRAS, "all"}
    core = [line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {line.split(">")[0] for line in core} == {"numpy", "h5py", "typer", "rich"}
    assert {"[console_scripts]", "[neuromorph.backends]", "[neuromorph.tasks]"} <= set(points.splitlines())


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_module_of_an_extra_is_brought_by_it(wheel: Path, extra: str) -> None:
    """The table that errors and doctor read, against the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        requires = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])

    def brought(extra: str) -> set[str]:
        names = {line.split(";")[0].strip() for line in requires if f"extra == '{extra}'" in line.replace('"', "'")}
        own = {inner for line in names if line.startswith("neuromorph[") for inner in brought(line[11:-1])}
        return own | {re.split("[<>=]", line)[0] for line in names if not line.startswith("neuromorph[")}

    assert {module.replace("sklearn", "scikit-learn") for module in EXTRAS[extra].modules} == brought(extra) - {"numpy"}
