"""Profiles: every shipped one is clean, every planted fault is found and named, aliases are visible."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import neuromorph
from neuromorph.cli.app import app
from neuromorph.cli.output import console
from neuromorph.errors import ProfileError
from neuromorph.hardware import ALIASES, Quantity, inheritable, lint, list_profiles, load_profile, origins, resolve
from neuromorph.hardware.schema import HEADER, LIMIT_TYPES, QUANTITIES, QUANTITY_KEYS, TABLES, faults
from neuromorph.hardware.template import template, write_template

PROFILES = [
    "akida_akd1000",
    "brainscales2",
    "cmos45_fp32",
    "cmos45_int8_mem",
    "gpu_cpu_reference",
    "innatera_t1",
    "loihi1",
    "loihi1_sanafe",
    "loihi2_estimate",
    "odin",
    "speck",
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


@pytest.fixture(autouse=True)
def no_folders_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEUROMORPH_PROFILES", raising=False)


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
    assert set(ALIASES.values()) <= set(PROFILES)
    assert not set(ALIASES) & set(PROFILES)
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
    ('schema = "neuromorph.hardware_profile/1"', 'schema = "x/9"', r"^schema is 'x/9'; give one of: neuromorph"),
    ('title = "My chip"', "", r"^title is missing; give a string, not empty"),
    ('class = "digital-async-manycore"', "", r"^class is missing; give one of: digital-async-manycore, digital"),
    ('title = "My chip"', 'title = ""', r"^title is ''"),
    ("event_driven = true", "event_driven = 1", r"^event_driven is 1; give true or false"),
    ('"all-allocated"', '"sometimes"', r"^counts_neuron_updates is 'sometimes'; give one of: all-allocated, active-only"),
    ('class = "digital-async-manycore"', 'class = "magic"', r"^class is 'magic'; give one of"),
    ('id = "mine"', 'id = "other"', r"^id is 'other'; it must be the name of the file, 'mine'"),
    ("[time]", "[tiem]", r"^tiem is unknown; did you mean time\? Allowed: schema, "),
    ("event_driven = true", "event_driven = true\ncolour = 3", r"^colour is unknown"),
    ("[energy]\nsynop", "[energy]\nsinop", r"^\[energy\] sinop is unknown; did you mean synop\? Allowed: synop, neuron"),
    (SYNOP, "synop = { v = 2e-12, lo = 2.5e-12, hi = 3e-12", r"^\[energy\] synop: lo 2.5e-12, v 2e-12, hi 3e-12; give lo <= v <= hi"),
    (SYNOP, "synop = { v = 4e-12, lo = 1e-12, hi = 3e-12", r"^\[energy\] synop: lo 1e-12, v 4e-12, hi 3e-12"),
    (SYNOP, "synop = { v = 2e-12, lo = -1e-12, hi = 3e-12", r"^\[energy\] synop: lo is -1e-12; .* 0 or more"),
    (SYNOP, "synop = { v = nan, lo = 1e-12, hi = 3e-12", r"^\[energy\] synop: v is nan; .* finite"),
    (SYNOP, "synop = { v = 2e-12, lo = 1e-12", r"^\[energy\] synop: hi is missing; .* or leave out the quantity"),
    (SYNOP, 'synop = { v = "2e-12", lo = 1e-12, hi = 3e-12', r"^\[energy\] synop: v is '2e-12'; "),
    (SYNOP, "synop = { unit = 1, v = 2e-12, lo = 1e-12, hi = 3e-12", r"^\[energy\] synop: unit is unknown; correct it or take it out\."),
    ('kind = "published"', 'kind = "guessed"', r"^\[energy\] synop: kind is 'guessed'; give one of: published, derived, estimated"),
    ('kind = "published"', 'kind = "estimated"', r"^\[energy\] synop: kind is 'estimated' without a note; add"),
    ('kind = "published", ', "", r"^\[energy\] synop: kind is missing; give one of: published, derived, estimated"),
    ('basis = "measured"', 'basis = "felt"', r"^\[energy\] synop: basis is 'felt'"),
    ('src = "paper"', 'src = ""', r"^\[energy\] synop: src is ''; name one or more keys"),
    ('src = "paper"', 'src = "paper; rumour"', r"^\[energy\] synop: src 'rumour' is not in \[sources\] \(\[sources\] has paper\); add"),
    ('src = "paper" }', 'src = "paper", note = 1 }', r"^\[energy\] synop: note is 1"),
    ('paper = "A paper, doi:10.0/0"', 'paper = " "', r"^\[sources\] paper is ' '"),
    ("decay_bits = 8", "decay_bits = 8.5", r"^\[limits\] decay_bits is 8.5; give a whole number"),
    ("decay_bits = 8", "decay_bits = true", r"^\[limits\] decay_bits is True"),
    ("decay_bits = 8", "decay_bits = -1", r"^\[limits\] decay_bits is -1; give 0 or more"),
    ("decay_bits = 8", "weight_bits = [-1, 8]", r"^\[limits\] weight_bits is \[-1, 8\]; give 0 or more"),
    ("decay_bits = 8", "weight_bits = []", r"^\[limits\] weight_bits is \[\]; give a list of whole numbers, not empty"),
    ("decay_bits = 8", "dekay_bits = 8", r"^\[limits\] dekay_bits is unknown; did you mean decay_bits\?"),
    ("weight_exp = [-3, 3]", "weight_exp = [3, -3]", r"^\[limits\] weight_exp is"),
    ("weight_exp = [-3, 3]", 'weight_exp = ["a"]', r"^\[limits\] weight_exp is"),
    ("weight_exp = [-3, 3]", "graded_spikes = 1", r"^\[limits\] graded_spikes is 1; give true or false"),
    ('inherit = "loihi1"', 'inherit = "loihi9"', r"^\[limits\] inherit is 'loihi9'; name a profile .* odin, "),
    ('inherit = "loihi1"', 'inherit = "loihi1_sanafe"', r"^\[limits\] inherit is 'loihi1_sanafe'"),
    ('resets = ["to_value"]', 'resets = ["never"]', r"^\[neuron\] resets is \['never'\]"),
    ('resets = ["to_value"]', "", r"^\[neuron\] resets is missing; give a list out of"),
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


WORDS = st.sampled_from(["measured", "published", "paper"])
SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3), WORDS)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from([*QUANTITY_KEYS, "LIF", "x"]), SCALARS))
NAMES = st.sampled_from(["synop", "chip", "factor", "resets", "adaptations", "compartments", "paper", *LIMIT_TYPES, "x"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*HEADER, *TABLES, "x"]), st.one_of(VALUES, st.dictionaries(NAMES, VALUES))))
def test_whatever_stands_in_a_file_is_told_as_faults(raw):
    """Each fault is one sentence that starts with the place and says what was found and what to do."""
    found = list(faults(raw))
    told = re.compile(r"\[?\w+.*(;| must be |did you mean)", flags=re.DOTALL)
    assert found
    assert [fault for fault in found if not told.match(fault)] == []
    assert all(fault.endswith(".") for fault in found)


def test_missing_sources(tmp_path):
    found = lint(write(tmp_path, VALID.split("[sources]")[0]))
    assert any(fault.startswith("[sources] is missing") for fault in found)


def test_unreadable_toml(tmp_path):
    with pytest.raises(ProfileError, match="TOML"):
        load_profile(write(tmp_path, "= ="))


def test_unknown_names_say_which_there_are(tmp_path):
    with pytest.raises(ProfileError, match=r"loihi3.*brainscales2.*loihi2 \(= loihi2_estimate\)"):
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


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that do not fold what they tell."""
    monkeypatch.setattr(console, "width", 200)


