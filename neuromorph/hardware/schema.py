"""The schema of hardware profiles (`hardware_profiles/*.toml`): what may stand where, and every fault in words."""

import difflib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias, cast

from neuromorph.graph.populations import ADAPTATIONS, KINDS, RESETS

Toml: TypeAlias = Mapping[str, Any]

SCHEMA = "neuromorph.hardware_profile/1"

KINDS_OF_NUMBER = ("published", "derived", "estimated")
BASES = ("simulated", "measured", "regression", "vendor", "architectural", "derived", "none")
UPDATE_ACCOUNTS = {
    "all-allocated": "every allocated compartment is updated at every step",
    "active-only": "a neuron is updated only at steps that bring it input",
    "folded-into-synop": "the energy of a synaptic operation contains the neuron's share",
    "folded-into-static": "the static power contains the neuron updates",
    "not-counted": "the numbers leave neuron updates out",
    "power-model": "only power, or energy of whole inferences, is known; nothing per event",
}
CLASSES = (
    "digital-async-manycore",
    "digital-manycore-cpu",
    "digital-sync-crossbar",
    "digital-sync-snn",
    "mixed-signal",
    "op-count-proxy",
    "op-and-memory-model",
    "ann-reference",
)

HEADER: dict[str, tuple[type, bool]] = {  # key: (type, required)
    "schema": (str, True),
    "id": (str, True),
    "title": (str, True),
    "class": (str, True),
    "process_nm": (int, False),
    "event_driven": (bool, True),
    "counts_neuron_updates": (str, True),
    "warning": (str, False),
}
CHOICES: dict[str, tuple[str, ...]] = {"schema": (SCHEMA,), "class": CLASSES, "counts_neuron_updates": tuple(UPDATE_ACCOUNTS)}
TABLES = ("energy", "time", "power", "limits", "neuron", "model_discrepancy", "sources")
NEURON_KEYS = ("resets", "adaptations", "compartments")
QUANTITY_KEYS = ("v", "lo", "hi", "kind", "basis", "src", "note")

# fmt: off
QUANTITIES: dict[str, tuple[str, ...]] = {
    "energy": (  # J per event
        "synop", "neuron_update_active", "neuron_update_inactive", "spike_generate", "message_out", "message_in",
        "spike_intra_tile", "hop", "hop_ew", "hop_ns", "synapse_learn_update", "rng_draw", "clock_cycle",
        "embedded_cpu_step", "inference",
        "mac", "mac_int8", "mac_fp16", "mac_cpu_batched", "mac_gpu_batched", "mac_arm_batched", "mac_cpu_batch1",
        "mac_gpu_batch1", "add_int8", "add_int32", "mul_int32",
        "sram_8kib", "sram_32kib", "sram_1mib", "dram",  # per 64-bit access
    ),
    "time": (  # s per event
        "synop", "neuron_update_active", "neuron_update_inactive", "spike_generate", "message_out", "message_in",
        "spike_intra_tile", "hop_ew", "hop_ns", "synapse_learn_update", "barrier_1_tile", "barrier_2_tiles",
        "barrier_4_tiles", "barrier_29_tiles", "barrier_all_tiles", "barrier_256_chips", "barrier_768_chips", "host_per_step", "tick",
        "inference",
    ),
    "power": (  # W
        "static_per_core", "static_per_chip", "embedded_cpu_static", "leak", "idle", "dynamic", "chip", "chip_max",
    ),
    "model_discrepancy": ("factor",),  # measured over predicted dynamic energy
}
LIMITS = {
    int: (
        "cores_per_chip", "cores_usable_lava_oheogulch", "cores_per_tile", "tiles", "mesh_columns",
        "mesh_rows", "compartments_per_core", "compartment_group",
        "in_axons_per_core", "out_axons_per_core", "synapse_mem_bits_per_core", "synapse_word_bits", "total_mem_bytes_per_core",
        "synapse_mem_bytes_per_core", "sram_bytes_per_core", "lava_synmem_words_per_core", "synapses_per_core", "synapses_total",
        "synops_per_message", "delay_max", "delay_max_default", "refractory_max", "compartment_profiles_per_core",
        "vth_profiles_per_core", "synapse_formats_per_core", "learning_epoch_max", "trace_bits", "tag_bits_signed",
        "uv_bits_signed", "vth_mantissa_bits", "bias_mantissa_bits", "bias_exp_max", "decay_bits", "graded_spike_bits",
        "third_factor_traces", "neuron_state_bytes_max", "embedded_cpus", "weight_levels_per_neuron", "weight_bits_signed",
        "neurons_total", "synapse_mem_bytes_total", "speedup_vs_biology",
    ),
    list: ("weight_bits", "index_bits", "weight_exp"),
    bool: ("graded_spikes", "on_chip_learning"),
    str: ("inherit",),
}
# fmt: on
LIMIT_TYPES = {name: kind for kind, names in LIMITS.items() for name in names}
TYPE_WORDS = {int: "a whole number", list: "a list of whole numbers, not empty", bool: "true or false", str: "a string, not empty"}
TEMPLATE = "{ v, lo, hi, kind, basis, src, note }"


