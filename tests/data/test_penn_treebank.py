"""A user's Penn Treebank, on files written in its format."""

from pathlib import Path

import pytest

from neuromorph.data import penn_treebank
from neuromorph.data.penn_treebank import PARTS, Part, load_penn_treebank
from neuromorph.errors import DataError

TEXTS = {"train": " no it was n't black monday \n <unk> said N \n", "valid": " a b \n", "test": " c \n\n d \n"}


def write(folder: Path) -> Path:
    for name, text in TEXTS.items():
        (folder / PARTS[name].file).write_text(text)
    return folder


def test_sentences(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="is not the usual") as told:
        parts = load_penn_treebank(write(tmp_path))
    assert [str(each.message).partition(" is not ")[0] for each in told] == [str(tmp_path / part.file) for part in PARTS.values()]
    assert "2 lines for 42,068" in str(told[0].message)
    assert parts["train"] == [["no", "it", "was", "n't", "black", "monday"], ["<unk>", "said", "N"]]
    assert parts["valid"] == [["a", "b"]]
    assert parts["test"] == [["c"], ["d"]]


def test_the_usual_file_is_not_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    """MD5 sums of the texts above, by md5sum."""
    sums = {
        "train": "758e95ae02c2309eab3930da0bdd6732",
        "valid": "ff9af45b3ad99e67cd43fa112bf68615",
        "test": "2ed75d13d916b601c4ce8b49e5d000e1",
    }
    usual = {name: Part(PARTS[name].file, len(TEXTS[name].splitlines()), sums[name]) for name in TEXTS}
    monkeypatch.setattr(penn_treebank, "PARTS", usual)
    load_penn_treebank(write(tmp_path))
    assert not recwarn.list


def test_files_that_are_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ptb\.train\.txt cannot be read.*bring your own"):
        load_penn_treebank(tmp_path)
    write(tmp_path)
    (tmp_path / "ptb.train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        load_penn_treebank(tmp_path)
    (tmp_path / "ptb.train.txt").write_text("\n \n")
    with pytest.warns(UserWarning, match="not the usual"), pytest.raises(DataError, match="holds no word"):
        load_penn_treebank(tmp_path)