def call(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["profiles", *map(str, args)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with the profile `mine`, told by the environment."""
    folder = tmp_path / "chips"
    folder.mkdir()
    monkeypatch.setenv("NEUROMORPH_PROFILES", str(folder))
    return write(folder, VALID).parent


def test_a_folder_of_your_own_stands_beside_those_that_ship(mine):
    (mine / "._mine.toml").write_text("not a profile")
    (mine / "notes.txt").write_text("not a profile")
    assert list_profiles() == sorted([*PROFILES, "mine"])
    assert load_profile("mine") == load_profile(mine / "mine.toml")
    assert lint("mine") == []
    assert origins() == dict.fromkeys(PROFILES, "shipped") | {"mine": str(mine / "mine.toml")}


def test_several_folders_each_once(mine, tmp_path, monkeypatch):
    other = tmp_path / "more"
    other.mkdir()
    (other / "second.toml").write_text(VALID.replace('"mine"', '"second"'))
    monkeypatch.setenv("NEUROMORPH_PROFILES", os.pathsep.join([str(mine), "", str(other), f"{mine}{os.sep}"]))
    assert set(list_profiles()) == {*PROFILES, "mine", "second"}


def test_an_id_that_is_there_twice_is_refused_with_both_places(mine, tmp_path, monkeypatch):
    other = tmp_path / "more"
    other.mkdir()
    monkeypatch.setenv("NEUROMORPH_PROFILES", os.pathsep.join([str(mine), str(other)]))
    (other / "mine.toml").write_text(VALID)
    for ask in (list_profiles, origins, lambda: load_profile("loihi1"), lambda: lint("mine")):
        with pytest.raises(ProfileError, match=rf"'mine' is there twice, {mine / 'mine.toml'} and {other / 'mine.toml'}; rename"):
            ask()
    (other / "mine.toml").rename(other / "odin.toml")
    with pytest.raises(ProfileError, match=rf"'odin' is there twice, .*hardware_profiles/odin.toml and {other / 'odin.toml'}"):
        list_profiles()
    (other / "odin.toml").rename(other / "loihi2.toml")
    with pytest.raises(ProfileError, match=r"loihi2.toml: 'loihi2' is short for 'loihi2_estimate'; give"):
        list_profiles()


def test_a_folder_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMORPH_PROFILES", str(tmp_path / "none"))
    with pytest.raises(ProfileError, match=r"NEUROMORPH_PROFILES: .*none is not a folder; create it"):
        load_profile("loihi1")


def test_limits_of_your_own_profile_can_be_inherited_if_it_does_not_inherit_itself(mine):
    child = mine / "child.toml"
    child.write_text(VALID.replace('id = "mine"', 'id = "child"').replace('inherit = "loihi1"', 'inherit = "mine"'))
    assert not inheritable("mine")
    assert re.search(r"^\[limits\] inherit is 'mine'; name a profile", lint("child")[0])
    own = VALID.replace('inherit = "loihi1"', "cores_per_chip = 7\nsynops_per_message = 3")
    write(mine, own)
    assert inheritable("mine")
    profile = load_profile("child")
    assert (profile.limit("cores_per_chip"), profile.limit("synops_per_message"), profile.limit("decay_bits")) == (7, 3, 8)
    for broken in (own.replace("cores_per_chip = 7", "cores_per_chip = true"), own.replace("[limits]", "limits = 3\n[power]"), "= ="):
        write(mine, broken)
        assert not inheritable("mine")
        assert lint("child")[0].startswith("[limits] inherit is 'mine'")
    child.write_text(child.read_text().replace('inherit = "mine"', 'inherit = "child"'))
    assert lint("child")[0].startswith("[limits] inherit is 'child'")


def test_the_list_tells_short_names_and_places(mine):
    (mine / "broken.toml").write_text('id = "broken"')
    told = call("list")
    assert re.search(r"loihi2_estimate .*shipped", told)
    assert "= loihi2 " in told
    assert f"{mine / 'mine.toml'}"[:20] in told
    assert "neuromorph profiles lint broken" in told
    data = {row["id"]: row for row in json.loads(call("list", "--json"))["profiles"]}
    assert set(data) == {*PROFILES, "mine", "broken"}
    assert data["loihi2_estimate"]["aliases"] == ["loihi2"]
    assert (data["loihi1"]["origin"], data["mine"]["origin"]) == ("shipped", str(mine / "mine.toml"))
    assert (data["loihi1"]["resets"], data["loihi1"]["class"]) == (["to_value"], "digital-async-manycore")


@pytest.mark.parametrize("name", PROFILES)
def test_show_tells_every_number_with_its_note_and_citation(name):
    profile = load_profile(name)
    told = " ".join(re.sub("[│┃]", " ", call("show", name)).split())
    words = re.sub(r"[^\w.]", " ", told)
    assert profile.title in told
    for place, q in quantities(name).items():
        assert f"{place} {q.v:.4g} {q.lo:.4g} .. {q.hi:.4g}" in told
    for key in (*profile.limits, *profile.sources):
        assert f" {key} " in words


def test_show_tells_what_a_short_name_stands_for():
    assert call("show", "loihi2").startswith("loihi2 is short for loihi2_estimate.\nloihi2_estimate: Intel Loihi 2, ESTIMATE")
    assert "short for" not in call("show", "loihi1")
    assert json.loads(call("show", "loihi2", "--json"))["alias_of"] == "loihi2_estimate"


def test_faults_are_told_on_the_command_line_with_their_brackets(tmp_path):
    told = call("lint", write(tmp_path, VALID.replace("decay_bits", "dekay_bits")), code=1)
    assert "[limits] dekay_bits is unknown; did you mean decay_bits?" in told


@pytest.mark.parametrize("like", [None, *(name for name in PROFILES if name != "loihi1_sanafe")])
def test_a_new_profile_has_no_faults_and_claims_nothing(tmp_path, like):
    path = tmp_path / "mychip.toml"
    write_template("mychip", path, like)
    assert lint(path) == []
    made, parent = load_profile(path), load_profile(like) if like else None
    assert (made.energy, made.time, made.power, made.sources, made.warning) == ({}, {}, {}, {}, "")
    assert made.limits == (parent.limits if parent else {})
    assert (made.resets, made.adaptations, made.compartments) == (
        (parent.resets, parent.adaptations, parent.compartments) if parent else ((), (), {})
    )


def test_every_example_in_a_new_profile_is_known_and_asks_for_its_number(tmp_path):
    """With the '#' taken from all examples, each without a number is a fault that says so, and there are no others."""
    path = tmp_path / "mychip.toml"
    path.write_text(re.sub(r"(?m)^# (\w+ = |\[neuron\])", r"\1", template("mychip")))
    quantity = r"\[(energy|time|power)\] \w+: lo is '\?', v is '\?', hi is '\?'; .* give those, or leave out the quantity\."
    found = lint(path)
    assert len(found) == 14
    assert [fault for fault in found if not re.fullmatch(rf"{quantity}|\[limits\] \w+ is '\?'; give a .*whole number.*", fault)] == []


def test_profiles_new_writes_once_and_only_what_can_be_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert json.loads(call("new", "mychip", "--like", "loihi2", "--json")) == {"file": "mychip.toml"}
    assert load_profile("mychip.toml").limits == load_profile("loihi2").limits
    assert "neuromorph profiles lint sub/other.toml" in (Path("sub").mkdir() or call("new", "other", "-o", "sub/other.toml"))
    before = Path("mychip.toml").read_bytes()
    for args, message in (
        (("mychip",), "mychip.toml: there is such a file, and it is not overwritten"),
        (("loihi1",), "'loihi1' is taken"),
        (("loihi2",), "'loihi2' is taken"),
        (("../x",), "use letters, digits"),
        (("a", "-o", "b.toml"), "must be called a.toml"),
        (("a", "--like", "loihi1_sanafe"), "'loihi1_sanafe': its limits are inherited themselves"),
        (("a", "--like", "mychip.toml"), "'mychip.toml': its limits are inherited themselves or not listed"),
        (("a", "--like", "loihi9"), "'loihi9' is unknown"),
    ):
        result = CliRunner().invoke(app, ["profiles", "new", *args])
        assert isinstance(result.exception, ProfileError)
        assert message in str(result.exception)
    assert Path("mychip.toml").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mychip.toml", "sub"]
