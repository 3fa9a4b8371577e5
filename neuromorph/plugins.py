"""What packages add to neuromorph by entry points, neuromorph itself included: simulators, folders of profiles, tasks.

A plug-in that is broken, or whose name is taken, is told with its package and entry point and left out; the others work.
"""

import sys
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from neuromorph.errors import PluginError

BACKENDS, PROFILES, TASKS = GROUPS = ("neuromorph.backends", "neuromorph.profiles", "neuromorph.tasks")
OWN = "neuromorph"


class PluginWarning(UserWarning):
    """A plug-in was left out."""


@dataclass(frozen=True)
class Plugin:
    """One entry point: `value` of the group, as package `distribution` of `version` declares it."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    entry: EntryPoint = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"Plug-in {self.name!r} of {self.distribution} {self.version} (entry point {self.group}: {self.value})"

    @property
    def own(self) -> bool:
        """Whether it comes with neuromorph."""
        return self.distribution == OWN

    def load(self) -> Any:
        """What the entry point names.

        Raises:
            PluginError: it cannot be imported, or has no such name.
        """
        try:
            return self.entry.load()
        except (Exception, SystemExit) as error:
            raise self.fault(f"cannot be loaded: {type(error).__name__}: {error}") from error

    def fault(self, what: str) -> PluginError:
        """An error that says what is wrong with it and what to do."""
        remedy = "Reinstall neuromorph." if self.own else f"Mend that package, or leave it out: pip uninstall {self.distribution}"
        return PluginError(f"{self} {what}. {remedy}")


def declared(group: str) -> tuple[Plugin, ...]:
    """Every entry point of a group that is installed, by name and package; nothing is imported."""
    return _declared(group, tuple(sys.path))


@cache
def _declared(group: str, path: tuple[str, ...]) -> tuple[Plugin, ...]:
    found = [_plugin(entry) for entry in entry_points(group=group)]
    return tuple(sorted(found, key=lambda p: (p.name, not p.own, p.distribution)))


def _plugin(entry: EntryPoint) -> Plugin:
    name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("an unknown package", "")
    return Plugin(entry.group, entry.name, entry.value, name, version, entry)


def clashes(group: str) -> dict[str, tuple[Plugin, ...]]:
    """Names that several packages declare. neuromorph's own is used where there is one, else none."""
    by_name: dict[str, list[Plugin]] = defaultdict(list)
    for each in declared(group):
        by_name[each.name].append(each)
    return {name: tuple(found) for name, found in by_name.items() if len(found) > 1}


def told(clash: tuple[Plugin, ...]) -> str:
    """A clash in a sentence."""
    packages = ", ".join(f"{p.distribution} {p.version}" for p in clash)
    used = f"{OWN}'s own is used" if clash[0].own else "none is used"
    return f"{clash[0].group}: {clash[0].name!r} is declared by {packages}; {used}. Rename the others, or uninstall all but one."


def plugins(group: str) -> dict[str, Plugin]:
    """Those that can be used, by name; clashes are told as a PluginWarning."""
    twice = clashes(group)
    for clash in twice.values():
        warn(told(clash))
    return {p.name: p for p in declared(group) if p.name not in twice or (p.own and p == twice[p.name][0])}


def plugin(group: str, name: str) -> Plugin | None:
    """The one of that name; None if there is none.

    Raises:
        PluginError: several packages declare it, none of which is neuromorph.
    """
    clash = clashes(group).get(name)
    if clash and not clash[0].own:
        raise PluginError(told(clash))
    return plugins(group).get(name)


def warn(text: str) -> None:
    """Tell that something was left out."""
    warnings.warn(text, PluginWarning, stacklevel=3)
