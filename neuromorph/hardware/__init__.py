"""Hardware profiles (`hardware_profiles/*.toml`): a chip's limits, neuron forms, and energy, time and power per event."""

from neuromorph.hardware.files import inheritable, lint, list_profiles, load_profile, origins, resolve
from neuromorph.hardware.profile import HardwareProfile, Quantity
from neuromorph.profile_folders import ALIASES, FOLDERS, SHIPPED

__all__ = [
    "ALIASES",
    "FOLDERS",
    "SHIPPED",
    "HardwareProfile",
    "Quantity",
    "inheritable",
    "lint",
    "list_profiles",
    "load_profile",
    "origins",
    "resolve",
]
