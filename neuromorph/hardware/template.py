"""A commented hardware profile to start from: it has no faults as it stands, and claims nothing that nobody measured."""

import os
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

from neuromorph.errors import ProfileError
from neuromorph.files import atomic_write
from neuromorph.hardware import ALIASES, HardwareProfile, inheritable, list_profiles, load_profile, resolve
from neuromorph.hardware.schema import BASES, CLASSES, KINDS_OF_NUMBER, LIMITS, QUANTITIES, SCHEMA, UPDATE_ACCOUNTS

QUANTITY = '{ v = "?", lo = "?", hi = "?", kind = "published", basis = "measured", src = "paper2026", note = "" }'
SHOWN = {
    "energy": ("synop", "neuron_update_active", "neuron_update_inactive", "message_out"),
    "time": ("synop", "neuron_update_active", "neuron_update_inactive"),
    "power": ("static_per_core", "static_per_chip"),
}
SHOWN_LIMITS = ("cores_per_chip", "compartments_per_core", "synapses_per_core", "weight_bits", "delay_max")
UNITS = {"energy": "J per event", "time": "s per event", "power": "W"}


def write_template(name: str, path: str | os.PathLike[str], like: str | None = None) -> None:
    """Write the template of profile `name` to a new file, `<name>.toml`; `like`: a profile whose limits it inherits.

    Raises:
        ProfileError: the name is no id or is taken, the file exists or is called otherwise, or the limits of `like` cannot
            be inherited.
        OSError: the folder does not exist or cannot be written.
    """
    target = Path(path)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ProfileError(f"Profile id {name!r}: use letters, digits, '_' and '-', a letter or digit first.")
    if name in ALIASES or name in list_profiles():
        raise ProfileError(f"Profile id {name!r} is taken; choose another (`neuromorph profiles list` shows all).")
    if target.name != f"{name}.toml":
        raise ProfileError(f"{target}: the file of profile {name!r} must be called {name}.toml; correct its name or the id.")
    if target.exists():
        raise ProfileError(f"{target}: there is such a file, and it is not overwritten; give another name, or move the file away.")
    atomic_write(target, template(name, None if like is None else _parent(like)).encode())


def template(name: str, like: HardwareProfile | None = None) -> str:
    """The text of a profile; `like`: a profile whose limits it inherits and whose kind of chip and neuron forms it starts with."""
    parts = [_header(name, like), *(_quantities(table) for table in SHOWN), _limits(like), _neuron(like), SOURCES]
    return "\n".join(parts)


SOURCES = """[sources]
# Full citations: paper and DOI or arXiv number, or repository@commit path. `src` above names these keys.
# paper2026 = "A. Author et al., Title, Journal 1:1-10, 2026, Table 2, doi:10.0000/0000"
"""


def _parent(name: str) -> HardwareProfile:
    profile = load_profile(resolve(name))
    if not inheritable(profile.id):
        allowed = ", ".join(other for other in list_profiles() if inheritable(other))
        raise ProfileError(f"Profile {name!r}: its limits are inherited themselves or not listed by an id; choose one of {allowed}.")
    return profile


def _header(name: str, like: HardwareProfile | None) -> str:
    chip_class, accounts = (like.chip_class, like.counts_neuron_updates) if like else (CLASSES[0], "all-allocated")
    event_driven = str(like is None or like.event_driven).lower()
    return f"""# A profile of your own. Check it:  neuromorph profiles lint {name}.toml
# Leave out every number that is not known: absent means unknown, and an estimate that needs it is refused by name; 0 means
# that it was found to cost nothing. Lines that start with '#' do not count; replace every "?" of those that you use.
schema = "{SCHEMA}"
id = "{name}" # the name of this file without .toml
title = "{name}" # one line: chip, operating point, where the numbers come from
class = "{chip_class}"
{_lines([f"one of: {', '.join(CLASSES)}"])}
# process_nm = 14
event_driven = {event_driven}
counts_neuron_updates = "{accounts}" # how the energies below account for neuron updates:
{_lines(f"{key}: {meaning}" for key, meaning in UPDATE_ACCOUNTS.items())}
# warning = "What a reader of any estimate must know."
"""


def _quantities(table: str) -> str:
    names = SHOWN[table]
    heading = f"[{table}] # {UNITS[table]}"
    if table == "energy":
        heading += f"""
# lo <= v <= hi; where no range is known all three are equal.
#   kind: {", ".join(KINDS_OF_NUMBER)} (an estimated number needs a note that says where it comes from)
#   basis: {", ".join(BASES)}
#   src: one or more keys of [sources], separated by ';'"""
    others = ", ".join(name for name in QUANTITIES[table] if name not in names)
    return "\n".join([heading, *(f"# {name} = {QUANTITY}" for name in names), _lines([f"also: {others}"]), ""])


def _limits(like: HardwareProfile | None) -> str:
    told = "# the limits of that profile; a key below replaces its own"
    inherit = f'inherit = "{like.id}" {told}' if like else f'# inherit = "loihi1" {told}'
    names = ", ".join(name for kind, names in LIMITS.items() for name in names if kind is not str)
    shown = "\n".join(f'# {name} = "?"' for name in SHOWN_LIMITS)
    return f"[limits]\n{inherit}\n{shown}\n{_lines([f'all: {names}'])}\n"


def _neuron(like: HardwareProfile | None) -> str:
    told = "# Neuron forms that the chip computes; without this table neuromorph does not quantise for it.\n"
    if like is None or not like.compilable:
        lines = '[neuron]\nresets = ["to_value"]\nadaptations = ["current"]\ncompartments = { LIF = 1, LI = 1, ALIF = 2 }\n'
        return told + textwrap.indent(lines, "# ")
    compartments = ", ".join(f"{kind} = {n}" for kind, n in like.compartments.items())
    resets, adaptations = (", ".join(f'"{form}"' for form in forms) for forms in (like.resets, like.adaptations))
    return f"{told}[neuron]\nresets = [{resets}]\nadaptations = [{adaptations}]\ncompartments = {{ {compartments} }}\n"


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(textwrap.fill(text, 118, initial_indent="#   ", subsequent_indent="#     ") for text in texts)
