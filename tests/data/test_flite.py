"""The free corpus: its sentences, and a tiny one made by the real flite."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neuromorph.cli.app import app
from neuromorph.data.phones import Recipe, audio, load_corpus, make
from neuromorph.data.phones.flite import phone_lines
from neuromorph.data.phones.sentences import SHARED, WORDS, Part, draw, vocabulary
from neuromorph.data.phones.timit import parse_phones
from neuromorph.errors import DataError
from tests.data.phone_files import need_flite

RECIPE = Recipe(train=13, test=4, seed=3)


def test_no_word_is_of_both_parts():
    words = {word for text in WORDS.values() for word in text.split()}
    parts = [{word for kind, chosen in vocabulary(part).items() if kind not in SHARED for word in chosen} for part in ("TRAIN", "TEST")]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == words
    assert len(parts[0]) == pytest.approx(4 * len(parts[1]), rel=0.1)


@pytest.mark.parametrize("part", ["TRAIN", "TEST"])
def test_sentences(part):
    found = draw(part, 200, 1)
    assert len(set(found)) == 200
    assert draw(part, 50, 1) == found[:50]
    assert not set(draw(part, 50, 2)) & set(found)
    allowed = {word.lower() for chosen in vocabulary(part).values() for word in chosen} | {
        "and",
        "while",
        "that",
        "why",
        "has",
        "of",
        "every",
    }
    assert {word.lower() for text in found for word in text.rstrip(".?").split()} <= allowed
    with pytest.raises(DataError, match="at least 1"):
        draw(part, 0, 1)


def test_phones_are_cut_to_the_recording():
    """At 100 Hz: the third phone ends beyond the 50 samples, the fourth begins there; the first is shorter than half a sample."""
    assert phone_lines("pau:0.004 aa:0.125 t:0.6 pau:0.7", 50, 100) == ["0 12 aa", "12 50 t"]
    with pytest.raises(DataError, match="wanted phone:end"):
        phone_lines("pau:0.1 hello", 50, 100)
    with pytest.raises(DataError, match="no phone"):
        phone_lines("", 50, 100)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_flite()
    folder = tmp_path_factory.mktemp("data") / "flite-phones"
    assert make(folder, RECIPE)
    return folder


def test_the_corpus(corpus: Path):
    wavs = sorted(path.relative_to(corpus).as_posix() for path in corpus.glob("*/*/*/*.WAV"))
    speakers = {0: "DR1/MKAL0", 1: "DR2/MAWB0", 2: "DR3/MRMS0", 3: "DR4/FSLT0"}
    parts: dict[Part, int] = {"TRAIN": RECIPE.train, "TEST": RECIPE.test}
    assert wavs == sorted(f"{part}/{speakers[k % 4]}/SX{k}.WAV" for part, n in parts.items() for k in range(n))
    sentences = {f"{part}/SX{k}": text for part, n in parts.items() for k, text in enumerate(draw(part, n, RECIPE.seed))}
    for name in wavs:
        path = corpus / name
        recording = audio.parse(path.read_bytes(), name)
        phones = parse_phones(path.with_suffix(".PHN").read_text(), name)
        assert recording.rate == 16_000
        said = sentences[f"{name[: name.index('/')]}/{path.stem}"]
        assert path.with_suffix(".TXT").read_text() == f"0 {len(recording.samples)} {said}\n"
        assert (phones[0].begin, phones[0].phone) == (0, "pau")
        assert all(a.end == b.begin for a, b in pairwise(phones))
        assert len(recording.samples) - 0.01 * 16_000 <= phones[-1].end <= len(recording.samples)
        # speech is louder than the pause before it
        loudness = [np.abs(recording.samples[s.begin : s.end].astype(float)).mean() for s in phones]
        assert loudness[0] < np.mean(loudness[1:-1])


def test_it_is_made_once_and_the_same_again(corpus: Path, tmp_path: Path):
    assert not make(corpus, RECIPE)
    assert make(tmp_path / "again", RECIPE)
    assert (tmp_path / "again" / "recipe.json").read_bytes() == (corpus / "recipe.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again"], "nothing else is left"
    with pytest.raises(DataError, match="delete it, or choose another folder"):
        make(corpus, Recipe(train=12, test=4, seed=3))
    recipe = json.loads((corpus / "recipe.json").read_text())
    assert (recipe["corpus"], recipe["train"], recipe["seed"]) == ("flite-phones", 13, 3)
    assert recipe["tool"].startswith("flite")


def test_frames_of_it(corpus: Path):
    found = load_corpus(root=corpus, snr_db=10.0)
    assert (len(found.train), len(found.test)) == (13, 4)
    labels = np.concatenate([each.labels for each in found.train])
    assert len(np.unique(labels[labels >= 0])) > 30
    assert (labels < 0).mean() < 0.01
    assert found.about["recipe_sha256"]
    with pytest.raises(DataError, match="TIMIT is in none"):
        load_corpus("TIMIT", root=corpus)


@pytest.mark.parametrize("ending", [".PHN", ".WAV"])
def test_damage_is_told(corpus: Path, tmp_path: Path, ending):
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    path = copy / f"TEST/DR1/MKAL0/SX0{ending}"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    for use in (lambda: load_corpus(root=copy), lambda: make(copy, RECIPE)):
        with pytest.raises(DataError, match="is damaged"):
            use()
    (copy / "recipe.json").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        make(copy, RECIPE)


def test_without_flite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"flite, .* is not installed.*apt-get install"):
        make(tmp_path / "corpus", RECIPE)
    assert not (tmp_path / "corpus").exists()


def test_the_command(tmp_path: Path):
    need_flite()
    command = ["data", "make", "flite-phones", "--train", "2", "--test", "1", "--root", str(tmp_path)]
    for made in (True, False):
        result = CliRunner().invoke(app, [*command, "--json"])
        assert result.exit_code == 0, (result.output, result.exception)
        told = json.loads(result.stdout)
        assert (told["folder"], told["made"], told["recipe"]["train"]) == (str(tmp_path / "flite-phones"), made, 2)
    assert "flite-phones" in CliRunner().invoke(app, command).stdout
    result = CliRunner().invoke(app, ["data", "make", "nothing"])
    assert isinstance(result.exception, DataError)
