"""Profiles: every shipped one is clean, every planted fault is found and named, aliases are visible."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import neuromorph
from neuromorph.errors import ProfileError
from neuromorph.hardware import Quantity, lint, list_profiles, load_profile, resolve
from neuromorph.hardware_schema import QUANTITIES

PROFILES = [
    "brainscales2",
    "cmos45_fp32",
    "cmos45_int8_mem",
    "gpu_cpu_reference",
    "loihi1",
    "loihi1_sanafe",
    "loihi2_estimate",
    "odin",
    "spinnaker1",
    "spinnaker2",
    "truenorth",
    "xylo_audio2",
]
VALID = """
schema = "neuromorph.hardware_profile/1"
id = "mine"
title = "My chip"
class = "digital-async-manycore"
event_driven = true
counts_neuron_updates = "all-allocated"
[energy]
synop = { v = 2e-12, lo = 1e-12, hi = 3e-12, kind = "published", basis = "measured", src = "paper" }
[time]
synop = { v = 2e-9, lo = 1e-9, hi = 3e-9, kind = "published", basis = "measured", src = "paper" }
[limits]
inherit = "loihi1"
decay_bits = 8
weight_exp = [-3, 3]
[neuron]
resets = ["to_value"]
adaptations = []
compartments = { LIF = 1, LI = 1, ALIF = 2 }
[sources]
paper = "A paper, doi:10.0/0"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def quantities(name: str) -> dict[str, Quantity]:
    p = load_profile(name)
    tables = {"energy": p.energy, "time": p.time, "power": p.power}
    return {f"{table}.{key}": q for table, by_name in tables.items() for key, q in by_name.items()}


def test_the_shipped_profiles_are_these():
    assert list_profiles() == PROFILES


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profiles_are_clean(name):
    assert lint(name) == []
    profile = load_profile(name)
    assert profile.id == name
    assert profile.alias_of == ""
    used = {key for q in quantities(name).values() for key in q.source_keys}
    assert used <= set(profile.sources)


@pytest.mark.parametrize("name", PROFILES)
def test_an_update_with_input_never_costs_less_than_one_without(name):
    energy = load_profile(name).energy
    if "neuron_update_active" in energy:
        active, inactive = energy["neuron_update_active"], energy["neuron_update_inactive"]
        assert (active.lo >= inactive.lo, active.v >= inactive.v, active.hi >= inactive.hi) == (True, True, True)


@pytest.mark.parametrize("name", PROFILES)
def test_a_number_from_memory_is_an_estimate(name):
    for place, q in quantities(name).items():
        if "memory" in q.note and "memory access" not in q.note:
            assert q.kind == "estimated", place


def test_published_numbers_of_loihi_1():
    """Davies 2018, Table 2."""
    energy = load_profile("loihi1").energy
    assert [energy[k].v for k in ("synop", "neuron_update_active", "neuron_update_inactive")] == [23.6e-12, 81e-12, 52e-12]
    assert [energy[k].v for k in ("spike_intra_tile", "hop_ew", "hop_ns")] == [1.7e-12, 3.0e-12, 4.0e-12]


def test_affine_models_give_the_published_powers():
    odin, truenorth = load_profile("odin"), load_profile("truenorth")
    for megahertz, rate, power in ((75, 37.5e6, 477e-6), (1.3, 650e3, 35e-6)):  # Frenkel 2019
        clock = odin.energy["clock_cycle"].v * megahertz * 1e6
        assert odin.power["leak"].v + clock + odin.energy["synop"].v * rate == pytest.approx(power, rel=5e-3)
    for hertz, power in ((11.58, 68e-3), (95.93, 94e-3)):  # Akopyan 2015, Fig. 17
        events = 2**20 * 128 * hertz
        assert truenorth.power["static_per_chip"].v + truenorth.energy["synop"].v * events == pytest.approx(power, rel=1e-3)


def test_an_alias_is_visible():
    profile = load_profile("loihi2")
    assert (profile.id, profile.alias_of) == ("loihi2_estimate", "loihi2_estimate")
    assert resolve("loihi2") == "loihi2_estimate"
    assert resolve("loihi1") == "loihi1"
    assert "estimate" in profile.warning.lower()


