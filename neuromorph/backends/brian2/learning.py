"""A plastic projection in all replicas: terminals, synapses that learn, and what is recorded of them.

Of a step, in Brian2's default schedule: before "groups" the terminals at which a spike arrives deliver it, with H as the last step left
it; after "groups" traces, then synapses learn; in "synapses" the axons tell the terminals of the spikes of this step.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from neuromorph.backends.brian2 import hashed, rule
from neuromorph.graph.projections import Projection

BEFORE, AFTER = "before_groups", "after_groups"


class Learning:
    """`q`, the k-th projection onto its target, whose number in the graph is `place`. `source`, `target`: groups of all replicas.

    `terminals`: one a source neuron. `synapses`: None where there are none. `draws`: whether it rounds by samples' numbers.
    """

    def __init__(self, b2: Any, clock: Any, q: Projection, k: int, place: int, source: Any, target: Any, n_samples: int) -> None:
        assert q.plasticity is not None, "a plastic projection"
        self.q, self.rule, self.k, self.place = q, q.plasticity, k, place
        self.b2, self.clock, self.target, self.n_samples = b2, clock, target, n_samples
        self.draws = q.plasticity.fixed is not None and q.plasticity.fixed.rounding == "stochastic"
        self.dtype = np.dtype(np.int64 if self.rule.fixed else np.float64)
        self.terminals = self._terminals()
        self.axons = b2.Synapses(source, self.terminals, on_pre="fired_post = 1", namespace={}, clock=clock, name=f"axons_{place}")
        self.axons.connect(i=np.arange(q.n_source * n_samples), j=np.arange(q.n_source * n_samples))
        self.synapses = self._synapses() if q.n_synapses else None

    def link(self, group: Any, variable: str, width: int) -> None:
        """The third factor is a variable of a group with `width` values a replica: 1, or one for each of the target's neurons or more."""
        n_target = len(self.target) // self.n_samples
        neuron = np.arange(n_target) if width > 1 else np.zeros(n_target, np.int64)
        index = (np.arange(self.n_samples)[:, None] * width + neuron).ravel()
        setattr(self.target, rule.third(self.k), self.b2.linked_var(group, variable, index=index))

    def observe(self, from_readout: bool) -> None:
        """Let the target's neurons follow their spikes and the third factor, a readout's or a signal's."""
        code = rule.post(self.k, self.rule, from_readout)
        self.target.run_regularly(code, when=AFTER, clock=self.clock, name=f"post_{self.place}")

    @property
    def objects(self) -> list[Any]:
        return [self.terminals, self.axons, *([self.synapses] if self.synapses else [])]

    @property
    def variables(self) -> tuple[str, ...]:
        """Those of the synapses that change."""
        return ("H", "E") if self.rule.rule == "retroactive" else ("H",)

    def counters(self) -> Iterator[tuple[str, Any, str]]:
        """(what is clipped, the group that counts it, in which variable)."""
        if self.rule.fixed:
            yield "pre", self.terminals, rule.clips("p")
            yield "post", self.target, rule.clips(f"s_{self.k}")
        if self.rule.fixed and self.synapses and "E" in self.variables:
            yield "E", self.synapses, rule.clips("E")

    def sample_numbers(self, first: int) -> np.ndarray:
        """For the terminals, if the first replica is the sample of this number."""
        return np.repeat(np.arange(first, first + self.n_samples), self.q.n_source)

    def monitor(self) -> Any:
        record = np.arange(self.q.n_synapses * self.n_samples)
        return self.b2.StateMonitor(
            self.synapses, list(self.variables), record=record, clock=self.clock, when="end", name=f"learnt_{self.place}"
        )

    def _terminals(self) -> Any:
        whole = ["fired", *([rule.clips("p")] if self.rule.fixed else []), *(["sample"] if self.draws else [])]
        group = self.b2.NeuronGroup(
            self.q.n_source * self.n_samples,
            **_model({"p": self.dtype} | dict.fromkeys(whole, np.dtype(np.int64))),
            threshold="fired > 0",
            namespace={},
            clock=self.clock,
            name=f"terminals_{self.place}",
        )
        group.thresholder["spike"].when = BEFORE
        group.run_regularly(rule.terminals(self.rule), when=AFTER, clock=self.clock, name=f"traces_{self.place}")
        return group

    def _synapses(self) -> Any:
        counters = [rule.clips("E")] if self.rule.fixed and "E" in self.variables else []
        whole = [*counters, *(["place"] if self.draws else [])]
        synapses = self.b2.Synapses(
            self.terminals,
            self.target,
            **_model(dict.fromkeys(["w", "alpha", *self.variables], self.dtype) | dict.fromkeys(whole, np.dtype(np.int64))),
            on_pre=rule.arrive(self.k, self.rule),
            namespace={"random_bits": hashed.function(self.b2)} if self.draws else {},
            clock=self.clock,
            name=f"projection_{self.place}",
        )
        synapses.pre.when, synapses.pre.order = BEFORE, 1
        synapses.run_regularly(rule.learn(self.k, self.rule), when=AFTER, order=1, clock=self.clock, name=f"learn_{self.place}")
        connect(synapses, self.q, len(self.target) // self.n_samples, self.n_samples)
        synapses.alpha[:] = np.tile(self.rule.alpha, self.n_samples)
        if self.draws:
            synapses.place[:] = np.tile(np.arange(self.q.n_synapses), self.n_samples)
        return synapses


def connect(synapses: Any, q: Projection, n_target: int, n_samples: int) -> None:
    """Make the synapses of every replica, replica by replica in the projection's order, and give them their weights."""
    replica = np.arange(n_samples)[:, None]
    synapses.connect(i=(replica * q.n_source + q.rows).ravel(), j=(replica * n_target + q.indices).ravel())
    synapses.w[:] = np.tile(q.weights, n_samples)


def _model(dtypes: dict[str, np.dtype]) -> dict[str, Any]:
    """Equations and types of variables that code alone changes."""
    lines = [f"{name} : {'integer' if dtype == np.int64 else '1'}" for name, dtype in dtypes.items()]
    return {"model": "\n".join(lines), "dtype": dtypes}
