"""Renew the generated part of the README: `make docs`. The tests fail when it is out of date."""

from pathlib import Path

from neuromorph.backends import backends

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- support table: begin (make docs) -->", "<!-- support table: end -->"

ROWS = {
    "float64": lambda c: "float" in c.precisions,
    "fixed point": lambda c: "integer" in c.precisions,
    "LIF, ALIF, LI": lambda c: {"LIF", "ALIF", "LI"} <= set(c.populations),
    "reset by subtraction": lambda c: "subtract" in c.resets,
    "reset to a value": lambda c: "to_value" in c.resets,
    "adaptation by threshold": lambda c: "threshold" in c.adaptations,
    "adaptation by current": lambda c: "current" in c.adaptations,
    "synaptic current (CUBA)": lambda c: c.synaptic_current,
    "refractory period": lambda c: c.refractory,
    "constants per neuron": lambda c: c.per_neuron_constants,
    "delays per synapse": lambda c: c.mixed_delays,
    "membrane potential recorded": lambda c: "v" in c.states,
    "clips and wraps counted": lambda c: c.saturation_counts,
}


def support_table() -> str:
    """Markdown, from the capabilities that the backends declare and the conformance suite holds them to."""
    found = backends()
    lines = ["| | " + " | ".join(f"`{name}`" for name in found) + " |", "|---|" + ":-:|" * len(found)]
    lines += [
        f"| {row} | " + " | ".join("yes" if has(b.capabilities) else "no" for b in found.values()) + " |" for row, has in ROWS.items()
    ]
    lines.append("| how | " + " | ".join(b.capabilities.note for b in found.values()) + " |")
    return "\n".join(lines)


def renewed(text: str) -> str:
    """The README's text with a fresh table."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{support_table()}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
