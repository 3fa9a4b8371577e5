"""The same files read by norse and snntorch: equal spikes where those tools are right, and what is said of them in docs/nir.md."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import neuromorph as nm
from neuromorph.nir import Stepping, load_nir
from tests.nir import files

STEPS = 150


def network(folder: Path, first: nir.NIRNode, second: nir.NIRNode, *, biased: bool = False, scale: float = 1.0) -> Path:
    rng = np.random.default_rng(0)
    bias = {"bias": 0.03 * rng.normal(size=6)} if biased else {}
    nodes = files.ends(12, 6) | {"l1": nir.Linear(files.weights(rng, 20, 12, scale)), "a": first, "b": second}
    nodes["l2"] = (nir.Affine if biased else nir.Linear)(files.weights(rng, 6, 20, scale), **bias)
    nir.write(path := folder / "net.nir", files.graph(nodes, "input l1 a l2 b output"))
    return path


def ours(path: Path, x: np.ndarray, dt: float) -> np.ndarray:
    """Spikes of the population b, from the step on in which it first sees the input."""
    found = load_nir(path, Stepping(dt)).graph
    late = int(found.metadata["latency.b"])
    z = nm.backend("reference").run(found, nm.Spikes.from_dense(np.pad(x, ((0, late), (0, 0), (0, 0))), dt)).spikes["b"].to_dense()
    return z[late:]


def shown(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((STEPS, 2, 12)) < 0.2


def by_norse(path: Path, x: np.ndarray, dt: float) -> np.ndarray:
    import norse.torch as norse

    model, state, fired = norse.from_nir(nir.read(path), dt=dt).double(), None, []
    with torch.no_grad():
        for now in torch.from_numpy(x.astype(np.float64)):
            z, state = model(now, state)
            fired.append(z.numpy() > 0)
    return np.stack(fired)


def by_snntorch(path: Path, x: np.ndarray) -> np.ndarray:
    from snntorch.import_nir import import_from_nir

    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model, state, fired = import_from_nir(nir.read(path)).double(), None, []
        with torch.no_grad():
            for now in torch.from_numpy(x.astype(np.float64)):
                out: Any = model(now) if state is None else model(now, state)
                z, state = out if isinstance(out, tuple) else (out, None)
                fired.append(z.numpy() > 0)
    finally:
        torch.set_default_dtype(kept)
    return np.stack(fired)


@pytest.mark.parametrize("dt", [1e-3, 5e-4])
@pytest.mark.parametrize("kind", ["LIF", "LIF with biases", "CubaLIF"])
def test_norse_agrees_at_any_dt(kind: str, dt: float, tmp_path: Path) -> None:
    make = files.cuba if kind == "CubaLIF" else files.lif
    path, x = network(tmp_path, make(20), make(6), biased="biases" in kind, scale=2.0), shown()
    z = ours(path, x, dt)
    assert z.sum() > 40
    assert np.array_equal(z, by_norse(path, x, dt))


def test_norse_loses_the_reset_potential(tmp_path: Path) -> None:
    path, x = network(tmp_path, files.lif(20, v_reset=-0.2), files.lif(6), scale=2.0), shown()
    assert not np.array_equal(ours(path, x, 1e-3), by_norse(path, x, 1e-3))


def test_snntorch_agrees_at_its_own_dt_alone(tmp_path: Path) -> None:
    """One layer: its spikes are float32, which a second one in float64 does not take."""
    rng = np.random.default_rng(0)
    nodes = files.ends(12, 20) | {"l": nir.Linear(files.weights(rng, 20, 12, 4.0)), "b": files.lif(20, tau=2e-3)}
    nir.write(path := tmp_path / "net.nir", files.graph(nodes, "input l b output"))
    theirs = by_snntorch(path, x := shown())
    assert theirs.sum() > 40
    assert np.array_equal(ours(path, x, 1e-4), theirs)
    assert not np.array_equal(ours(path, x, 1e-3), theirs)


def test_snntorch_reads_current_based_neurons_of_one_resistance_alone(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="r not supported in CubaLIF"):
        by_snntorch(network(tmp_path, files.cuba(20), files.cuba(6)), shown())


@pytest.mark.parametrize(
    "node", [nir.Delay(np.full(6, 1e-3)), nir.Scale(np.full(6, 2.0)), nir.LI(*(np.full(6, v) for v in (0.01, 1.0, 0.0)))]
)
def test_what_norse_leaves_out_without_a_word(node: nir.NIRNode) -> None:
    import norse.torch as norse

    nodes = files.ends(6, 6) | {"n": node, "a": files.lif(6), "l": nir.Linear(np.eye(6))}
    way = "input l a n output" if isinstance(node, nir.LI) else "input l n a output"
    model = norse.from_nir(files.graph(nodes, way), dt=1e-3)
    assert set(dict(model.named_children())) == {"input", "l", "a", "output"}
