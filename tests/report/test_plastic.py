"""The page of the plastic demo: every number of its summary, whatever is missing from the folder; hostile text is text."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuromorph.demo_plastic import PlasticDemoArgs, demo_plastic
from neuromorph.errors import FormatError, NeuromorphError
from neuromorph.graph import Graph, load
from neuromorph.recording import Recording, load_recording, save_recording
from neuromorph.report.plastic import _figures, is_plastic, read_plastic, write_plastic
from neuromorph.report.plastic_plots import SHOWN, by_trial, episode, fixed_weights, learned_weights, matrix, most_changed, training_curve
from neuromorph.report.style import to_svg
from tests.report.test_page import Page

EVIL = '<img src="http://x/y" onerror="z()">'
SENTENCES = {"missing": "is not in the run folder", "damaged": "could not be read"}
PICTURES = {"trials", "training", "weights-before", "weights-learned", "weights-after", "episode", "energy", "terms-0", "terms-1"}
KINDS = {name: {"compared": 1024, "differing": 0} for name in ("answers", "inputs", "third factors", "spikes", "readouts", "H", "E")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run, its Lava part made up; read only (copy it to change it)."""
    made = tmp_path_factory.mktemp("plastic")
    summary = demo_plastic(PlasticDemoArgs(made, updates=2, episodes=4, lava_episodes=0), say=lambda text: None)
    row = {"episode": 0, "answers": 8, "right": 5, "spikes": 734, "kinds": KINDS, "first": None}
    summary["lava"] = {"skipped": None, "agrees": True, "episodes": [row]}
    (made / "summary.json").write_text(json.dumps(summary))
    write_plastic(made)
    return made


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(folder, tmp_path / "run"))


@pytest.fixture(scope="module")
def drawn(folder: Path) -> tuple[Graph, Recording]:
    return load(folder / "model.loihi2_estimate.h5"), load_recording(folder / "episode.h5")


def page_of(run: Path, **named: str) -> Page:
    return Page(write_plastic(run, **named).read_text(encoding="utf-8"))


def changed(run: Path, **parts: Any) -> Path:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | parts))
    return run


def pictures(page: Page) -> int:
    return page.tags["svg"]


def numbers(value: Any) -> Iterator[int | float]:
    """All numbers of a nest; true and false are none."""
    match value:
        case bool():
            return
        case int() | float():
            yield value
        case dict() | list():
            for each in value.values() if isinstance(value, dict) else value:
                yield from numbers(each)
        case _:
            return


