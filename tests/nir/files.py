"""NIR files written by hand with the nir library: the kinds of network that users bring."""

from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np


def lif(n: int, **fields: float) -> nir.LIF:
    values = {"tau": 10e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.1, "v_reset": 0.0} | fields
    return nir.LIF(**{name: np.full(n, value) for name, value in values.items()})


def cuba(shape: int | tuple[int, ...], **fields: float) -> nir.CubaLIF:
    values = {"tau_syn": 5e-3, "tau_mem": 10e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.1, "v_reset": 0.0, "w_in": 4.0} | fields
    return nir.CubaLIF(**{name: np.full(shape, value) for name, value in values.items()})


def graph(nodes: dict[str, nir.NIRNode], *ways: str) -> nir.NIRGraph:
    """`ways`: "a b c" for the edges from a to b and from b to c."""
    edges = [edge for way in ways for edge in zip(way.split(), way.split()[1:])]
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def ends(n_in: int | tuple[int, ...], n_out: int | tuple[int, ...]) -> dict[str, nir.NIRNode]:
    return {"input": nir.Input(np.atleast_1d(n_in)), "output": nir.Output(np.atleast_1d(n_out))}


def weights(rng: np.random.Generator, n_out: int, n_in: int, scale: float = 1.0) -> np.ndarray:
    return scale * rng.normal(size=(n_out, n_in)) / np.sqrt(n_in) * 3


def feed_forward(rng: np.random.Generator) -> nir.NIRGraph:
    nodes = ends(12, 5) | {"l1": nir.Linear(weights(rng, 20, 12)), "a": lif(20), "b": lif(5, v_leak=0.02, v_reset=-0.03)}
    nodes["l2"] = nir.Affine(weights(rng, 5, 20), 0.05 * rng.normal(size=5))
    return graph(nodes, "input l1 a l2 b output")


def cuba_feed_forward(rng: np.random.Generator) -> nir.NIRGraph:
    """With a bias that goes through the synaptic filter, a scale, and a leaky readout."""
    nodes = ends(12, 3) | {"l1": nir.Affine(weights(rng, 15, 12), 0.02 * rng.normal(size=15)), "a": cuba(15)}
    nodes |= {"scale": nir.Scale(rng.uniform(0.5, 2.0, 15)), "l2": nir.Linear(weights(rng, 3, 15))}
    nodes["b"] = nir.CubaLI(*(np.full(3, value) for value in (5e-3, 20e-3, 2.0, 0.0, 3.0)))
    return graph(nodes, "input l1 a scale l2 b output")


def convolutional(rng: np.random.Generator) -> nir.NIRGraph:
    nodes = ends((2, 8, 8), 4) | {
        "c1": nir.Conv2d((8, 8), rng.normal(size=(4, 1, 3, 3)), (1, 1), (1, 1), (1, 1), 2, 0.05 * rng.normal(size=4)),
        "a": cuba((4, 8, 8)),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "c2": nir.Conv2d((4, 4), 0.5 * rng.normal(size=(3, 4, 3, 3)), (2, 1), "valid", (1, 1), 1, np.zeros(3)),
        "b": nir.IF(np.ones((3, 1, 2)), np.full((3, 1, 2), 2.0)),
        "flat": nir.Flatten(np.array([3, 1, 2]), 0, -1),
        "l": nir.Linear(weights(rng, 4, 6)),
        "d": lif(4),
    }
    return graph(nodes, "input c1 a pool c2 b flat l d output")


def recurrent_flat(rng: np.random.Generator) -> nir.NIRGraph:
    nodes = ends(12, 10) | {"l": nir.Linear(weights(rng, 10, 12)), "a": lif(10), "w": nir.Linear(weights(rng, 10, 10, 0.5))}
    return graph(nodes, "input l a output", "a w a")


def recurrent_nested(rng: np.random.Generator) -> nir.NIRGraph:
    inner = ends(10, 10) | {"lif": cuba(10), "w": nir.Affine(weights(rng, 10, 10, 0.5), 0.02 * rng.normal(size=10))}
    nodes = ends(12, 3) | {"l": nir.Linear(weights(rng, 10, 12)), "rec": graph(inner, "input lif output", "lif w lif")}
    nodes |= {"l2": nir.Linear(weights(rng, 3, 10)), "read": nir.LI(np.full(3, 20e-3), np.ones(3), np.zeros(3))}
    return graph(nodes, "input l rec l2 read output")


def delayed(rng: np.random.Generator) -> nir.NIRGraph:
    """Delays before and after weights, a way around a population, and a loop with delays."""
    nodes = ends(12, 6) | {
        "d1": nir.Delay(1e-3 * rng.integers(0, 5, 12)),
        "l1": nir.Linear(weights(rng, 10, 12)),
        "a": lif(10),
        "l2": nir.Linear(weights(rng, 6, 10)),
        "d2": nir.Delay(1e-3 * rng.integers(0, 4, 6)),
        "around": nir.Linear(weights(rng, 6, 12, 0.5)),
        "b": lif(6),
        "back": nir.Linear(weights(rng, 10, 6, 0.5)),
        "d3": nir.Delay(np.full(10, 7e-3)),
        "own": nir.Linear(weights(rng, 6, 6, 0.5)),
    }
    return graph(nodes, "input d1 l1 a l2 d2 b output", "input around b", "b back d3 a", "b own b")


NETWORKS: dict[str, Callable[[np.random.Generator], nir.NIRGraph]] = {
    "feed_forward": feed_forward,
    "cuba_feed_forward": cuba_feed_forward,
    "convolutional": convolutional,
    "recurrent_flat": recurrent_flat,
    "recurrent_nested": recurrent_nested,
    "delayed": delayed,
}


def written(name: str, folder: Path, seed: int = 0) -> Path:
    path = folder / f"{name}.nir"
    nir.write(path, NETWORKS[name](np.random.default_rng(seed)))
    return path