def test_neuron_forms():
    for name, resets, adaptations, alif in (
        ("loihi1", ("to_value",), ("current",), 2),
        ("loihi1_sanafe", ("to_value",), ("current",), 2),
        ("loihi2", ("subtract", "to_value"), ("threshold", "current"), 1),
    ):
        p = load_profile(name)
        assert (p.resets, p.adaptations, dict(p.compartments)) == (resets, adaptations, {"LIF": 1, "LI": 1, "ALIF": alif})
        assert p.compilable
        wanted = {"decay_bits": 12, "vth_mantissa_bits": 17, "bias_mantissa_bits": 12, "bias_exp_max": 7, "uv_bits_signed": 24}
        assert {key: p.limit(key) for key in wanted} == wanted
        assert p.limit("delay_max") == 62
        assert p.limit("refractory_max") == 63
        assert p.limit_range("weight_exp") == (-7, 7)
    assert not load_profile("truenorth").compilable


def test_limits_that_are_missing_are_refused_not_guessed():
    with pytest.raises(ProfileError, match="decay_bits"):
        load_profile("odin").limit("decay_bits")
    with pytest.raises(ProfileError, match="weight_exp"):
        load_profile("odin").limit_range("weight_exp")


def test_a_profile_of_your_own_inherits_limits(tmp_path):
    path = write(tmp_path, VALID)
    assert lint(path) == []
    profile = load_profile(path)
    assert profile.limit("decay_bits") == 8
    assert profile.limit_range("weight_exp") == (-3, 3)
    assert profile.limit("cores_per_chip") == 128
    assert profile.energy["synop"] == Quantity(2e-12, 1e-12, 3e-12, "published", "measured", "paper")
    assert profile.adaptations == ()