def faults(raw: Toml) -> Iterator[str]:
    """Every fault of a parsed profile, each naming table and key; nothing if it is valid."""
    for rule in RULES:
        yield from rule(raw)


def _header(raw: Toml) -> Iterator[str]:
    for key, (kind, required) in HEADER.items():
        wanted = f"one of: {', '.join(CHOICES[key])}" if key in CHOICES else TYPE_WORDS[kind]
        if key not in raw:
            if required:
                yield f"{key} is missing; give {wanted}."
        elif type(raw[key]) is not kind or raw[key] == "" or raw[key] not in CHOICES.get(key, (raw[key],)):
            yield f"{key} is {raw[key]!r}; give {wanted}."


def _tables(raw: Toml) -> Iterator[str]:
    for key, value in raw.items():
        if key in HEADER:
            continue
        if key not in TABLES:
            yield _unknown(key, (*HEADER, *TABLES))
        elif not isinstance(value, dict):
            yield f"[{key}] is {value!r}; write it as a table, [{key}] on a line of its own and its keys below."
    if "sources" not in raw:
        yield "[sources] is missing; add it, with a full citation for every src key."


def _sources(raw: Toml) -> Iterator[str]:
    for key, citation in _table(raw, "sources").items():
        if not isinstance(citation, str) or not citation.strip():
            yield f"[sources] {key} is {citation!r}; give the full citation (paper and DOI or arXiv number, or repository@path)."


def _quantities(raw: Toml) -> Iterator[str]:
    for table, names in QUANTITIES.items():
        for key, value in _table(raw, table).items():
            if key not in names:
                yield _unknown(f"[{table}] {key}", names)
            elif not isinstance(value, dict):
                yield f"[{table}] {key} is {value!r}; give {TEMPLATE}, and leave out what is not known."
            else:
                yield from _quantity(f"[{table}] {key}", cast(Toml, value), _table(raw, "sources"))


def _quantity(place: str, quantity: Toml, sources: Toml) -> Iterator[str]:
    for key in sorted(quantity.keys() - set(QUANTITY_KEYS)):
        yield _unknown(f"{place}: {key}", QUANTITY_KEYS)
    yield from _range(place, quantity)
    for key, allowed in (("kind", KINDS_OF_NUMBER), ("basis", BASES)):
        if quantity.get(key) not in allowed:
            yield f"{place}: {_found(quantity, key)}; give one of: {', '.join(allowed)}."
    if not isinstance(quantity.get("note", ""), str):
        yield f"{place}: note is {quantity['note']!r}; give a string."
    if quantity.get("kind") == "estimated" and not quantity.get("note"):
        yield f"{place}: kind is 'estimated' without a note; add a note that says where the number comes from."
    src = quantity.get("src")
    if not isinstance(src, str) or not src.strip():
        yield f"{place}: {_found(quantity, 'src')}; name one or more keys of [sources], separated by ';'."
        return
    for key in source_keys(src):
        if key not in sources:
            there = f"[sources] has {', '.join(sources)}" if sources else "[sources] is empty"
            yield f"{place}: src {key!r} is not in [sources] ({there}); add its full citation there."


