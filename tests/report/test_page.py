"""The report: one self-contained page that holds every number of the run, whatever is missing from the folder."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from neuromorph.backends.fast import FastBackend
from neuromorph.errors import FormatError, NeuromorphError
from neuromorph.graph import load, save
from neuromorph.hardware import load_profile
from neuromorph.mapping import check, map_to_chip
from neuromorph.report import write_report
from neuromorph.report.chip import OnChip
from neuromorph.report.cores import link_messages
from neuromorph.report.folder import read_run
from neuromorph.report.numbers import data, number, percent, si
from neuromorph.report.page import _cores, _rewiring
from neuromorph.spikes import load_spikes
from tests.mapping.test_partition import small

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Balanced tags, references, ids, exact numbers, tables by caption, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.values: list[str] = []
        self.tags: Counter[str] = Counter()
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self.cells: list[list[str]] = []
        self.caption = ""
        self.feed(html)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self.references += [str(given[name]) for name in ("src", "href", "srcset", "action", "poster", "data") if name in given]
        self.ids += [str(given["id"])] if "id" in given else []
        self.values += [str(given["value"])] if tag == "data" else []
        assert not any(name.startswith("on") for name in given), f"event handler on {tag}"
        if tag == "table":
            self.cells, self.caption = [], ""
        elif tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of order"
        if tag == "table":
            self.tables[self.caption.strip()] = self.cells

    def handle_data(self, text: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.text += text
        if "caption" in self.open:
            self.caption += text
        elif {"td", "th"} & set(self.open):
            self.cells[-1][-1] += text


@pytest.fixture(scope="module")
def folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("page") / "run"
    shutil.copytree(run_folder, copy)
    assert write_report(copy) == copy / "report.html"
    return copy


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def numbers_of(value: Any) -> list[int | float]:
    if isinstance(value, dict):
        return [n for child in value.values() for n in numbers_of(child)]
    if isinstance(value, list):
        return [n for child in value for n in numbers_of(child)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_it_is_one_file_that_asks_for_nothing(html: str, page: Page):
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert page.references
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    anchors = {ref[1:] for ref in page.references if ref.startswith("#")}
    assert anchors <= set(page.ids)
    assert not re.search(r"@import|url\((?!#|&quot;#)|https?://", html)


def test_ids_are_unique_and_every_url_points_at_one(html: str, page: Page):
    assert max(Counter(page.ids).values()) == 1
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(page.ids)


def test_every_number_of_the_summary_is_there_exactly(page: Page, summary: dict[str, Any]):
    shown = {float(value) for value in page.values}
    shown |= {dt / 1000 for dt in shown}  # dt is shown in milliseconds
    missing = [n for n in numbers_of(summary) if float(n) not in shown]
    assert missing == []
    assert len(numbers_of(summary)) > 300


def test_headline_and_validation_say_what_the_summary_says(page: Page, summary: dict[str, Any]):
    assert "2 of 3" in page.text
    assert "1 of 3 comparisons found a difference" in page.text
    rows = page.tables["Each simulator against another, on the same network and input"]
    column = rows[0].index("verdict")
    assert [(row[0], row[column]) for row in rows[1:]] == [("brian2", "identical"), ("brian2", "identical"), ("torch", "DIFFERENT")]
    first = summary["validation"][2]["first"]
    assert rows[3][-1].startswith(f"sample {first['sample']}, step {first['step']}, {first['population']}[{first['neuron']}]: ")
    assert "Where torch and reference (float) part" in page.text


def test_counts_and_energies_stand_in_their_rows(page: Page, summary: dict[str, Any]):
    counts = summary["counts"]
    rows = {row[0]: row for row in page.tables["Synaptic operations by projection"]}
    for name, total in counts["totals"]["synops"].items():
        assert rows[name][2] == f"{total:,}"
    assert rows["all"][2] == f"{sum(counts['totals']['synops'].values()):,}"
    rows = {row[0].split(" ")[0]: row for row in page.tables["Energy per inference, all scopes together"][1:]}
    for energy in summary["energy"]:
        parsed = [joules(cell) for cell in rows[energy["profile"]][1:]]
        assert parsed == pytest.approx([energy["total"][key] for key in ("lo", "nominal", "hi")], rel=5.1e-3)
        assert ("what if" in rows[energy["profile"]][0]) == energy["what_if"]
        for item in energy["not_counted"]:
            assert item in page.text
    for name, reason in summary["energy_refused"].items():
        assert f"{name}: {reason}" in page.text
    assert {"loihi1", "brainscales2"} <= {e["profile"] for e in summary["energy"]} | set(summary["energy_refused"])
    for sentence in ("no hardware was run", "Lava is archived"):
        assert sentence in page.text


def of(interval: dict[str, float]) -> list[float]:
    return [interval[end] for end in ("lo", "nominal", "hi")]


def test_rules_and_loads_and_times_stand_in_their_rows(page: Page, summary: dict[str, Any], folder: Path):
    graph, chip = load(folder / "model.loihi2_estimate.h5"), load_profile("loihi2")
    shown = page.tables["Rules of loihi2_estimate: of each what comes closest to its limit"][1:]
    assert [[row[0], row[1], row[5]] for row in shown] == [[r.rule, r.subject, r.status] for r in check(graph, chip).worst()]
    every = page.tables["All rules of loihi2_estimate"][1:]
    assert [row[:2] for row in every] == [[r["rule"], r["subject"]] for r in summary["check"]["rules"]]
    numbers = [[f"{r[key]:,}" for key in ("used", "allowed")] for r in summary["check"]["rules"] if r["percent"]]
    assert [row[2:4] for row in every if row[4] != "–"] == numbers
    assert len(numbers) > 20
    timed = summary["map"]["latency"]
    rows = page.tables["Time of an inference on loihi2_estimate"]
    assert [row[0] for row in rows[1:]] == [*timed["parts"], "what the chip needs", "wall time"]
    for row, interval in zip(rows[1:], (*timed["parts"].values(), timed["total"], timed["wall"])):
        assert [in_units(cell, "s") for cell in row[1:]] == pytest.approx(of(interval), rel=5.1e-3)
    loads = page.tables["Mapped: what an inference asks of each chip"]
    assert [row[0] for row in loads[1:]] == list(summary["energy_loads"]) == ["loihi1", "loihi2_estimate"]
    assert page.tables["What an inference asks of loihi2_estimate"][1] == loads[2]
    for row, load_ in zip(loads[1:], summary["energy_loads"].values()):
        fields = [load_[key] for key in ("cores", "compartments", "messages", "hops_ew", "hops_ns", "between_chips")]
        assert [float(cell.replace(",", "")) for cell in row[1:]] == pytest.approx(fields, rel=1e-3)
    assert "The network fits loihi2_estimate: 1 core." in page.text
    assert "one core in use, so that none pass between tiles" in page.text


def test_what_does_not_fit_is_called_out(folder: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    summary = json.loads((run / "summary.json").read_text())
    summary["check"]["fits"] = False
    rule = {"rule": "input", "subject": "Graph", "used": "analog", "allowed": "spikes", "status": "broken"}
    summary["check"]["worst"][0] = rule | {"fault": "It takes spikes.", "remedy": "Encode."}
    summary["energy_unmapped"] = {"loihi1": "one neuron alone is too large"}
    (run / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "The network does not fit loihi2_estimate" in page.text
    (row,) = [row for row in page.tables["Rules of loihi2_estimate: of each what comes closest to its limit"] if row[0] == "input"]
    assert row == ["input", "Graph", "analog", "spikes", "–", "broken", "It takes spikes. Encode."]
    assert "loihi1 is not mapped: one neuron alone is too large" in page.text


def test_hops_stand_in_their_columns(folder: Path, tmp_path: Path):
    """The small graph has none of its own: it lies on one core."""
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    summary = json.loads((run / "summary.json").read_text())
    summary["energy_loads"]["loihi1"] |= {"cores": 2, "hops_ew": 7.5, "hops_ns": 11, "between_chips": 13}
    summary["check"]["cores"] = summary["map"]["load"]["cores"] = 2
    (run / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    head, row, _ = page.tables["Mapped: what an inference asks of each chip"]
    told = dict(zip(head, row))
    assert (told["cores in use"], told["hops east-west"], told["hops north-south"], told["borders between chips"]) == (
        "2",
        "7.5",
        "11",
        "13",
    )
    assert "The network fits loihi2_estimate: 2 cores." in page.text
    assert "so that none pass" not in page.text


def test_every_machine_stands_beside_every_mapped_chip(page: Page, summary: dict[str, Any]):
    told = {(m["network"], m["machine"], m["profile"]): m for m in summary["break_even"]}
    tables = {caption.split(": ")[0]: rows for caption, rows in page.tables.items()}
    for network in dict.fromkeys(c["network"] for c in summary["comparators"]):
        own = [c for c in summary["comparators"] if c["network"] == network]
        rows = tables[network]
        assert rows[0][4:] == ["loihi1 costs less", "loihi2_estimate costs less"]
        assert [row[0] for row in rows[1:]] == [c["machine"] for c in own]
        for row, c in zip(rows[1:], own):
            assert [joules(cell) for cell in row[1:4]] == pytest.approx(of(c["energy"]), rel=5.1e-3)
            met = [told[network, c["machine"], chip] for chip in ("loihi1", "loihi2_estimate")]
            assert row[4:] == [" / ".join(below(m[by]) for by in ("dynamic", "total")) for m in met]
    verdicts = {m[by]["verdict"] for m in summary["break_even"] for by in ("dynamic", "total")}
    assert verdicts == {"never", "below", "always"}
    (rest,) = [rows for caption, rows in page.tables.items() if caption.startswith("Where chip and machine cost the same")]
    assert len(rest) == 1 + len(summary["break_even"])
    assert "are on paper, without static power; CPUs and GPUs are by energies per multiply-accumulate that others measured" in page.text
    for c in summary["comparators"]:
        assert ", ".join(c["quantities"]) in page.text


def below(meeting: dict[str, Any]) -> str:
    return f"below {si(meeting['rate'], 'Hz')}" if meeting["verdict"] == "below" else meeting["verdict"]


def test_links_are_the_messages_of_the_mean_spikes(folder: Path):
    run = read_run(folder)
    graph, chip = run.graphs["integer"], small(compartments=6)
    inputs = FastBackend().run(graph, load_spikes(folder / "test.h5"))
    mean = {name: s.counts().mean(0) for name, s in {**load_spikes(folder / "test.h5"), **inputs.spikes}.items()}
    assert {name: each.tolist() for name, each in run.mean_spikes.items()} == {name: pytest.approx(each) for name, each in mean.items()}
    found, messages = map_to_chip(graph, chip, mean)
    ax = _cores(run, OnChip(found, chip))
    (links,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    wanted = np.concatenate([each[each > 0] for each in link_messages(found, messages)])
    assert len(wanted) == len(links.get_segments()) > 3
    assert f"{wanted.max():,.0f} messages, the heaviest link" in [text.get_text() for text in ax.get_legend().get_texts()]
    (none,) = [c for c in _cores(replace(run, mean_spikes=None), OnChip(found, chip)).collections if isinstance(c, LineCollection)]
    assert len(none.get_segments()) == 0


def joules(text: str) -> float:
    return in_units(text, "J")


def in_units(text: str, unit: str) -> float:
    value, told = text.split("\u202f")
    return float(value) * {"": 1, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}[told.removesuffix(unit)]


def test_a_plot_for_each_recording_and_no_more(page: Page, folder: Path):
    recordings = len(list(folder.glob("recordings/*.h5")))
    assert recordings == 3
    assert (
        page.tags["svg"] == 2 * recordings + 12
    )  # raster and readout each; rates, two matrices, weights, cores, energy, terms (3), learning; spikes and trace of one difference
    assert "unlike the reference" in page.text


def test_hostile_strings_are_text(html: str, page: Page):
    assert "<script" not in html
    assert "<b>hostile" not in html
    assert '<b>hostile</b> & "quoted"' in page.text
    assert "<script>alert(1)</script>" in page.text


def test_hostile_names_title_and_reasons_are_text(folder: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    evil = '<img src="http://x/y" onerror="z()">'
    summary = json.loads((run / "summary.json").read_text())
    for row in summary["validation"]:
        row |= {"backend": evil, "first": evil}
    summary |= {"energy_refused": {evil: evil}, "profile": f"../../{evil}", "saturations": {evil: 3}, "versions": {evil: evil}}
    summary["counts"]["rates_hz"][evil] = 4.0
    summary["energy"][0] |= {"profile": f"{evil}$\\frac$", "scopes": {evil: summary["energy"][0]["total"]}, "title": evil, "warning": evil}
    summary["energy"][0]["terms"][0] |= {"name": f"{evil}$\\frac$", "scope": evil}
    summary["check"] |= {"profile": evil}
    summary["check"]["rules"][0] |= {
        "rule": evil,
        "subject": evil,
        "used": evil,
        "allowed": evil,
        "fault": evil,
        "remedy": evil,
        "status": evil,
    }
    summary["map"]["latency"] |= {"parts": {evil: summary["energy"][0]["total"]}, "not_counted": [evil], "profile": evil}
    summary |= {"energy_loads": {evil: summary["map"]["load"]}, "energy_unmapped": {evil: evil}}
    summary["comparators"][0] |= {"network": evil, "machine": evil, "quantities": [evil]}
    summary["break_even"][0] |= {"profile": evil, "network": evil, "machine": evil}
    summary["break_even"][0]["total"]["verdict"] = evil
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "history.json").write_text(json.dumps([{"epoch": 1, f"accuracy {evil}": 0.5, f"b_accuracy {evil} $_$": 0.6}]))
    page = Page(write_report(run, title=evil).read_text(encoding="utf-8"))
    assert page.tags["img"] == 0
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    assert page.text.count(evil) > 40
    summary |= {"map": None, "map_refused": evil}
    (run / "summary.json").write_text(json.dumps(summary))
    assert f"There is no map: {evil}" in Page(write_report(run).read_text(encoding="utf-8")).text


PIECES = (
    "initial.h5",
    "model.h5",
    "model.loihi2_estimate.h5",
    "test.h5",
    "history.json",
    "recordings/torch-float.h5",
    "map.json",
    "mean_spikes.json",
)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_missing_and_damaged_pieces_leave_sentences(folder: Path, tmp_path: Path, damage: str):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    for piece in PIECES:
        (run / piece).unlink()
        if damage == "damaged":
            (run / piece).write_bytes(b"\x89HDF <nonsense>")
    page = Page(write_report(run).read_text(encoding="utf-8"))
    sentence = "is not in the run folder" if damage == "missing" else "could not be read"
    expected = {piece for piece in PIECES if damage == "damaged" or not piece.startswith("recordings")}
    assert {piece for piece in PIECES if f"{piece} {sentence}" in page.text} >= expected
    assert page.tags["svg"] == 2 * 2 + 5  # the two recordings of the reference that are left, their rates, energy, terms of 3 chips


ONE = {"model.h5": 14, "test.h5": 18, "recordings": 11, "map.json": 17, "mean_spikes.json": 18, "model.loihi2_estimate.h5": 17}


@pytest.mark.parametrize("piece", ONE)
def test_one_missing_piece_takes_only_its_own_pictures(folder: Path, tmp_path: Path, piece: str):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    shutil.rmtree(run / piece) if piece == "recordings" else (run / piece).unlink()
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags["svg"] == ONE[piece]
    assert ("There is no recording" if piece == "recordings" else f"{piece} is not in the run folder") in page.text


PARTS = ("validation", "counts", "check", "map", "energy", "comparators", "quantization", "seconds", "versions", "args")


def test_an_empty_summary_leaves_sentences(folder: Path, tmp_path: Path):
    (tmp_path / "summary.json").write_text("{}")
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert [part for part in PARTS if f"summary.json has no “{part}”" not in page.text] == []
    assert "None" not in page.text
    assert "Undefined" not in page.text
    assert page.tags["svg"] == 0


@pytest.mark.parametrize("part", ["check", "map", "energy_loads", "comparators", "break_even"])
def test_one_missing_part_leaves_a_sentence(folder: Path, tmp_path: Path, part: str):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    summary = json.loads((run / "summary.json").read_text())
    del summary[part]
    (run / "summary.json").write_text(json.dumps(summary))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.text.count("summary.json has no “") == 1
    assert f"summary.json has no “{part}”" in page.text
    assert "None" not in page.text
    assert "Undefined" not in page.text


MAP = "map.json could not be read"
SPIKES = "mean_spikes.json could not be read"
WRONG: list[tuple[str, Callable[[Any], Any], str]] = [
    ("map.json", lambda raw: raw | {"graph": "0" * 64}, f"{MAP}: .*it maps graph 000000000000"),
    ("map.json", lambda raw: raw | {"profile": "loihi1"}, f"{MAP}: it is for loihi1, the run for loihi2_estimate"),
    ("map.json", lambda raw: raw | {"cores": []}, f"{MAP}: .*not a chip map"),
    ("mean_spikes.json", lambda raw: [1.0], f"{SPIKES}: it holds no lists"),
    ("mean_spikes.json", lambda raw: raw | {"input": "<b>"}, f"{SPIKES}: it holds no lists"),
    ("mean_spikes.json", lambda raw: raw | {"input": raw["input"][1:]}, f"{SPIKES}: it does not hold a number for each of the 12 neurons"),
    ("mean_spikes.json", lambda raw: raw | {"input": [-1.0] * 12}, f"{SPIKES}: it does not hold a number"),
    ("mean_spikes.json", lambda raw: raw | {"input": [float("inf")] * 12}, f"{SPIKES}: it does not hold a number"),
    ("mean_spikes.json", lambda raw: {"input": raw["input"]}, f"{SPIKES}: it does not hold a number for each of the 16 neurons"),
]


@pytest.mark.parametrize(("piece", "change", "sentence"), WRONG)
def test_wrong_maps_and_spikes_leave_a_sentence(folder: Path, tmp_path: Path, piece: str, change: Callable[[Any], Any], sentence: str):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    (run / piece).write_text(json.dumps(change(json.loads((run / piece).read_text()))))
    assert re.match(sentence, read_run(run).gaps[piece])
    assert len(read_run(run).gaps) == 1


def test_the_profile_of_a_map_is_the_run_s(folder: Path, tmp_path: Path):
    """A summary that does not name it leaves the map's own."""
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    summary = json.loads((run / "summary.json").read_text())
    del summary["args"]
    (run / "summary.json").write_text(json.dumps(summary))
    found = read_run(run).on_chip
    assert found
    assert found.profile.id == found.found.partition.profile == "loihi2_estimate"


