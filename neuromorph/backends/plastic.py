"""The specification of three-factor plasticity in numpy; the equations stand in `graph.plasticity`."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import FixedPoint, Plasticity, rounded
from neuromorph.graph.projections import Projection
from neuromorph.shapes import Bool, Int64

ThirdFactors: TypeAlias = Mapping[str, np.ndarray]
"""Signals by name, [n_steps, n_samples] or, one value for each neuron of the target, [n_steps, n_samples, n]."""


def match_third_factors(graph: Graph, given: ThirdFactors, n_steps: int, n_samples: int) -> dict[str, np.ndarray]:
    """Signals by name [n_steps, n_samples, 1 or n], float64 or int64 as the graph, checked against it.

    Raises:
        GraphError: one is missing or not asked for, or its shape or numbers do not fit.
    """
    wanted = graph.third_factors
    if set(given) != set(wanted):
        raise GraphError(f"Third factors: given for {sorted(given)}; the graph's plastic projections ask for {sorted(wanted)}.")
    found: dict[str, np.ndarray] = {}
    for name, signal in given.items():
        array = np.asarray(signal)
        array = array[..., None] if array.ndim == 2 else array
        if array.shape not in ((n_steps, n_samples, 1), (n_steps, n_samples, wanted[name])):
            shapes = f"({n_steps}, {n_samples}) or ({n_steps}, {n_samples}, {wanted[name]})"
            raise GraphError(f"Third factor {name!r} has shape {np.shape(signal)}; give {shapes}: steps, samples, target neurons.")
        if graph.precision == "integer" and array.dtype.kind not in "iu":
            raise GraphError(f"Third factor {name!r} is {array.dtype}; an integer graph takes whole numbers.")
        if not np.isfinite(array).all():
            raise GraphError(f"Third factor {name!r} holds NaN or infinity; give finite numbers.")
        found[name] = array.astype(np.int64 if graph.precision == "integer" else np.float64)
    return found


def match_step(
    graph: Graph, n_samples: int, inputs: Mapping[str, np.ndarray], third: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs of one step as bool [n_samples, n], third factors as [n_samples, 1 or n], checked against the graph.

    Raises:
        GraphError: an Input population is missing, or shapes do not fit.
    """
    size = {p.name: p.n for p in graph.inputs}
    if set(inputs) != set(size):
        raise GraphError(f"Inputs: given for {sorted(inputs)}; the graph has Input populations {sorted(size)}.")
    for name, spikes in inputs.items():
        if np.shape(spikes) != (n_samples, size[name]):
            raise GraphError(f"Inputs: {name!r} has shape {np.shape(spikes)}; give ({n_samples}, {size[name]}): samples, channels.")
    signals = match_third_factors(graph, {name: np.asarray(signal)[None] for name, signal in third.items()}, 1, n_samples)
    return {name: np.asarray(spikes) != 0 for name, spikes in inputs.items()}, {name: signal[0] for name, signal in signals.items()}


