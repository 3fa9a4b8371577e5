"""Tables of plastic projections: their rules, and what quantising made of them."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from neuromorph.cli.output import table

if TYPE_CHECKING:
    from rich.table import Table

    from neuromorph.graph import Graph
    from neuromorph.quantize_plastic import PlasticReport


def rules(graph: "Graph") -> list[dict[str, Any]]:
    """The rule of every plastic projection, alpha by its span."""
    found: list[dict[str, Any]] = []
    for q in graph.plastic:
        rule = q.plasticity
        assert rule is not None, "a plastic projection"
        told = {name: value for name, value in vars(rule).items() if name not in ("alpha", "fixed")}
        span = {"min": float(rule.alpha.min()), "max": float(rule.alpha.max())} if rule.alpha.size else {}
        found.append({"name": q.name, **told, "alpha": span, "fixed": asdict(rule.fixed) if rule.fixed else None})
    return found


def rules_table(found: list[dict[str, Any]]) -> "Table":
    rows = [(r["name"], r["rule"], r["third_factor"] or None, ", ".join(_numbers(r))) for r in found]
    return table("Plasticity", ["projection", "rule", "third factor", "numbers"], rows)


def _numbers(rule: dict[str, Any]) -> Iterator[str]:
    from neuromorph.graph.plasticity import NUMBERS

    for name in NUMBERS:
        if rule[name]:
            yield f"{name} {rule[name]:.4g}"
    if rule["alpha"]:
        yield f"alpha {rule['alpha']['min']:.3g} .. {rule['alpha']['max']:.3g}"
    if rule["fixed"]:
        yield f"{rule['fixed']['rounding']} rounding"


def report_table(found: "tuple[PlasticReport, ...]") -> "Table":
    rows = [
        (
            r.name,
            f"{r.third_factor} x {r.third_scale:.3g}" if r.third_factor else None,
            r.eligibility_scale,
            r.plastic_scale,
            100 * r.alpha_error,
            ", ".join(f"{name} {100 * error:.2g} %" for name, error in r.errors.items()),
        )
        for r in found
    ]
    columns = ["projection", "third factor", "E", "H", "alpha error %", "relative errors"]
    caption = f"E, H: integers for one of the float rule; rounding: {', '.join({r.rounding for r in found})}"
    return table("Plasticity in integers", columns, rows, caption)
