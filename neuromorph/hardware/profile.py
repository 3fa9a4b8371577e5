"""A chip as data: limits, neuron forms, and energy, time and power, each number with range and source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from neuromorph.errors import ProfileError
from neuromorph.graph.populations import Population
from neuromorph.hardware.schema import source_keys

Limit: TypeAlias = int | bool | tuple[int, ...]


@dataclass(frozen=True)
class Quantity:
    """A number with its range: `lo <= v <= hi`, SI units (J per event, s per event or W, by table).

    `kind`: published | derived | estimated; `basis`: simulated | measured | regression | vendor | architectural |
    derived | none; `src`: keys of the profile's `sources`, separated by ";".
    """

    v: float
    lo: float
    hi: float
    kind: str
    basis: str
    src: str
    note: str = ""

    @property
    def source_keys(self) -> tuple[str, ...]:
        return source_keys(self.src)


@dataclass(frozen=True)
class HardwareProfile:
    """A chip (or a counting convention) as data; what is not known is absent, never 0.

    `energy` [J per event], `time` [s per event], `power` [W]: quantities by name. `limits`: whole numbers, lists and
    switches. `resets`, `adaptations`, `compartments` (per neuron kind): the neuron forms of a chip that neuromorph
    compiles to, empty for others. `model_discrepancy`: measured over predicted dynamic energy, where known.
    `counts_neuron_updates`: how the numbers account for neuron updates (`hardware.schema.UPDATE_ACCOUNTS`).
    `alias_of`: the full id when the profile was asked for by a short name, else "".
    """

    id: str
    title: str
    chip_class: str
    process_nm: int | None
    event_driven: bool
    counts_neuron_updates: str
    warning: str
    energy: Mapping[str, Quantity]
    time: Mapping[str, Quantity]
    power: Mapping[str, Quantity]
    limits: Mapping[str, Limit]
    resets: tuple[str, ...]
    adaptations: tuple[str, ...]
    compartments: Mapping[str, int]
    model_discrepancy: Quantity | None
    sources: Mapping[str, str]
    alias_of: str = ""

    @property
    def compilable(self) -> bool:
        """Whether neuromorph can quantise a graph for this chip."""
        return bool(self.resets)

    def compartments_of(self, p: Population) -> int:
        """Compartments that one neuron of a population takes: 1 where the profile does not say."""
        return self.compartments.get(type(p).__name__, 1)

    def limit(self, name: str) -> int:
        """A whole-number limit.

        Raises:
            ProfileError: the profile does not say.
        """
        value = self.limits.get(name)
        if type(value) is not int:
            raise ProfileError(f"Profile {self.id!r}: [limits] has no number {name!r}; it is needed here, use a profile that has it.")
        return value

    def limit_range(self, name: str) -> tuple[int, int]:
        """A limit given as [lowest, highest].

        Raises:
            ProfileError: the profile does not say.
        """
        value = self.limits.get(name)
        if not isinstance(value, tuple) or len(value) != 2:
            raise ProfileError(f"Profile {self.id!r}: [limits] has no range {name!r}; it is needed here, use a profile that has it.")
        return value[0], value[1]

    def widest(self, name: str) -> int:
        """The largest number of a limit given as a list.

        Raises:
            ProfileError: the profile does not say.
        """
        value = self.limits.get(name)
        if not isinstance(value, tuple):
            raise ProfileError(f"Profile {self.id!r}: [limits] has no list {name!r}; it is needed here, use a profile that has it.")
        return max(value)
