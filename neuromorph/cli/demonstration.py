"""`neuromorph demo` and `neuromorph report`."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from neuromorph.cli import complete
from neuromorph.cli.output import Json, console, emit, joules, messages, progress_bar, seconds, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table


def demo(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder [runs/demo, runs/demo_plastic].")] = None,
    plastic: Annotated[bool, typer.Option("--plastic", help="A network that learns on chip, instead of digits.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Training epochs [the demo's own number].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, synapses and batches.")] = 0,
    profile: Annotated[str, typer.Option(help="Chip whose integers are used.", autocompletion=complete.profiles)] = "loihi2",
    brian2_samples: Annotated[int | None, typer.Option(min=1, help="Test samples validated in Brian2 [50].")] = None,
    lava_samples: Annotated[int | None, typer.Option(min=1, help="Test samples validated in Lava [20].")] = None,
    updates: Annotated[int | None, typer.Option(min=1, help="--plastic: updates of training [1000].")] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="--plastic: episodes that each contestant plays [512].")] = None,
    lava_episodes: Annotated[int | None, typer.Option(min=0, help="--plastic: episodes played in Lava too [4].")] = None,
    as_json: Json = False,
) -> None:
    """Walk the whole chain on real handwritten digits, in a few minutes on two cores.

    Trains a recurrent spiking network with BPTT and DEEP R, exports the sparse graph, quantises it, runs the test set,
    validates it spike for spike in Brian2 and bit for bit in Lava, counts, estimates energy, writes report.html.

    With --plastic: trains a network whose synapses learn from reward while it runs, lets its integers learn in closed
    loop, holds Lava against the reference bit for bit, writes plastic.html. A training that was stopped goes on.
    """
    of_digits = {"epochs": epochs, "brian2_samples": brian2_samples, "lava_samples": lava_samples}
    of_plastic = {"updates": updates, "episodes": episodes, "lava_episodes": lava_episodes}
    for name, value in (of_digits if plastic else of_plastic).items():
        if value is not None:
            raise typer.BadParameter(f"--{name.replace('_', '-')} is not for the demo {'with' if plastic else 'without'} --plastic.")
    if plastic:
        given = {name: value for name, value in of_plastic.items() if value is not None}
        _demo_plastic(out or Path("runs/demo_plastic"), as_json, seed, profile, given)
    else:
        _demo_digits(out or Path("runs/demo"), as_json, seed, profile, epochs, brian2_samples or 50, lava_samples or 20)


def _demo_plastic(out: Path, as_json: bool, seed: int, profile: str, numbers: dict[str, int]) -> None:
    from neuromorph.demo_plastic import PlasticDemoArgs, demo_plastic
    from neuromorph.report.plastic import write_plastic

    args = replace(PlasticDemoArgs(out=out, seed=seed, profile=profile), **numbers)
    summary = demo_plastic(args, say=lambda text: messages.print(text, highlight=False), bar=lambda: _updates(as_json))
    page = write_plastic(out)
    emit(as_json, summary, *plastic_tables(summary))
    messages.print(f"report: {page}", soft_wrap=True, highlight=False)
    if summary["lava"]["agrees"] is False:
        raise typer.Exit(1)


@contextmanager
def _updates(quiet: bool) -> "Iterator[Callable[[int, int], None] | None]":
    """A bar of updates; where there is no terminal, a line every tenth."""
    with progress_bar("train", quiet, "updates") as bar:
        yield bar or (None if quiet else _line)


def _line(done: int, total: int) -> None:
    if done % max(1, total // 10) == 0:
        messages.print(f"  {done:,} of {total:,} updates", highlight=False)


def _demo_digits(out: Path, as_json: bool, seed: int, profile: str, epochs: int | None, brian2_samples: int, lava_samples: int) -> None:
    from neuromorph.demo import DemoArgs
    from neuromorph.demo import demo as walk
    from neuromorph.report import write_report
    from neuromorph.train.config import TrainConfig

    config = TrainConfig.of(training={"seed": seed} if epochs is None else {"seed": seed, "epochs": epochs})
    samples = {"torch": brian2_samples, "fast": brian2_samples, "brian2": brian2_samples, "lava": lava_samples}
    args = DemoArgs(out=out, config=config, profile=profile, samples=samples)
    summary = walk(args, say=lambda text: messages.print(text, highlight=False), progress=not as_json)
    page = write_report(out)
    emit(as_json, summary, *summary_tables(summary))
    messages.print(f"report: {page}", soft_wrap=True, highlight=False)
    if not all(row["agrees"] for row in summary["validation"]):
        raise typer.Exit(1)


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, as `neuromorph demo` leaves it.")] = Path("runs/demo"), as_json: Json = False
) -> None:
    """Write the HTML report of a run folder anew and print its summary.

    Example: neuromorph report runs/demo
    """
    import json

    from neuromorph.report import write_report
    from neuromorph.report.plastic import is_plastic, write_plastic

    plastic = is_plastic(folder)
    page = write_plastic(folder) if plastic else write_report(folder)
    summary = json.loads((folder / "summary.json").read_text())
    emit(as_json, summary | {"report": str(page)}, *(plastic_tables if plastic else summary_tables)(summary))
    if not as_json:
        console.print(f"report: {page}", soft_wrap=True, highlight=False)


def summary_tables(summary: dict[str, Any]) -> list[Any]:
    """The summary of a run for people."""
    accuracy = summary["accuracy"]
    stages = [
        ("float32 (PyTorch)", 100 * accuracy["torch"]),
        ("float64 (reference)", 100 * accuracy["float"]),
        (f"integers ({summary['profile']})", 100 * accuracy["integer"]),
    ]
    synapses = f"{summary['active_synapses']:,} active synapses, {summary['requested_synapses']:,} requested"
    checks = [(v["backend"], v["precision"], v["samples"], v["verdict"], v["spikes"], told(v["first"])) for v in summary["validation"]]
    return [
        table(f"Accuracy on {accuracy['test_samples']} test samples", ["stage", "accuracy %"], stages, synapses),
        table("Validation against the reference", ["backend", "precision", "samples", "verdict", "spikes", "first difference"], checks),
        *_chip(summary),
        _energy(summary["energy"]),
        table("Time", ["stage", "seconds"], list(summary["seconds"].items())),
    ]


def plastic_tables(summary: dict[str, Any]) -> list[Any]:
    """The summary of the plastic demo for people."""
    accuracy, lava, check = summary["accuracy"], summary["lava"], summary["check"]
    curves = {"best possible": accuracy["ceiling"], **accuracy["curves"]}
    shown = [(escape(name), *(f"{100 * x:.1f}" for x in curve)) for name, curve in curves.items()]
    trials = [str(number + 1) for number in range(len(accuracy["ceiling"]))]
    episodes = f"{accuracy['episodes']} episodes, integers of {summary['profile']} on the {accuracy['simulator']} backend"
    return [
        table("Right answers (%) by trial of the episode", ["trial", *trials], shown, escape(episodes)),
        f"Lava did not run: {escape(lava['skipped'])}" if lava["skipped"] else _lava_table(lava["episodes"]),
        f"[bold]Chip[/]: the network {'fits' if check['fits'] else '[red]does not fit[/]'} {escape(check['profile'])}",
        *(f"  {escape(r['subject'])}: {escape(r['fault'])} {escape(r['remedy'])}" for r in check["rules"] if r["status"] == "broken"),
        _energy(summary["energy"], "episode"),
        _learning_table(summary["energy"]),
        *(f"{escape(name)}: {escape(reason)}" for name, reason in summary["energy_refused"].items()),
        table("Time", ["stage", "seconds", "CPU seconds"], [(k, v, summary["cpu_seconds"][k]) for k, v in summary["seconds"].items()]),
    ]


def _lava_table(episodes: list[dict[str, Any]]) -> "Table":
    rows = []
    for row in episodes:
        values, wrong = (sum(kind[what] for kind in row["kinds"].values()) for what in ("compared", "differing"))
        rows.append((row["episode"], f"{row['right']} of {row['answers']}", row["spikes"], values, wrong, escape(row["first"] or "")))
    names = ["episode", "right answers", "spikes", "values compared", "differ", "first difference"]
    return table("Closed loop in Lava against the reference, bit for bit", names, rows)


def _learning_table(estimates: list[dict[str, Any]]) -> "Table":
    terms = [(e["profile"], t) for e in estimates for t in e["terms"] if t["quantity"] == "energy.synapse_learn_update"]
    rows = [(name, int(t["count"]), *(joules(t[end]) for end in ("lo", "nominal", "hi"))) for name, t in terms]
    return table("Of it learning", ["profile", "updates of synapses", "lowest", "nominal", "highest"], rows)


def _chip(summary: dict[str, Any]) -> "Iterator[str]":
    """Whether the graph fits the chip, and what it asks of it, in a line each."""
    check, placed, refused = (summary.get(name) for name in ("check", "map", "map_refused"))
    if check:
        yield f"[bold]Chip[/]: the network {'fits' if check['fits'] else '[red]does not fit[/]'} {check['profile']}"
        yield from (
            f"  {escape(r['subject'])}: {escape(r['fault'])} {escape(r['remedy'])}" for r in check["rules"] if r["status"] == "broken"
        )
    if placed:
        load = placed["load"]
        hops = load["hops_ew"] + load["hops_ns"]
        yield f"  mapped: {load['cores']:,} core(s), {load['messages']:,.0f} messages and {hops:,.0f} hops an inference"
    if refused:
        yield f"  not mapped: {escape(refused)}"


def _energy(estimates: list[dict[str, Any]], per: str = "inference") -> "Table":
    """Totals of all chips, and the time that those need of which it is known."""
    rows = []
    unknown: dict[str, list[str]] = {}
    for e in estimates:
        total, dynamic, timed = e["total"], e["scopes"]["dynamic"], e.get("latency")
        ends = (joules(x) for x in (total["lo"], total["nominal"], total["hi"], dynamic["nominal"]))
        rows.append((e["profile"] + (" *" if e["what_if"] else ""), *ends, seconds(timed["total"]["nominal"]) if timed else "unknown"))
        for scope in (name for name, sums in e["scopes"].items() if not sums):
            unknown.setdefault(scope.replace("_", " ").replace("cpu", "CPU"), []).append(e["profile"])
    notes = ["an estimate from counts and published numbers, not a measurement", "time: what the chip needs, nominal"]
    notes += [f"{scope}: unknown, and not in the total, of {', '.join(chips)}" for scope, chips in unknown.items()]
    notes += ["* what if: the chip is not known to run this network"] if any(e["what_if"] for e in estimates) else []
    return table(f"Energy per {per}", ["profile", "lowest", "nominal", "highest", "dynamic", "time"], rows, escape("\n".join(notes)))


def told(first: dict[str, Any] | None) -> str:
    """A first difference out of JSON, in words."""
    from neuromorph.differences import Difference

    return str(Difference(**first)) if first else ""
