"""What a simulator promises: one Protocol, its capabilities as data, and a registry by entry point."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from neuromorph.backends.plastic import ThirdFactors, match_third_factors
from neuromorph.errors import BackendError, GraphError, PluginError, SaturationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF, Input
from neuromorph.plugins import BACKENDS, Plugin, plugin, plugins, warn
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

Inputs: TypeAlias = Spikes | Mapping[str, Spikes]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with (samples done, samples in all)."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend computes exactly; a run of a graph that needs more is refused (see `missing`)."""

    precisions: tuple[str, ...] = ("float", "integer")
    populations: tuple[str, ...] = ("LI", "LIF", "ALIF")
    resets: tuple[str, ...] = ("subtract", "to_value")
    adaptations: tuple[str, ...] = ("threshold", "current")
    synaptic_current: bool = True
    refractory: bool = True
    mixed_delays: bool = True
    plasticity: bool = False
    note: str = ""


@runtime_checkable
class Backend(Protocol):
    """A simulator of graphs. `run` simulates every sample from zero state."""

    name: str
    capabilities: Capabilities

    def available(self) -> str | None:
        """None if it can run here, else why not and what to install."""
        ...

    def run(
        self,
        graph: Graph,
        inputs: Inputs,
        *,
        states: Iterable[str] = (),
        spikes: Iterable[str] | None = None,
        strict: bool = False,
        progress: Progress | None = None,
        third_factors: ThirdFactors | None = None,
    ) -> Recording:
        """Simulate all samples of `inputs` (one Spikes, or one per Input population by name).

        `third_factors`: the signals that modulate plastic projections, by name (`Graph.third_factors`), [n_steps, n_samples] or
        [n_steps, n_samples, n_target]. `states`: populations whose state traces are recorded, and plastic projections, whose H and E are.
        `spikes`: populations whose spikes are (default: of all that spike). Readouts are recorded always. `strict`: raise SaturationError
        when an integer run clips or wraps a state variable.

        Raises:
            GraphError: inputs do not fit the graph, or a population to record is none of it.
            BackendError: the backend lacks something that the graph needs, or is not installed.
        """
        ...


@runtime_checkable
class Session(Protocol):
    """A graph on a simulator that stays up between calls of `run`."""

    def run(
        self, inputs: Inputs, *, strict: bool = False, progress: Progress | None = None, third_factors: ThirdFactors | None = None
    ) -> Recording:
        """See `Backend.run`."""
        ...

    def __enter__(self) -> "Session": ...

    def __exit__(self, *error: object) -> None: ...


@runtime_checkable
class HasSessions(Protocol):
    """A backend whose start costs so much that it is worth to keep it up."""

    def session(self, graph: Graph, *, states: Iterable[str] = (), spikes: Iterable[str] | None = None) -> Session:
        """Start `graph`, to be run any number of times; the arguments are those of `Backend.run`."""
        ...


@dataclass(frozen=True, eq=False)
class Step:
    """What one step brought: `spikes` of every population that fires, bool [n_samples, n]; `readouts` of every LI [n_samples, n]."""

    spikes: Mapping[str, np.ndarray]
    readouts: Mapping[str, np.ndarray]


@runtime_checkable
class StepSession(Protocol):
    """A graph that runs step by step, samples side by side, so that what it does may decide what it is given next."""

    def step(self, inputs: Mapping[str, np.ndarray], third_factors: Mapping[str, np.ndarray] | None = None) -> Step:
        """One step. `inputs`: spikes of each Input population, bool [n_samples, n]; `third_factors`: each signal of
        `Graph.third_factors`, [n_samples] or [n_samples, n_target].

        Raises:
            GraphError: they do not fit the graph.
        """
        ...

    def plastic(self, name: str) -> Mapping[str, np.ndarray]:
        """`H` and `E` of a plastic projection as they are now [n_samples, n_synapses]."""
        ...

    def reset(self) -> None:
        """Back to the state before the first step."""
        ...

    def __enter__(self) -> "StepSession": ...

    def __exit__(self, *error: object) -> None: ...


@runtime_checkable
class HasStepSessions(Protocol):
    """A backend that can be run step by step."""

    def step_session(self, graph: Graph, *, n_samples: int = 1) -> StepSession:
        """Start `graph` in its zero state for so many samples side by side."""
        ...


def backends() -> dict[str, Backend]:
    """Every registered backend by name, sorted; importing one does not import its simulator.

    One of another package that is broken is told as a PluginWarning and left out.
    """
    found: dict[str, Backend] = {}
    for name, each in plugins(BACKENDS).items():
        try:
            found[name] = _made(each)
        except PluginError as error:
            warn(str(error))
    return found


def backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: there is none.
        PluginError: another package's, which is broken, or two packages declare the name.
    """
    if found := plugin(BACKENDS, name):
        return _made(found)
    raise BackendError(f"Backend {name!r} is unknown; there are {', '.join(backends())}.")


def _made(plugin: Plugin) -> Backend:
    made = plugin.load()
    try:
        made = made()
    except Exception as error:
        raise plugin.fault(f"cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, Backend):
        lacking = ", ".join(name for name in ("name", "capabilities", "available", "run") if not hasattr(made, name))
        raise plugin.fault(f"is no backend, it lacks {lacking} (see neuromorph.backends.Backend)")
    return made


def match_inputs(graph: Graph, inputs: Inputs) -> dict[str, Spikes]:
    """Inputs by population name, checked against the graph: names, sizes, dt, equal samples and steps."""
    if isinstance(inputs, Spikes):
        if len(graph.inputs) != 1:
            raise GraphError(f"Inputs: one Spikes given for {len(graph.inputs)} Input populations; give a mapping by name.")
        inputs = {graph.inputs[0].name: inputs}
    wanted = {p.name: p for p in graph.inputs}
    if set(inputs) != set(wanted):
        raise GraphError(f"Inputs: given for {sorted(inputs)}; the graph has Input populations {sorted(wanted)}.")
    for name, spikes in inputs.items():
        if spikes.n_neurons != wanted[name].n:
            raise GraphError(f"Inputs: {name!r} has {spikes.n_neurons} channels; the graph's has {wanted[name].n}.")
        if not np.isclose(spikes.dt, graph.dt, rtol=1e-9, atol=0):
            raise GraphError(f"Inputs: {name!r} has dt {spikes.dt} s; the graph's step is {graph.dt} s. Encode the input anew.")
    shapes = {s.shape[:2] for s in inputs.values()}
    if len(shapes) > 1:
        raise GraphError("Inputs: Input populations differ in samples or steps; they must agree.")
    if not shapes or 0 in shapes.pop():
        raise GraphError("Inputs: nothing to run; a run needs an Input population, at least one sample and one step.")
    return dict(inputs)


def missing(graph: Graph, can: Capabilities) -> list[str]:
    """What the graph needs and the backend lacks, in words; empty when it can run."""
    needs: list[str] = []
    if graph.precision not in can.precisions:
        needs.append(f"{graph.precision} graphs")
    for p in graph.populations:
        if isinstance(p, Input):
            continue
        if type(p).__name__ not in can.populations:
            needs.append(f"{type(p).__name__} ({p.name})")
        if isinstance(p, LIF) and p.reset not in can.resets:
            needs.append(f"reset {p.reset!r} ({p.name})")
        if isinstance(p, ALIF) and p.adaptation not in can.adaptations:
            needs.append(f"adaptation {p.adaptation!r} ({p.name})")
        if p.decay_u.any() and not can.synaptic_current:
            needs.append(f"synaptic current ({p.name})")
        if isinstance(p, LIF) and p.n_ref.any() and not can.refractory:
            needs.append(f"refractory period ({p.name})")
    needs += [f"plasticity ({q.name})" for q in graph.plastic if not can.plasticity]
    if not can.mixed_delays and any(p.max_delay > 1 for p in graph.projections):
        needs.append("delays above one step")
    return needs


@dataclass(frozen=True)
class Kept:
    """Names of the populations of which a run keeps spikes, and state traces, and of the plastic projections of which it keeps H and E;
    those of spikes in the graph's order.
    """

    spikes: tuple[str, ...]
    states: tuple[str, ...]
    plastic: tuple[str, ...] = ()


def prepare(
    backend: Backend,
    graph: Graph,
    inputs: Inputs,
    states: Iterable[str] = (),
    spikes: Iterable[str] | None = None,
    third_factors: ThirdFactors | None = None,
) -> tuple[dict[str, Spikes], Kept, dict[str, np.ndarray]]:
    """The checks that every `run` begins with: those of `keep`, and that inputs and third factors fit; these come back by name."""
    kept = keep(backend, graph, states, spikes)
    by_name = match_inputs(graph, inputs)
    n_steps, n_samples, _ = next(iter(by_name.values())).shape
    return by_name, kept, match_third_factors(graph, third_factors or {}, n_steps, n_samples)


def keep(backend: Backend, graph: Graph, states: Iterable[str] = (), spikes: Iterable[str] | None = None) -> Kept:
    """What a run keeps, once it is checked that the backend is installed and able, and that recorded populations exist."""
    if reason := backend.available():
        raise BackendError(f"Backend {backend.name!r} cannot run here: {reason}")
    if lacking := missing(graph, backend.capabilities):
        raise BackendError(f"Backend {backend.name!r} does not compute {', '.join(lacking)}; run this graph on another backend.")
    asked, plastic = tuple(dict.fromkeys(states)), [q.name for q in graph.plastic]
    traced = tuple(name for name in asked if name not in plastic)
    for name in traced:
        if isinstance(graph.population(name), Input):
            raise GraphError(f"States: {name!r} is an Input and has none.")
    firing = [p.name for p in graph.neurons if isinstance(p, LIF)]
    chosen = set(firing if spikes is None else spikes)
    if strange := chosen - set(firing):
        raise GraphError(f"Spikes: {', '.join(sorted(strange))} cannot be recorded; the populations that fire: {', '.join(firing)}.")
    return Kept(tuple(name for name in firing if name in chosen), traced, tuple(name for name in asked if name in plastic))


def batches(inputs: Mapping[str, Spikes], size: int, progress: Progress | None = None) -> Iterator[dict[str, Spikes]]:
    """Inputs by name, `size` samples at a time; `progress` is told of a batch when the next one is asked for."""
    n_samples = next(iter(inputs.values())).n_samples
    for first in range(0, n_samples, size):
        last = min(first + size, n_samples)
        yield {name: spikes.select(np.arange(first, last)) for name, spikes in inputs.items()}
        if progress:
            progress(last, n_samples)


def enforce(strict: bool, saturations: Mapping[str, int], backend: str) -> None:
    """Raise in strict runs if anything was clipped or wrapped."""
    if strict and saturations:
        what = ", ".join(f"{name} {count} times" for name, count in saturations.items())
        raise SaturationError(f"{backend}: state variables saturated: {what}. Quantise with more headroom, or run with strict=False.")