def test_the_page_holds_the_numbers_of_the_summary(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    page = Page((folder / "plastic.html").read_text(encoding="utf-8"))
    assert pictures(page) == len(PICTURES)
    told = {float(value) for value in page.values}
    quantization = {key: summary["quantization"][key] for key in ("plastic", "projections", "lost", "clipped")}
    quantization["projections"] = [{k: p[k] for k in ("weight_exp", "synapses", "lost", "clipped")} for p in quantization["projections"]]
    parts = [summary[key] for key in ("accuracy", "seconds", "cpu_seconds", "energy_loads")]
    parts += [quantization, summary["counts"]["per_inference"], summary["counts"]["totals"], summary["counts"]["rates_hz"]]
    parts += [[t["logit"] for t in summary["episode"]["trials"]], [e["total"] for e in summary["energy"]]]
    parts += [[t[end] for e in summary["energy"] for t in e["terms"] for end in ("count", "lo", "nominal", "hi")]]
    wanted = {float(x) for x in numbers(parts)}
    assert len(wanted) > 80
    assert wanted - told == set()


def test_accuracies_stand_in_their_row(folder: Path) -> None:
    accuracy = json.loads((folder / "summary.json").read_text())["accuracy"]
    page = Page((folder / "plastic.html").read_text(encoding="utf-8"))
    rows = {row[0]: row[1:] for row in page.tables["Right answers by trial of the episode"]}
    assert "The standard error of a share is at most 25.0\u202f%" in page.text, "of 4 episodes"
    for name, curve in {"best possible": accuracy["ceiling"], **accuracy["curves"]}.items():
        assert [float(cell.split("\u202f")[0]) for cell in rows[name]] == pytest.approx([100 * x for x in curve], abs=0.051)


def test_learning_stands_beside_the_total(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    page = Page((folder / "plastic.html").read_text(encoding="utf-8"))
    rows = page.tables["Energy per episode, and what of it is learning"][1:]
    for row, e in zip(rows, summary["energy"], strict=True):
        assert row[0] == e["profile"] + (" * what if" if e["what_if"] else "")
        (term,) = [t for t in e["terms"] if t["quantity"] == "energy.synapse_learn_update"]
        assert row[4] == f"{term['count']:,.0f}"


def test_nothing_is_loaded_and_nothing_runs(folder: Path) -> None:
    html = (folder / "plastic.html").read_text(encoding="utf-8")
    page = Page(html)
    assert "<script" not in html
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    assert len(page.ids) == len(set(page.ids))
    assert "not shown" not in page.text
    assert "Undefined" not in page.text
    assert "prefers-color-scheme: dark" in html


def test_lava_is_told_as_it_went(run: Path) -> None:
    assert "All values are equal." in page_of(run).text
    lava = json.loads((run / "summary.json").read_text())["lava"]
    lava["agrees"], lava["episodes"][0]["first"] = False, "step 3, H of hidden->hidden[7]: 1 against 2"
    page = page_of(changed(run, lava=lava))
    assert "Lava and the reference differ." in page.text
    assert "step 3, H of hidden->hidden[7]: 1 against 2" in page.text
    page = page_of(changed(run, lava={"skipped": "it is asleep", "agrees": None, "episodes": []}))
    assert "Lava did not run: it is asleep" in page.text


OF = {
    "model.h5": set[str](),
    "model.loihi2_estimate.h5": {"weights-before", "weights-learned", "weights-after", "episode"},
    "history.json": {"training"},
    "episode.h5": {"weights-before", "weights-learned", "weights-after", "episode"},
    "episode_inputs.h5": {"episode"},
    "episode_third.npz": {"episode"},
}
"""The pictures for which a file is needed."""


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_pieces_that_are_not_there_leave_sentences(run: Path, damage: str) -> None:
    for piece in OF:
        (run / piece).unlink()
        if damage == "damaged":
            (run / piece).write_bytes(b"\x89HDF <nonsense>")
    page = page_of(run)
    assert [piece for piece in OF if f"{piece} {SENTENCES[damage]}" not in page.text] == []
    assert pictures(page) == 4, "right answers, energy, and its terms on two chips"
    assert "None" not in page.text


@pytest.mark.parametrize("piece", OF)
def test_one_missing_piece_takes_only_its_own_pictures(run: Path, piece: str) -> None:
    (run / piece).unlink()
    found = read_plastic(run)
    assert found.gaps[piece] == f"{piece} is not in the run folder."
    assert PICTURES - {name for name, _, _ in _figures(found)} == OF[piece]


WRONG = {
    "history.json": ("[]", "[1]", '[{"update": 1}]', '[{"update": 1, "accuracy": []}]', '[{"update": 1, "accuracy": [0.5, "<b>"]}]', "{}"),
    "episode_third.npz": ("", "PK"),
}


@pytest.mark.parametrize(("piece", "content"), [(piece, content) for piece, contents in WRONG.items() for content in contents])
def test_wrong_content_leaves_a_sentence(run: Path, piece: str, content: str) -> None:
    (run / piece).write_text(content)
    assert read_plastic(run).gaps[piece].startswith(f"{piece} could not be read: ")


def test_third_factors_of_another_shape_leave_a_sentence(run: Path) -> None:
    np.savez(run / "episode_third.npz", reward=np.zeros(5))
    assert "does not hold one third factor" in read_plastic(run).gaps["episode_third.npz"]
    np.savez(run / "episode_third.npz", reward=np.array([[{}]]))
    assert "does not hold one third factor" in read_plastic(run).gaps["episode_third.npz"]


def test_a_recording_of_another_graph_leaves_a_sentence(run: Path, drawn: tuple[Graph, Recording]) -> None:
    save_recording(run / "episode.h5", replace(drawn[1], graph_digest="0" * 64))
    assert "no recording of the integer graph" in read_plastic(run).gaps["episode.h5"]
    save_recording(run / "episode.h5", replace(drawn[1], states={}))
    assert "no recording of the integer graph" in read_plastic(run).gaps["episode.h5"]


def test_an_empty_summary_leaves_sentences(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    page = page_of(tmp_path)
    for part in ("accuracy", "lava", "episode", "training", "quantization", "check", "counts", "energy", "seconds", "versions", "args"):
        assert f"summary.json has no “{part}”" in page.text
    assert pictures(page) == 0
    assert "None" not in page.text
    assert "Undefined" not in page.text


@pytest.mark.parametrize("part", ["accuracy", "lava", "episode", "training", "quantization", "check", "counts", "energy", "energy_loads"])
def test_one_missing_part_leaves_one_sentence(run: Path, part: str) -> None:
    summary = json.loads((run / "summary.json").read_text())
    del summary[part]
    for name in OF:
        (run / name).unlink()
    (run / "summary.json").write_text(json.dumps(summary))
    page = page_of(run)
    assert re.findall(r"summary\.json has no “(\w+)”", page.text) == [part]
    assert "None" not in page.text


def test_hostile_text_is_text(run: Path) -> None:
    s = json.loads((run / "summary.json").read_text())
    s["accuracy"]["curves"][f"{EVIL} $\\frac$"] = s["accuracy"]["ceiling"]
    s["accuracy"] |= {"simulator": EVIL, "episodes": EVIL}
    s["lava"] = {"skipped": None, "agrees": False, "episodes": [s["lava"]["episodes"][0] | {"first": EVIL, "kinds": {EVIL: KINDS["H"]}}]}
    s["episode"] |= {"target": EVIL, "projection": EVIL, "number": EVIL}
    s["episode"]["trials"][0] |= {"cues": [f"{EVIL}$\\frac$", EVIL], "logit": EVIL}
    s["check"] |= {"profile": EVIL, "fits": False}
    s["check"]["rules"][0] |= dict.fromkeys(("rule", "subject", "used", "allowed", "fault", "remedy", "status"), EVIL)
    s["counts"]["rates_hz"][EVIL] = 4.0
    s["energy"][0] |= {"profile": f"{EVIL}$\\frac$", "title": EVIL, "warning": EVIL, "reasons": [EVIL], "not_counted": [EVIL]}
    s |= {"energy_refused": {EVIL: EVIL}, "energy_unmapped": {EVIL: EVIL}, "versions": {EVIL: EVIL}, "args": {EVIL: EVIL}}
    s["quantization"] |= {"profile": EVIL}
    s["quantization"]["plastic"][0] |= {"name": EVIL, "rule": EVIL, "third_factor": EVIL, "rounding": EVIL, "errors": {EVIL: 0.1}}
    page = page_of(changed(run, **s), title=EVIL)
    assert page.tags["img"] == 0
    assert all(ref.startswith(("#", "data:")) for ref in page.references)
    assert page.text.count(EVIL) > 30
    assert pictures(page) == len(PICTURES)
    assert EVIL in page_of(changed(run, lava={"skipped": EVIL})).text


@pytest.mark.parametrize(("content", "message"), [(None, "no summary.json"), ("[1]", "holds a list"), ("{", "is not JSON")])
def test_a_folder_without_a_summary_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(NeuromorphError if content is None else FormatError, match=message):
        write_plastic(tmp_path)
    assert not is_plastic(tmp_path)
    assert not (tmp_path / "plastic.html").exists()


def test_equal_runs_give_equal_pages(folder: Path) -> None:
    html = (folder / "plastic.html").read_bytes()
    assert write_plastic(folder).read_bytes() == html
    assert is_plastic(folder)


def test_weights_are_in_thresholds(drawn: tuple[Graph, Recording]) -> None:
    """By hand: w << exponent against the threshold's mantissa."""
    graph, recording = drawn
    q, hidden = graph.projection("hidden->hidden"), graph.population("hidden")
    synapse = int(np.flatnonzero(q.weights)[5])
    threshold = int(hidden.v_th[q.indices[synapse]])
    assert fixed_weights(graph, q)[synapse] == pytest.approx(int(q.weights[synapse]) * 2.0**q.weight_exp / threshold)
    H = recording.states["hidden->hidden"]["H"][-1, 0].astype(np.float64)
    wanted = q.plasticity.alpha[synapse] * H[synapse] * 2.0**q.plasticity.fixed.alpha_exp / threshold
    assert learned_weights(graph, q, H)[synapse] == pytest.approx(wanted)


def test_the_synapses_shown_changed_most_and_lead_to_different_neurons(drawn: tuple[Graph, Recording]) -> None:
    graph, _ = drawn
    q = graph.projection("hidden->hidden")
    learned = np.random.default_rng(1).normal(size=q.n_synapses)
    chosen = most_changed(learned, q)
    assert len({int(q.indices[s]) for s in chosen}) == len(chosen) == SHOWN
    assert chosen[0] == np.abs(learned).argmax()
    best = {j: np.abs(learned[q.indices == j]).max() for j in range(64)}
    assert [abs(learned[s]) for s in chosen] == sorted(best.values(), reverse=True)[:SHOWN]


def test_a_matrix_shows_every_synapse_in_its_place(drawn: tuple[Graph, Recording]) -> None:
    q = drawn[0].projection("hidden->hidden")
    values = np.zeros(q.n_synapses)
    values[[3, 70]] = 2.0, -1.0
    (image,) = matrix(values, q, 64, 2.0).images
    shown = np.asarray(image.get_array())
    assert np.argwhere(shown[..., 3] > 0).tolist() == sorted([[int(q.rows[s]), int(q.indices[s])] for s in (3, 70)])
    assert shown[q.rows[3], q.indices[3], 3] == 1.0
    assert shown[q.rows[70], q.indices[70], 3] == 0.5


def test_curves_are_drawn_as_given() -> None:
    ax = by_trial({"a": [0.5, 0.75], "b": [0.25, 1.0]}, [0.5, 1.0])
    assert [line.get_ydata().tolist() for line in ax.lines] == [[50, 100], [50, 75], [25, 100]]
    ax = training_curve([{"update": 5, "accuracy": [0.5, 0.6, 0.7]}, {"update": 10, "accuracy": [0.4, 0.5, 0.8]}])
    assert [np.round(line.get_ydata()).tolist() for line in ax.lines] == [[50, 40], [60, 50], [70, 80]]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[5, 10]] * 3


def test_third_factors_are_strokes_at_their_steps(folder: Path, drawn: tuple[Graph, Recording]) -> None:
    run = read_plastic(folder)
    told = run.summary["episode"]
    ax = episode(drawn[0], run.inputs, run.third, drawn[1], told["trials"], told["target"])
    panels = ax.get_figure(root=True).axes
    (strokes,) = panels[2].collections
    assert [segment[1].tolist() for segment in strokes.get_segments()] == [[t, run.third[t]] for t in np.flatnonzero(run.third)]
    assert [text.get_text() for text in panels[0].texts if text.get_text() in "+1−1"] == [
        "+1" if t["right"] else "−1" for t in told["trials"]
    ]
    assert to_svg(ax, "x", "y").startswith("<svg")
