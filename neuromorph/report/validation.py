"""Agreement of simulators as a page of its own, and as a section of a run's report."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from neuromorph.agreement import Excerpt, Validation
from neuromorph.differences import TOLERANCE
from neuromorph.files import atomic_write
from neuromorph.report import plots
from neuromorph.report.environment import template
from neuromorph.report.style import to_svg


def write_validation(path: str | os.PathLike[str], validation: Validation, *, model: str, title: str = "Agreement of simulators") -> Path:
    """Write a self-contained HTML page: the table of all pairs, and pictures around the first difference of each that differs. `model`: its
    name for people.
    """
    rows = [c.to_dict() for c in validation.comparisons]
    page = template("validation_page.html").render(title=title, model=model, **section(rows, validation.excerpts))
    atomic_write(path, page.encode())
    return Path(path)


def section(rows: Sequence[Mapping[str, Any]], excerpts: Sequence[Excerpt]) -> dict[str, Any]:
    """What the template of the section needs. `rows`: comparisons as `Comparison.to_dict` gives them."""
    return {"validation": rows, "tolerance": TOLERANCE, "differences": [_pictures(k, e) for k, e in enumerate(excerpts)]}


def _pictures(number: int, excerpt: Excerpt) -> dict[str, Any]:
    first, x, y = excerpt.first, excerpt.recording, excerpt.against
    name = f"{x.backend} and {y.backend} ({x.precision})"
    trace = plots.traces_apart(excerpt.graph, x, y, first)
    return {
        "name": name,
        "recording": x.backend,
        "against": y.backend,
        "first": first,
        "variable": {"a": "adaptation", "y": "readout", "E": "eligibility", "H": "plastic part"}.get(first.variable, "membrane potential"),
        "threshold": trace is not None and first.variable in ("v", "spike"),
        "raster": Markup(to_svg(plots.parting(x, y, first), f"parting-{number}", f"Spikes of {name} around their first difference")),
        "trace": None if trace is None else Markup(to_svg(trace, f"apart-{number}", f"Traces of {name} around their first difference")),
    }