def test_a_synapse_count_other_than_requested_is_called_out(folder: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    assert "not the number requested" not in Page((run / "report.html").read_text()).text
    graph = load(run / "model.h5")
    save(run / "model.h5", graph.replace(projections=graph.projections[1:]))
    text = Page(write_report(run).read_text()).text
    assert "The number of active synapses is not the number requested." in text
    assert f"summary.json says {graph.n_synapses} active synapses" in text


def test_rewiring_counts_what_stayed(folder: Path):
    before, after = load(folder / "initial.h5"), load(folder / "model.h5")
    rows = {row["name"]: row for row in _rewiring({"initial": before, "model": after})}
    for q in after.projections:
        n = after.population(q.target).n
        old, new = before.projection(q.name).to_dense(n) != 0, q.to_dense(n) != 0
        row = rows[q.name]
        assert (row["before"], row["after"], row["kept"], row["possible"]) == (old.sum(), new.sum(), (old & new).sum(), old.size)
        assert row["density"] == new.mean()


@pytest.mark.parametrize(("content", "message"), [(None, "no summary.json"), ("[1]", "holds a list"), ("{", "is not JSON")])
def test_a_folder_without_a_summary_is_refused(tmp_path: Path, content: str | None, message: str):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(NeuromorphError if content is None else FormatError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_equal_runs_give_equal_pages(folder: Path, html: str):
    assert write_report(folder).read_text(encoding="utf-8") == html


JOULES = {1.2345e-6: "1.23 µJ", 0.9996e-3: "1.00 mJ", 12.34: "12.3 J", 0: "0 J", 5.6e-13: "560 fJ", -2e-9: "-2.00 nJ", 999.6: "1.00 kJ"}


@pytest.mark.parametrize(("value", "shown"), JOULES.items())
def test_si_prefixes_with_three_digits(value: float, shown: str):
    assert si(value, "J").replace("\u202f", " ") == shown


def test_numbers_for_people():
    assert [percent(x) for x in (0.90234, 1.0, 0.00123, 0)] == ["90.2\u202f%", "100.0\u202f%", "0.12\u202f%", "0.0\u202f%"]
    assert [number(x) for x in (1234567, 12.5, 6119.375, 1e-9, 0.00012)] == [
        "1,234,567",
        "12.5",
        "6,119.4",
        "1\u202f×\u202f10⁻⁹",
        "0.00012",
    ]
    assert [data(x) for x in (None, True, float("nan"), "<b>")] == ["–", "yes", "nan", "<b>"]
    assert data(0.5, "percent") == '<data value="0.5">50.0\u202f%</data>'
