"""What is done to every shard alike, and the name of a shard's file: a digest of everything that its content depends on."""

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from neuromorph import backends, recording
from neuromorph.backends.fast import FastBackend, summary
from neuromorph.backends.fast.summary import Summary
from neuromorph.errors import BackendError, NeuromorphError
from neuromorph.graph.container import digest
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.spikes import VERSION, Spikes, to_tree

Result: TypeAlias = Recording | Summary

_turn = threading.Lock()


@dataclass(frozen=True)
class Kind:
    """How results are written, read and put together. `fields`: those by population."""

    fields: tuple[str, ...]
    save: Callable[[str | os.PathLike[str], Any], None]
    load: Callable[[Path], Any]
    join: Callable[[Sequence[Any]], Any]


RECORDING = Kind(("spikes", "readouts", "states"), recording.save_recording, recording.load_recording, recording.join)
SUMMARY = Kind(("fired", "active", "readouts"), summary.save_summary, summary.load_summary, summary.join)


@dataclass(frozen=True, eq=False)
class Job:
    """`graph` on the backend of that name, keeping what these populations do; `version` of neuromorph.

    `window`: None for a Recording; a number of steps for a Summary whose readouts are averaged over so many.
    """

    graph: Graph
    backend: str
    spikes: tuple[str, ...]
    states: tuple[str, ...]
    strict: bool
    window: int | None
    version: str

    @property
    def kind(self) -> Kind:
        return RECORDING if self.window is None else SUMMARY

    def about(self) -> dict[str, Any]:
        """Everything that results depend on besides the inputs."""
        options = {"spikes": self.spikes, "states": self.states, "strict": self.strict, "window": self.window}
        graph = {"graph": self.graph.digest(), "precision": self.graph.precision}
        return {**graph, **options, "backend": self.backend, "version": self.version}

    def load(self, path: Path) -> Result:
        """A result from its file, populations in the graph's order."""
        found = self.kind.load(path)
        by_name = {field: getattr(found, field) for field in self.kind.fields}
        ordered = {field: {p.name: x[p.name] for p in self.graph.populations if p.name in x} for field, x in by_name.items()}
        return replace(found, **ordered)

    def run(self, inputs: Mapping[str, Spikes]) -> Result:
        """Simulate the samples given."""
        if self.window is not None:
            return FastBackend().summarise(self.graph, inputs, window=self.window, strict=self.strict)
        return backends.backend(self.backend).run(self.graph, inputs, states=self.states, spikes=self.spikes, strict=self.strict)


def key(about: Mapping[str, Any], inputs: Mapping[str, Spikes]) -> str:
    """SHA-256 (hex) of `Job.about` and of the samples, as canonical JSON."""
    named = {**about, "inputs": {name: digest("spikes", VERSION, to_tree(spikes)) for name, spikes in inputs.items()}}
    return hashlib.sha256(json.dumps(named, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def compute(job: Job, inputs: dict[str, Spikes]) -> bytes:
    """The file of one shard, made wherever a worker is. One shard at a time in a process: simulators thread themselves, or cannot.

    Raises:
        NeuromorphError: what the backend raises; anything else becomes a BackendError, which any process can be told.
    """
    if (here := version("neuromorph")) != job.version:
        raise BackendError(f"Shards: a worker has neuromorph {here}, the client {job.version}; install one version everywhere.")
    try:
        with _turn, tempfile.TemporaryDirectory(prefix="neuromorph-shard-") as folder:
            path = Path(folder) / "shard.h5"
            job.kind.save(path, job.run(inputs))
            return path.read_bytes()
    except NeuromorphError:
        raise
    except Exception as error:
        raise BackendError(f"{job.backend}: {type(error).__name__}: {error}") from error
