"""Renew the generated tables of README and docs: `make docs`. The tests fail when one is out of date."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs import papers
from neuromorph.backends import backends
from neuromorph.cli.output import joules, seconds

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

RESULTS = ROOT / "benchmarks" / "results"
GAPS = ROOT / "tests" / "conformance" / "unsupported.toml"
PRECISIONS = ("float", "integer")
ROWS = {
    "resets": "resets: subtraction of the threshold, to a value",
    "adaptation": "adaptation: threshold, current",
    "synaptic_current": "synaptic current (CUBA)",
    "refractoriness": "refractory period",
    "constants": "constants per neuron",
    "delays": "delays per synapse",
    "plasticity": "three-factor plasticity: hebbian, modulated, retroactive",
    "samples": "samples independent of each other",
    "chosen_records": "records of chosen populations",
    "planted_differences": "one unit planted is found",
    "random_graphs": "random graphs of all forms",
}
"""Behaviours by the name of their file in tests/conformance."""


def support_table() -> str:
    """Markdown. A backend has a behaviour in every precision for which the conformance suite lists no gap."""
    found = backends()
    gaps = tomllib.loads(GAPS.read_text()).get("gap", [])

    def cell(backend: str, behaviour: str) -> str:
        lacking = {gap["precision"] for gap in gaps if (gap["backend"], gap["behaviour"]) == (backend, behaviour)}
        having = [precision for precision in PRECISIONS if precision not in lacking]
        return "yes" if not lacking else f"{having[0]} only" if having else "no"

    lines = ["| | " + " | ".join(f"`{name}`" for name in found) + " |", "|---|" + ":-:|" * len(found)]
    for title, precision in (("float64", "float"), ("fixed point", "integer")):
        lines.append(f"| {title} | " + " | ".join("yes" if precision in b.capabilities.precisions else "no" for b in found.values()) + " |")
    lines += [f"| {title} | " + " | ".join(cell(name, behaviour) for name in found) + " |" for behaviour, title in ROWS.items()]
    lines.append("| how | " + " | ".join(b.capabilities.note for b in found.values()) + " |")
    return "\n".join(lines)


def agreement_table() -> str:
    """Markdown, from benchmarks/results/agreement.json: what was compared, and how many pairs were identical."""
    found = json.loads((RESULTS / "agreement.json").read_text())
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found["summary"]:
        if row["precision"] == row["against_precision"]:
            kinds.setdefault((row["kind"], row["precision"]), []).append(row)
    lines = ["| networks | precision | simulators, each with each | pairs identical | spikes a simulator |", "|---|---|---|--:|--:|"]
    for (kind, precision), rows in kinds.items():
        names = list(dict.fromkeys(name for row in rows for name in (row["against"], row["backend"])))
        counts = {field: sum(row[field] for row in rows) for field in ("identical", "rounding", "networks")}
        verdict = f"{counts['identical']:,} of {counts['networks']:,}" + (
            f", {counts['rounding']} differ by rounding" if counts["rounding"] else ""
        )
        n, samples = rows[0]["networks"], rows[0]["samples"]
        named = f"{kind.removeprefix('trained ').replace('_', ' ')}, {samples} samples" if n == 1 else f"{n} random {NETWORKS[kind]}"
        lines.append(f"| {named} | {precision} | {', '.join(names)} | {verdict} | {rows[0]['spikes']:,} |")
    return "\n".join(lines)


NETWORKS = {"graph integer": "graphs", "graph float": "graphs", "lsnn float": "LSNNs"}


def speed_table() -> str:
    """Markdown, from benchmarks/results/simulation_speed.json."""
    found = json.loads((RESULTS / "simulation_speed.json").read_text())
    lines = ["| network | `fast`, counting | `fast`, recording | other simulators take |", "|---|--:|--:|---|"]
    for name, row in found["speed"].items():
        others = [
            f"{peer} x{r['median']:,.0f} ({r['low']:,.0f}-{r['high']:,.0f})" for peer, r in row["ratio"].items() if peer != "fast_counts"
        ]
        speeds = [f"{row['sample_steps_per_s'][kind] / 1e6:.2f}" for kind in ("fast_counts", "fast")]
        lines.append(f"| {name}, {row['synapses']:,} synapses | {speeds[0]} | {speeds[1]} | {', '.join(others)} |")
    whole, machine, rounds = found["whole_set"], found["machine"], found["args"]["rounds"]
    seconds = "{median:.1f} s ({low:.1f}-{high:.1f})".format(**whole["cpu_s"])
    return "\n".join(
        [
            f"One thread of {machine['processor']}; million sample-steps a second, and CPU time of the others as a multiple of that of",
            f"`fast` recording (median and range of {rounds} rounds, interleaved; without the start of Lava's network). Networks have 80",
            "inputs at 5 % a step, 12 % of the synapses, 840 steps. Brian2 runs 32 samples at once on its numpy target.",
            "",
            *lines,
            "",
            f"{whole['samples']:,} samples of {whole['steps']} steps (N=220, integers, all counted): {seconds} of CPU time,",
            f"{whole['memory_mb']:.0f} MB of memory beyond the input.",
        ]
    )


def scale_table() -> str:
    """Markdown, from benchmarks/results/chip_scale.json."""
    found = json.loads((RESULTS / "chip_scale.json").read_text())
    parts = ("quantise", "check", "messages", "placement", "energy", "all")
    sizes = [f"| synapses | chip | cores | {' | '.join(parts)} | a synapse | memory |", "|--:|---|" + "--:|" * (len(parts) + 3)]
    for row in found["scale"]:
        seconds = " | ".join(_seconds(row["cpu_s"][part]) for part in parts)
        start = f"| {row['synapses']:,} | {row['profile']} | {row['cores']:,} | {seconds} |"
        sizes.append(f"{start} {row['ns_per_synapse']['all']:,.0f} ns | {row['memory_gb']:.1f} GB |")
    nets = ["| network | cores of Loihi 1 | cores in order take |", "|---|--:|--:|"]
    nets += [
        f"| {r['network']}, {r['synapses']:,} synapses | {r['cores']} | {r['ratio']:.2f} times the message hops |"
        for r in found["placement"]
    ]
    return "\n".join(
        [
            f"Random float graphs of one recurrent population; CPU time of one thread of {found['machine']['processor']};",
            "highest memory, float and integer graph in it. `placement`: with the import of scipy;",
            "`energy`: counts of ten steps and an estimate.",
            "",
            *sizes,
            "",
            *_recorded(found["recorded"]),
            "",
            "What placement saves where every neuron fires once:",
            "",
            *nets,
            "",
            "Of {cases} sets of eight cores with random traffic, placements take {mean:.4f} times the message hops of".format(
                **found["optimum"]
            ),
            "the best of all orders, {worst:.4f} at worst.".format(**found["optimum"]),
        ]
    )


def _recorded(row: dict[str, Any]) -> list[str]:
    """What mapping by recorded spikes takes and gives."""
    rates = [rate for name, rate in row["rates_hz"].items() if name != "input"]
    cpu = {part: _seconds(seconds) for part, seconds in row["cpu_s"].items()}
    return [
        "An LSNN of {synapses:,} synapses on Loihi 2, by the spikes that `fast` counts in {samples} samples of {steps} steps".format(**row),
        f"({min(rates):.0f} to {max(rates):.0f} Hz; {_seconds(row['simulation_cpu_s'])} of CPU time): {cpu['quantise']} to quantise, "
        f"{cpu['map']} to map, {cpu['counts']} for counts,",
        f"{cpu['load']} for messages and hops, {cpu['energy']} for the estimate. {row['cores']} cores, {row['messages']:,.0f} messages "
        f"and {row['hops']:,.0f} hops",
        f"in the mean sample; cores in order take {row['ratio']:.2f} times the message hops.",
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def mnist_table() -> str:
    """Markdown, from benchmarks/results/mnist_on_chips.json: the trained networks on every profile that has numbers, and who refused."""
    found = json.loads((RESULTS / "mnist_on_chips.json").read_text())
    lines: list[str] = []
    for form, network in found["networks"].items():
        lines += [
            f"Adaptation by {form}, {network['synapses']:,} synapses, {found['args']['samples']:,} test images, "
            f"{100 * network['chips'][0]['accuracy']:.1f} % right in the integers of {network['own_chip']}:",
            "",
            "| profile | cores | dynamic | static, real time | embedded CPU | time needed | total as fast as it goes |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        known = [row for row in network["chips"] if not row["refused"]]
        for row in known:
            real, fast = row["real_time"], row["free_running"]
            scopes = " | ".join(_span(real["scopes"][scope], "J") for scope in ("dynamic", "static", "embedded_cpu"))
            running = f"{_span(fast['seconds'], 's')} | {_span(fast['total'], 'J')}" if fast else "unknown | unknown"
            name = row["profile"] + (" *" if real["what_if"] else "")
            lines.append(f"| {name} | {row['cores'] or '-'} | {scopes} | {running} |")
        refused = ", ".join(row["profile"] for row in network["chips"] if row["refused"])
        lines += ["", f"Refused, for want of numbers: {refused}.", ""]
    return "\n".join([*lines, "\\* what if: neuromorph does not compile this network for the chip."])


def _span(interval: dict[str, float] | None, unit: str) -> str:
    """Nominal value, and the range where there is one."""
    if interval is None:
        return "unknown"
    told = {"J": joules, "s": seconds}[unit]
    low, nominal, high = (told(interval[end]) for end in ("lo", "nominal", "hi"))
    return nominal if low == high else f"{nominal} ({low} to {high})"


TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"support table": support_table, "experiments": papers.overview},
    ROOT / "docs" / "simulation.md": {"agreement": agreement_table, "simulation speed": speed_table},
    ROOT / "docs" / "results.md": {"experiments": papers.experiments, "deployed": papers.deployed},
    ROOT / "docs" / "chips.md": {"chip scale": scale_table, "mnist on chips": mnist_table},
}


def renewed(path: Path) -> str:
    """A document's text with fresh tables."""
    text = path.read_text()
    for name, table in TABLES[path].items():
        begin, end = f"<!-- {name}: begin (make docs) -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        text = f"{head}{begin}\n{table()}\n{end}{tail}"
    return text


if __name__ == "__main__":
    for document in TABLES:
        document.write_text(renewed(document))
