"""Summaries as files: every number comes back, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.fast import FastBackend
from neuromorph.backends.fast.summary import Summary, load_summary, save_summary
from neuromorph.errors import FormatError
from neuromorph.graph import container
from tests.test_shards import network, same_summary, spikes_for


def summary() -> Summary:
    graph = network()
    return FastBackend().summarise(graph, spikes_for(graph, 3), window=5)


def test_summaries_come_back_from_their_files(tmp_path: Path) -> None:
    kept = replace(summary(), saturations={"hidden0.v": 3})
    save_summary(tmp_path / "s.h5", kept)
    same_summary(load_summary(tmp_path / "s.h5"), kept)


def put(tree: container.Group, field: str, array: np.ndarray) -> None:
    tree.groups[field].arrays["out"] = array


BROKEN = [
    (lambda t: t.attributes.pop("window"), "/: window is nothing, wanted int"),
    (lambda t: t.groups.pop("fired"), "/: fired is nothing, wanted group"),
    (lambda t: t.groups["saturations"].attributes.update(x="often"), "/saturations: x is str, wanted int"),
    (lambda t: put(t, "fired", np.zeros((3, 2))), "/fired/out is float64 of shape (3, 2); wanted int32 of (3, 'n')"),
    (lambda t: put(t, "active", np.zeros((3, 2), np.int64)), "/active/out is int64 of shape (3, 2); wanted int64 of (3,)"),
    (lambda t: put(t, "readouts", np.zeros((2, 2))), "/readouts/out is float64 of shape (2, 2); wanted float64 of (3, 'n')"),
    (lambda t: t.groups["readouts"].attributes.update(more=1), "/readouts: more is int, wanted nothing"),
]


@pytest.mark.parametrize(("harm", "message"), BROKEN)
def test_files_that_hold_no_summary(tmp_path: Path, harm, message: str) -> None:
    path = tmp_path / "s.h5"
    save_summary(path, summary())
    tree = container.read(path, "summary", 1)
    harm(tree)
    container.write(path, "summary", 1, tree)
    with pytest.raises(FormatError) as error:
        load_summary(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
