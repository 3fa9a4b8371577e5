"""The report: one self-contained page that holds every number of the run, whatever is missing from the folder."""

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from neuromorph.errors import FormatError, NeuromorphError
from neuromorph.graph import load, save
from neuromorph.report import write_report
from neuromorph.report.numbers import data, number, percent, si
from neuromorph.report.page import _rewiring

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


def joules(text: str) -> float:
    value, unit = text.split("\u202f")
    return float(value) * {"J": 1, "mJ": 1e-3, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}[unit]


def test_a_plot_for_each_recording_and_no_more(page: Page, folder: Path):
    recordings = len(list(folder.glob("recordings/*.h5")))
    assert recordings == 3
    assert (
        page.tags["svg"] == 2 * recordings + 8
    )  # raster and readout each; rates, two matrices, weights, energy, learning; spikes and trace of one difference
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
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "history.json").write_text(json.dumps([{"epoch": 1, f"accuracy {evil}": 0.5, f"b_accuracy {evil} $_$": 0.6}]))
    page = Page(write_report(run, title=evil).read_text(encoding="utf-8"))
    assert page.tags["img"] == 0
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    assert page.text.count(evil) > 8


PIECES = ("initial.h5", "model.h5", "model.loihi2_estimate.h5", "test.h5", "history.json", "recordings/torch-float.h5")


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
    assert page.tags["svg"] == 2 * 2 + 2  # the two recordings of the reference that are left, their rates, energy


@pytest.mark.parametrize("piece", ["model.h5", "test.h5", "recordings"])
def test_one_missing_piece_takes_only_its_own_pictures(folder: Path, tmp_path: Path, piece: str):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    shutil.rmtree(run / piece) if piece == "recordings" else (run / piece).unlink()
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags["svg"] == {"model.h5": 10, "test.h5": 14, "recordings": 7}[piece]
    assert ("There is no recording" if piece == "recordings" else f"{piece} is not in the run folder") in page.text


PARTS = ("validation", "counts", "energy", "quantization", "seconds", "versions", "args")


def test_an_empty_summary_leaves_sentences(folder: Path, tmp_path: Path):
    (tmp_path / "summary.json").write_text("{}")
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert [part for part in PARTS if f"summary.json has no “{part}”" not in page.text] == []
    assert "None" not in page.text
    assert "Undefined" not in page.text
    assert page.tags["svg"] == 0


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
