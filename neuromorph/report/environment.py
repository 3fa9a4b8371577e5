"""The pages' templates, with the filters that they use."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader, Template
from markupsafe import Markup

from neuromorph.differences import Difference
from neuromorph.report.numbers import NONE, data, span


def template(name: str) -> Template:
    """The template of that file name."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    loader = PackageLoader("neuromorph.report")
    environment = Environment(loader=loader, autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(data=data, span=span, difference=difference)
    return environment


def difference(first: Mapping[str, Any] | Difference | str | None) -> Any:
    """A difference in words, its numbers as <data>; as it comes, or out of JSON; a dash for none."""
    if not isinstance(first, Difference):
        if not isinstance(first, Mapping) or set(first) != {field.name for field in fields(Difference)}:
            return str(first) if first else NONE
        first = Difference(**first)
    place = Markup("sample {}, step {}, {}[{}]").format(data(first.sample), data(first.step), first.population, data(first.neuron))
    text = Markup("{}: {} {} against {}").format(place, first.variable, data(first.a), data(first.b))
    if first.margin is None:
        return text
    return text + Markup(", margin to threshold {}{}").format(data(first.margin), " (rounding)" if first.rounding else "")