SYNOP = "synop = { v = 2e-12, lo = 1e-12, hi = 3e-12"
FAULTS = [  # (what stands there, what is planted, the complaint)
    ('schema = "neuromorph.hardware_profile/1"', 'schema = "x/9"', r"^schema is 'x/9'; allowed: neuromorph"),
    ('title = "My chip"', "", r"^title is missing"),
    ('title = "My chip"', 'title = ""', r"^title is ''"),
    ("event_driven = true", "event_driven = 1", r"^event_driven is 1; give true or false"),
    ('"all-allocated"', '"sometimes"', r"^counts_neuron_updates is 'sometimes'; allowed: all-allocated, active-only"),
    ('class = "digital-async-manycore"', 'class = "magic"', r"^class is 'magic'; allowed"),
    ('id = "mine"', 'id = "other"', r"^id is 'other'; it must be the name of the file, 'mine'"),
    ("[time]", "[tiem]", r"^tiem is unknown"),
    ("event_driven = true", "event_driven = true\ncolour = 3", r"^colour is unknown"),
    ("[energy]\nsynop", "[energy]\nsinop", r"^\[energy\] sinop is unknown; allowed: synop"),
    (SYNOP, "synop = { v = 2e-12, lo = 2.5e-12, hi = 3e-12", r"^\[energy\] synop: lo 2.5e-12, v 2e-12, hi 3e-12; wanted lo <= v <= hi"),
    (SYNOP, "synop = { v = 4e-12, lo = 1e-12, hi = 3e-12", r"^\[energy\] synop: lo 1e-12, v 4e-12, hi 3e-12"),
    (SYNOP, "synop = { v = 2e-12, lo = -1e-12, hi = 3e-12", r"^\[energy\] synop: lo, v, hi are .* 0 or more"),
    (SYNOP, "synop = { v = nan, lo = 1e-12, hi = 3e-12", r"^\[energy\] synop: lo, v, hi are .* finite"),
    (SYNOP, "synop = { v = 2e-12, lo = 1e-12", r"^\[energy\] synop: lo, v, hi are .*None"),
    (SYNOP, 'synop = { v = "2e-12", lo = 1e-12, hi = 3e-12', r"^\[energy\] synop: lo, v, hi are"),
    (SYNOP, "synop = { unit = 1, v = 2e-12, lo = 1e-12, hi = 3e-12", r"^\[energy\] synop: unit is unknown"),
    ('kind = "published"', 'kind = "guessed"', r"^\[energy\] synop: kind is 'guessed'; allowed: published, derived, estimated"),
    ('kind = "published"', 'kind = "estimated"', r"^\[energy\] synop: an estimated number needs a note"),
    ('basis = "measured"', 'basis = "felt"', r"^\[energy\] synop: basis is 'felt'"),
    ('src = "paper"', 'src = ""', r"^\[energy\] synop: src is ''"),
    ('src = "paper"', 'src = "paper; rumour"', r"^\[energy\] synop: src 'rumour' is not in \[sources\]"),
    ('src = "paper" }', 'src = "paper", note = 1 }', r"^\[energy\] synop: note is 1"),
    ('paper = "A paper, doi:10.0/0"', 'paper = " "', r"^\[sources\] paper is ' '"),
    ("decay_bits = 8", "decay_bits = 8.5", r"^\[limits\] decay_bits is 8.5; give a whole number"),
    ("decay_bits = 8", "decay_bits = true", r"^\[limits\] decay_bits is True"),
    ("decay_bits = 8", "decay_bits = -1", r"^\[limits\] decay_bits is -1"),
    ("decay_bits = 8", "dekay_bits = 8", r"^\[limits\] dekay_bits is unknown"),
    ("weight_exp = [-3, 3]", "weight_exp = [3, -3]", r"^\[limits\] weight_exp is"),
    ("weight_exp = [-3, 3]", 'weight_exp = ["a"]', r"^\[limits\] weight_exp is"),
    ("weight_exp = [-3, 3]", "graded_spikes = 1", r"^\[limits\] graded_spikes is 1; give true or false"),
    ('inherit = "loihi1"', 'inherit = "loihi9"', r"^\[limits\] inherit is 'loihi9'"),
    ('inherit = "loihi1"', 'inherit = "loihi1_sanafe"', r"^\[limits\] inherit is 'loihi1_sanafe'"),
    ('resets = ["to_value"]', 'resets = ["never"]', r"^\[neuron\] resets is \['never'\]"),
    ("adaptations = []", "adaptations = 3", r"^\[neuron\] adaptations is 3"),
    ("adaptations = []", "adaptations = []\nform = 1", r"^\[neuron\] form is unknown"),
    ("ALIF = 2 }", "ALIF = 0 }", r"^\[neuron\] compartments is .* 1 compartment or more"),
    (", ALIF = 2 }", " }", r"^\[neuron\] compartments is .* one number for each of LI, LIF, ALIF"),
    ("[time]", '[model_discrepancy]\nfaktor = 1\n[time]', r"^\[model_discrepancy\] faktor is unknown"),
    ("[time]", "time = 3\n[power]", r"^\[energy\] time is unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("there", "planted", "complaint"), FAULTS)
def test_planted_faults_are_found(tmp_path, there, planted, complaint):
    assert there in VALID
    path = write(tmp_path, VALID.replace(there, planted, 1))
    found = lint(path)
    assert any(re.search(complaint, fault) for fault in found), found
    with pytest.raises(ProfileError) as refusal:
        load_profile(path)
    assert found[0] in str(refusal.value)


def test_all_faults_are_listed(tmp_path):
    text = VALID.replace("decay_bits = 8", "decay_bits = 8.5").replace('kind = "published"', 'kind = "guessed"')
    assert len(lint(write(tmp_path, text))) == 3


def test_missing_sources(tmp_path):
    found = lint(write(tmp_path, VALID.split("[sources]")[0]))
    assert any(fault.startswith("[sources] is missing") for fault in found)


def test_unreadable_toml(tmp_path):
    with pytest.raises(ProfileError, match="TOML"):
        load_profile(write(tmp_path, "= ="))


def test_unknown_names_say_which_there_are(tmp_path):
    with pytest.raises(ProfileError, match=r"loihi3.*brainscales2.*loihi2 "):
        load_profile("loihi3")
    with pytest.raises(ProfileError, match="no such file"):
        load_profile(tmp_path / "none.toml")


def test_every_table_of_quantities_is_used_by_some_profile():
    used = {place for name in PROFILES for place in quantities(name)}
    listed = {f"{table}.{key}" for table, keys in QUANTITIES.items() if table != "model_discrepancy" for key in keys}
    assert used == listed


def test_an_installed_wheel_finds_its_profiles(tmp_path):
    """The wheel holds the profiles inside the package (force-include); here its layout is laid out by copying."""
    package = Path(neuromorph.__file__).parent
    shutil.copytree(package, tmp_path / "neuromorph", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "hardware_profiles", tmp_path / "neuromorph" / "hardware_profiles")
    (tmp_path / "neuromorph" / "hardware_profiles" / "odin.toml").unlink()
    code = "import neuromorph.hardware as h; print(h.__file__, h.list_profiles())"
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    path, names = shown.split(" ", 1)
    assert Path(path).is_relative_to(tmp_path)
    assert names.strip() == str([name for name in PROFILES if name != "odin"])
