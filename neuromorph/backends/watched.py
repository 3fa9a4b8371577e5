"""A step session that is watched: what went in and came out, as whole runs hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neuromorph.backends.base import Step, StepSession
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording, join
from neuromorph.spikes import Spikes, join_spikes


@dataclass(frozen=True, eq=False)
class Lived:
    """What passed through a step session: `inputs` and `third` factors [n_steps, n_samples] by name, and the recording."""

    inputs: Mapping[str, Spikes]
    third: Mapping[str, np.ndarray]
    recording: Recording


class Watched:
    """A step session that keeps what goes in and comes out from its reset on; with `synapses` also H and E after every step."""

    def __init__(self, session: StepSession, graph: Graph, name: str, *, synapses: bool = False) -> None:
        self.session, self.graph, self.name = session, graph, name
        self.kept = tuple(q.name for q in graph.plastic) if synapses else ()
        self._forget()

    def _forget(self) -> None:
        self.inputs, self.third, self.steps = list[dict[str, np.ndarray]](), list[dict[str, np.ndarray]](), list[Step]()
        self.states = {name: list[Mapping[str, np.ndarray]]() for name in self.kept}

    def reset(self) -> None:
        self.session.reset()
        self._forget()

    def step(self, inputs: Mapping[str, np.ndarray], third_factors: Mapping[str, np.ndarray] | None = None) -> Step:
        found = self.session.step(inputs, third_factors)
        self.inputs.append(dict(inputs))
        self.third.append(dict(third_factors or {}))
        self.steps.append(found)
        for name in self.kept:
            self.states[name].append(self.session.plastic(name))
        return found

    def plastic(self, name: str) -> Mapping[str, np.ndarray]:
        return self.session.plastic(name)

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *error: object) -> None: ...

    def lived(self) -> Lived:
        """All since the last reset."""
        inputs, third = _stacked(self.inputs), _stacked(self.third)
        spikes, readouts = _stacked([s.spikes for s in self.steps]), _stacked([s.readouts for s in self.steps])
        dt, (n_steps, n_samples, _) = self.graph.dt, next(iter(inputs.values())).shape
        recording = Recording(
            backend=self.name,
            precision=self.graph.precision,
            graph_digest=self.graph.digest(),
            dt=dt,
            n_samples=n_samples,
            n_steps=n_steps,
            spikes={name: Spikes.from_dense(z, dt) for name, z in spikes.items()},
            readouts=readouts,
            states={name: _stacked(steps) for name, steps in self.states.items()},
        )
        return Lived({name: Spikes.from_dense(z, dt) for name, z in inputs.items()}, third, recording)


def _stacked(steps: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of single steps by name as one array each, steps first."""
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def joined(parts: Sequence[Lived]) -> Lived:
    """Episodes of several batches as one."""
    inputs = {name: join_spikes([part.inputs[name] for part in parts]) for name in parts[0].inputs}
    third = {name: np.concatenate([part.third[name] for part in parts], 1) for name in parts[0].third}
    return Lived(inputs, third, join([part.recording for part in parts]))
