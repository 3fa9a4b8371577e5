"""Do all simulators agree? `python -m benchmarks.agreement --run runs/digits --run runs/sequential_mnist`.

Random graphs with every form of the step, in floats and in integers; random LSNNs, which PyTorch runs too; trained networks (folders of
`neuromorph train`) on their test data. Every simulator is held against every other, spikes and all states, spike for spike in float64 and
bit for bit in integers. A run that was stopped goes on where it was.
"""

import argparse
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from benchmarks.machine import machine
from neuromorph.agreement import Validation, validate
from neuromorph.files import atomic_write
from neuromorph.graph import Graph
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.spikes import Spikes
from neuromorph.tasks.choose import load_task
from neuromorph.train import load_checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.export import export
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.record import record
from tests.strategies import random_graph, random_inputs

RESULTS = Path(__file__).parent / "results" / "agreement.json"
BACKENDS = ("reference", "fast", "brian2", "lava")


@dataclass(frozen=True)
class Args:
    """`graphs`: random graphs of each precision, and random LSNNs; `run`: folders of trained networks; `samples`: of each of these;
    `partial`: where what is done is kept.
    """

    graphs: int = 200
    run: tuple[Path, ...] = ()
    samples: int = 100
    backends: tuple[str, ...] = BACKENDS
    partial: Path = Path("runs/agreement.partial.json")
    out: Path = RESULTS


def random_case(precision: str, seed: int, backends: tuple[str, ...]) -> Validation:
    """A random graph with its inputs: two samples of 60 steps."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, precision=precision, max_neurons=12)
    return validate(graph, random_inputs(rng, graph, 2, 60), backends)


def random_lsnn(seed: int, backends: tuple[str, ...]) -> Validation:
    """A random LSNN in float64 with real weights, by PyTorch's loop and by the compiled kernel too: three samples of 100 steps."""
    rng = np.random.default_rng(seed)
    config = LSNNConfig(
        *rng.integers(1, 15, 3).tolist(),
        tau_m=float(rng.uniform(5e-3, 30e-3)),
        tau_a=float(rng.uniform(30e-3, 300e-3)),
        v_th=float(rng.uniform(0.01, 0.5)),
        n_ref=int(rng.integers(0, 6)),
        reset=str(rng.choice(["subtract", "to_value"])),  # pyright: ignore[reportArgumentType]
        adaptation=str(rng.choice(["threshold", "current"])),  # pyright: ignore[reportArgumentType]
        max_input_delay=int(rng.integers(1, 8)),
        max_recurrent_delay=int(rng.integers(1, 8)),
        max_readout_delay=int(rng.integers(1, 4)),
        n_layers=int(rng.integers(1, 3)),
    )
    generator = torch.Generator().manual_seed(seed)
    model = LSNN(config, int(rng.integers(2, 20)), 3, generator=generator, dtype=torch.float64)
    inputs = Spikes.from_dense(rng.random((100, 3, model.n_in)) < 0.2, model.dt)
    return validate(export(model), inputs, backends, others=torch_runs(model, export(model)))


def torch_runs(model: Any, graph: Graph) -> dict[str, Callable[[Any], Any]]:
    """The network in float64 by PyTorch's loop over steps, and by the compiled kernel."""

    def run(name: str, compiled: bool) -> Callable[[Any], Any]:
        network = copy.deepcopy(model).double()
        network.compiled = compiled
        return lambda inputs: replace(record(network, graph, inputs[graph.inputs[0].name]), backend=name)

    return {"torch_loop": run("torch_loop", False), "torch_kernel": run("torch_kernel", True)}


def trained(folder: Path, samples: int, backends: tuple[str, ...]) -> Validation:
    """A trained network in floats and in the integers of Loihi 2, on the first test samples."""
    config = TrainConfig.read(folder / "config.toml")
    test = load_task(config.task).test
    model = load_checkpoint(folder / "best.safetensors")
    graph = model.graph()
    integer, _ = quantize(graph, load_profile("loihi2"))
    inputs = Spikes.from_dense(test.dense(np.arange(min(samples, len(test)))), test.dt)
    return validate((graph, integer), inputs, backends, others=torch_runs(model.model, graph), window=config.training.window)


def cases(args: Args) -> Iterator[tuple[str, Callable[[], Validation]]]:
    """Everything to be run, by name; trained networks first."""
    for folder in args.run:
        yield f"trained {folder.name}", lambda folder=folder: trained(folder, args.samples, args.backends)
    for seed in range(args.graphs):
        for precision in ("integer", "float"):
            yield f"graph {precision} {seed}", lambda seed=seed, precision=precision: random_case(precision, seed, args.backends)
        yield f"lsnn float {seed}", lambda seed=seed: random_lsnn(seed, args.backends)


def summary(done: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row for each kind of network and pair of simulators."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, comparisons in done.items():
        kind = name if name.startswith("trained") else name.rsplit(" ", 1)[0]
        for c in comparisons:
            key = kind, c["precision"], c["against"], c["backend"], c["against_precision"]
            row = rows.setdefault(
                key, {"networks": 0, "identical": 0, "rounding": 0, "samples": 0, "spikes": 0, "spikes_differing": 0, "traces": 0}
            )
            row["networks"] += 1
            for field in ("identical", "rounding", "samples", "spikes", "spikes_differing", "traces"):
                row[field] += int(c[field])
    columns = ("kind", "precision", "against", "backend", "against_precision")
    return [dict(zip(columns, key)) | row for key, row in rows.items()]


def main(args: Args) -> dict[str, Any]:
    torch.set_num_threads(1)
    partial = args.partial
    partial.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, list[dict[str, Any]]] = json.loads(partial.read_text()) if partial.exists() else {}
    todo = [(name, run) for name, run in cases(args) if name not in done]
    for name, run in track(todo, description="networks"):
        found = run()
        done[name] = [c.to_dict() for c in found.comparisons]
        atomic_write(partial, json.dumps(done).encode())
        if not found.agrees:
            print(f"{name}: {found}", flush=True)
    every = [c for comparisons in done.values() for c in comparisons]
    result = {
        "args": {**asdict(args), "out": args.out.name, "partial": args.partial.name, "run": [folder.name for folder in args.run]},
        "machine": machine(),
        "summary": summary(done),
        "across_precisions": {
            name: [c for c in cs if c["precision"] != c["against_precision"]] for name, cs in done.items() if "trained" in name
        },
        "different": [c for c in every if c["precision"] == c["against_precision"] and not c["identical"]],
    }
    atomic_write(args.out, (json.dumps(result, indent=1) + "\n").encode())
    for row in result["summary"]:
        print("{kind:24} {precision:8} {against:>10} = {backend:14} {identical}/{networks} identical, {spikes} spikes".format(**row))
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=Args.graphs)
    parser.add_argument("--run", type=Path, action="append", default=[])
    parser.add_argument("--samples", type=int, default=Args.samples)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--partial", type=Path, default=Args.partial)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = vars(parser.parse_args())
    main(Args(**given | {"run": tuple(given["run"]), "backends": tuple(given["backends"])}))