class PlasticSynapses:
    """One plastic projection for all samples: its input to the target, and how it changes. `H`, `E` [n_samples, n_synapses].

    `first`: number of the first sample, for stochastic rounding. `saturations`: how often E, H, M or a trace was clipped (E, M, traces of
    integers alone; H at its clip, which is part of the rule, is not counted).
    """

    def __init__(self, projection: Projection, n_target: int, n_samples: int, first: int = 0) -> None:
        assert projection.plasticity is not None, "a plastic projection"
        self.projection, self.rule = projection, projection.plasticity
        self.integer = self.rule.fixed is not None
        number = np.int64 if self.integer else np.float64
        self.fired: Any = np.zeros((n_samples, projection.n_source), np.bool_)
        self.pre: Any = np.zeros((n_samples, projection.n_source), number)
        self.post: Any = np.zeros((n_samples, n_target), number)
        self.H: Any = np.zeros((n_samples, projection.n_synapses), number)
        self.E: Any = np.zeros_like(self.H)
        self.rows, self.sample = projection.rows, np.arange(first, first + n_samples)[:, None]
        self.synapse = np.arange(projection.n_synapses)
        self.saturations: dict[str, int] = {}

    def send(self, t: int, sample: Int64[np.ndarray, " spikes"], source: Int64[np.ndarray, " spikes"]) -> None:
        """Spikes (sample, source) emitted at step t; they arrive at the next."""
        self.fired[:] = False
        self.fired[sample, source] = True

    def receive(self, t: int) -> np.ndarray:
        """Line 1: the sum that arrives at step t [n_samples, n_target]."""
        fixed = self.rule.fixed
        if fixed is None:
            return self._sum(self.projection.weights + self.rule.alpha * self.H)
        weights = self._sum(np.broadcast_to(self.projection.weights, self.H.shape))
        return _shift(weights, self.projection.weight_exp) + _shift(self._sum(self.rule.alpha * self.H), fixed.alpha_exp)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        """Values of the synapses whose source fired, added one after the other in the order of the synapses."""
        total = np.zeros_like(self.post)
        sample, synapse = np.nonzero(self.fired[:, self.rows])
        np.add.at(total, (sample, self.projection.indices[synapse]), values[sample, synapse])
        return total

    def learn(self, t: int, spikes: Bool[np.ndarray, "samples target"], third: np.ndarray | None) -> None:
        """Lines 2 to 5 after step t: `spikes` of the target, `third` factor [n_samples, 1 or n_target]."""
        pre, post = (self._traces_integer if self.integer else self._traces_float)(spikes)
        product = post[:, self.projection.indices] * pre[:, self.rows]
        m = 0 if third is None else self._third(third)
        change = self._change(product, m)
        if self.rule.rule == "retroactive":
            self.E = self._eligibility(t, product)
        if self.rule.fixed is not None:
            change = rounded(change, self.rule.fixed.change_shift, self.rule.fixed, 0, t, self.sample, self.synapse)
        self.H = np.clip(self.H + change, -self.rule.clip, self.rule.clip)

    def _change(self, product: Any, m: Any) -> Any:
        """Of H, by the E of before this step."""
        match self.rule.rule:
            case "hebbian":
                return self.rule.eta * product
            case "modulated":
                return m * product
            case _:
                return m * self.E

    def _eligibility(self, t: int, product: Any) -> Any:
        rule, fixed = self.rule, self.rule.fixed
        if fixed is None:
            return (1 - rule.eta) * self.E + rule.eta * product
        kept = (4096 - rule.eta) * self.E + (rule.eta * product << fixed.eligibility_shift)
        return self._saturate("E", rounded(kept, 12, fixed, 1, t, self.sample, self.synapse), fixed.eligibility_max)

    def _third(self, third: np.ndarray) -> np.ndarray:
        """Line 4, for every synapse."""
        limit, rule = self.rule.third_limit, self.rule
        if rule.fixed is not None:
            self._count("M", np.abs(third) > limit)
        m = np.clip(third, -limit, limit)
        return m[:, self.projection.indices] if m.shape[1] > 1 else m

    def _traces_float(self, spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.pre = self.rule.decay_pre * self.pre + self.fired
        self.post = self.rule.decay_post * self.post + spikes
        return self.pre, self.post - self.rule.post_offset

    def _traces_integer(self, spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fixed = _fixed(self.rule)
        self.pre = self._saturate("pre", (self.pre * self.rule.decay_pre >> 12) + self.fired * fixed.pre_step, fixed.trace_max)
        self.post = self._saturate("post", (self.post * self.rule.decay_post >> 12) + spikes * fixed.post_step, fixed.trace_max)
        return self.pre, self.post - self.rule.post_offset

    def _saturate(self, name: str, x: np.ndarray, most: int) -> np.ndarray:
        self._count(name, np.abs(x) > most)
        return np.clip(x, -most, most)

    def _count(self, name: str, where: np.ndarray) -> None:
        if count := int(np.count_nonzero(where)):
            self.saturations[name] = self.saturations.get(name, 0) + count


def _fixed(rule: Plasticity) -> FixedPoint:
    assert rule.fixed is not None, "integer graphs say what their numbers stand for"
    return rule.fixed


def _shift(x: np.ndarray, exponent: int) -> np.ndarray:
    return x << exponent if exponent >= 0 else x >> -exponent