def _range(place: str, quantity: Toml) -> Iterator[str]:
    wrong = [_found(quantity, key) for key in ("lo", "v", "hi") if not _is_number(quantity.get(key))]
    if wrong:
        yield f"{place}: {', '.join(wrong)}; lo, v, hi must be finite numbers, 0 or more (SI units): give those, or leave out the quantity."
    elif not quantity["lo"] <= quantity["v"] <= quantity["hi"]:
        found = ", ".join(f"{key} {quantity[key]}" for key in ("lo", "v", "hi"))
        yield f"{place}: {found}; give lo <= v <= hi (all equal where no range is known)."


def _is_number(x: object) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) and x >= 0


def _found(table: Toml, key: str) -> str:
    return f"{key} is {table[key]!r}" if key in table else f"{key} is missing"


def _unknown(place: str, allowed: Collection[str]) -> str:
    """The fault of a key that may not stand there; `place` ends with the key."""
    near = difflib.get_close_matches(place.split()[-1], allowed, n=1)
    advice = f"did you mean {near[0]}?" if near else "correct it or take it out."
    return f"{place} is unknown; {advice} Allowed: {', '.join(allowed)}."


def source_keys(src: str) -> tuple[str, ...]:
    """The keys of [sources] that a `src` names."""
    return tuple(key.strip() for key in src.split(";"))


def _limits(raw: Toml) -> Iterator[str]:
    for key, value in _table(raw, "limits").items():
        kind = LIMIT_TYPES.get(key)
        if kind is None:
            yield _unknown(f"[limits] {key}", LIMIT_TYPES)
        elif type(value) is not kind or (kind is list and not _is_whole_list(value)):
            yield f"[limits] {key} is {value!r}; give {TYPE_WORDS[kind]}."
        elif key == "weight_exp":
            if not _is_range(value):
                yield f"[limits] weight_exp is {value}; give [lowest, highest]."
        elif (isinstance(value, list) and min(cast(list[int], value)) < 0) or (isinstance(value, int) and value < 0):
            yield f"[limits] {key} is {value}; give 0 or more, and leave out what is not known."


def _is_whole_list(value: Any) -> bool:
    return bool(value) and all(type(x) is int for x in value)


def _is_range(value: Any) -> bool:
    return len(value) == 2 and value[0] <= value[1]


def _neuron(raw: Toml) -> Iterator[str]:
    if "neuron" not in raw:
        return
    neuron = _table(raw, "neuron")
    for key in sorted(neuron.keys() - set(NEURON_KEYS)):
        yield _unknown(f"[neuron] {key}", NEURON_KEYS)
    for key, allowed in (("resets", RESETS), ("adaptations", ADAPTATIONS)):
        value = neuron.get(key)
        if not isinstance(value, list) or not set(map(str, cast(list[object], value))) <= set(allowed):
            yield f"[neuron] {_found(neuron, key)}; give a list out of {', '.join(allowed)} ([] for none)."
    compartments = neuron.get("compartments")
    kinds = [kind for kind in KINDS if kind != "Input"]
    if not isinstance(compartments, dict) or set(cast(Toml, compartments)) != set(kinds):
        yield f"[neuron] {_found(neuron, 'compartments')}; give one number for each of {', '.join(kinds)}."
    elif not all(type(n) is int and n >= 1 for n in cast(Toml, compartments).values()):
        yield f"[neuron] compartments is {compartments!r}; each neuron takes 1 compartment or more: give whole numbers."


def _table(raw: Toml, name: str) -> Toml:
    table = raw.get(name)
    return cast(Toml, table) if isinstance(table, dict) else {}


RULES: tuple[Callable[[Toml], Iterator[str]], ...] = (_header, _tables, _sources, _quantities, _limits, _neuron)
