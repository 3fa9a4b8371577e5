from pathlib import Path

import numpy as np
import pytest

from neuromorph.cli.health import probe
from neuromorph.graph import save
from neuromorph.spikes import save_spikes
from tests.packaging.venvs import build


@pytest.fixture(scope="session")
def dists(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of this checkout."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def wheel(dists: tuple[Path, Path]) -> Path:
    return dists[1]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small integer graph m.h5 and its labelled input s.h5."""
    folder = tmp_path_factory.mktemp("small")
    graph, spikes = probe()
    save(folder / "m.h5", graph)
    save_spikes(folder / "s.h5", {"input": spikes}, np.array([0, 1]))
    return folder
