"""What importing costs: no framework, and for the command line's help not even numpy."""

import subprocess
import sys

import pytest

import neuromorph

HEAVY = ("torch", "norse", "brian2", "lava", "numba", "sklearn", "scipy", "matplotlib", "jinja2", "pandas", "xarray", "neo", "nir")


def _loaded(code: str, *modules: str) -> list[str]:
    report = f"import sys; print(*[m for m in {modules!r} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", f"{code}\n{report}"], check=True, capture_output=True, text=True).stdout.split()


def test_every_public_name_loads_without_a_framework() -> None:
    names = ", ".join(f"neuromorph.{name}" for name in neuromorph.__all__)
    assert _loaded(f"import neuromorph\n{names}", *HEAVY) == []


def test_listing_backends_imports_none_of_their_simulators() -> None:
    assert _loaded("from neuromorph.backends import backends\nbackends()", *HEAVY) == []


def test_the_command_line_starts_without_numpy() -> None:
    assert _loaded("import neuromorph.cli", "numpy", "h5py", *HEAVY) == []


def test_public_names_agree_with_their_homes() -> None:
    assert sorted(neuromorph.__all__) == sorted(neuromorph._HOMES)
    assert dir(neuromorph) == sorted(neuromorph.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'; it offers"):
        neuromorph.nothing  # noqa: B018
