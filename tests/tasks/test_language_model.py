"""Texts as tokens, by hand; the Markov source against its exact entropy; the real novels."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuromorph.errors import DataError, TrainingError
from neuromorph.tasks.language_model import (
    END,
    UNKNOWN,
    Markov,
    austen,
    chances,
    divided,
    markov,
    markov_perplexity,
    numbered,
    penn_treebank,
    sentences,
    streams,
    unigram_perplexity,
)
from tests.data.files import need_austen


def test_sentences_by_hand() -> None:
    text = 'Mr. Knightley, a sensible man.  "Oh!" said Mrs. Weston;\nDon\'t _you_ know No. 7?\n\nCHAPTER II\n'
    wanted = ["mr knightley a sensible man", "oh", "said mrs weston don't you know no", "chapter ii"]
    assert [" ".join(words) for words in sentences(text)] == wanted


def test_blocks_of_sentences_are_held_out() -> None:
    parts = divided([[str(number)] for number in range(4_050)])
    assert [int(words[0]) for words in parts["valid"]] == [*range(900, 1000), *range(2900, 3000)]
    assert [int(words[0]) for words in parts["test"]] == [*range(1900, 2000), *range(3900, 4000)]
    assert len(parts["train"]) == 4_050 - 400


def test_numbers_of_words_by_hand() -> None:
    parts = {"train": [["b", "a", "b"], ["c", UNKNOWN, "d"]], "valid": [["d", "b"]], "test": [["e"]]}
    corpus = numbered("tiny", parts, 5)
    assert corpus.words == (END, UNKNOWN, "b", "a", "c"), "of equal counts the first in the alphabet"
    assert corpus.train.tolist() == [2, 3, 2, 0, 4, 1, 1, 0]
    assert corpus.valid.tolist() == [1, 2, 0]
    assert corpus.test.tolist() == [1, 0]
    assert len(corpus) == 5
    shares = torch.tensor([3, 3, 3, 2, 2]) / 13
    assert unigram_perplexity(corpus) == pytest.approx(float((shares[1] * shares[0]) ** -0.5))


@given(words=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), min_size=1, max_size=9), vocabulary=st.integers(3, 9))
def test_texts_come_back_from_their_numbers(words: list[list[str]], vocabulary: int) -> None:
    corpus = numbered("tiny", {"train": words, "valid": words, "test": words}, vocabulary)
    text = [word for sentence in words for word in (*sentence, END)]
    assert [corpus.words[n] for n in corpus.train] == [word if word in corpus.words else UNKNOWN for word in text]
    assert len(corpus) <= vocabulary
    kept = {word: text.count(word) for word in corpus.words[2:]}
    assert all(text.count(word) <= min(kept.values(), default=9**9) for word in set(text) - set(corpus.words))


@pytest.mark.parametrize(("tokens", "batch"), [(12, 3), (14, 3), (13, 1)])
def test_streams_are_consecutive(tokens: int, batch: int) -> None:
    cut = streams(torch.arange(tokens), batch)
    length = tokens // batch
    assert [cut[:, b].tolist() for b in range(batch)] == [[*range(b * length, (b + 1) * length)] for b in range(batch)]


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="makes no 4 streams"):
        streams(torch.arange(7), 4)
    with pytest.raises(TrainingError, match="needs room"):
        numbered("tiny", {"train": [["a"]], "valid": [["a"]], "test": [["a"]]}, 2)
    with pytest.raises(DataError, match="part 'valid' is empty"):
        numbered("tiny", {"train": [["a"]], "valid": [], "test": [["a"]]}, 9)
    for words, sharpness in ((1, 1.0), (3, -1.0)):
        with pytest.raises(TrainingError, match="at least"):
            Markov(words, sharpness)


# ---- the source of known entropy


def test_the_chain_is_its_table() -> None:
    source = Markov(3, 1.5)
    text, table = markov(source, 4, (60_000, 5, 5)).train, chances(source, torch.Generator().manual_seed(4))
    counts = torch.zeros(3, 3, 3, dtype=torch.float64)
    counts.index_put_((text[:-2], text[1:-1], text[2:]), torch.ones(len(text) - 2, dtype=torch.float64), accumulate=True)
    often = counts.sum(-1) > 1000
    assert int(often.sum()) > 4
    torch.testing.assert_close((counts / counts.sum(-1, keepdim=True))[often], table[often], rtol=0, atol=0.05)


def test_the_best_perplexity() -> None:
    """Uniform words: their number. Otherwise what the table itself reaches on a long text."""
    assert markov_perplexity(Markov(5, 0.0), 0) == pytest.approx(5.0)
    source = Markov(4, 2.0)
    text, table = markov(source, 1, (10, 10, 100_000)).test, chances(source, torch.Generator().manual_seed(1))
    reached = table[text[:-2], text[1:-1], text[2:]].log().mean().neg().exp()
    assert float(reached) == pytest.approx(markov_perplexity(source, 1), rel=0.01)


def test_equal_seeds_give_equal_texts() -> None:
    first, again, other = (markov(Markov(), seed, (50, 20, 10)) for seed in (3, 3, 4))
    assert torch.equal(first.train, again.train)
    assert not torch.equal(first.train, other.train)
    assert [len(part) for part in (first.train, first.valid, first.test)] == [50, 20, 10]


# ---- real and user's texts


def test_the_novels() -> None:
    need_austen()
    corpus = austen()
    assert len(corpus) == 10_000
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [681_241, 39_455, 36_367]
    assert corpus.words[2:6] == ("the", "to", "and", "of")
    assert float((corpus.train == 1).float().mean()) < 0.01
    assert unigram_perplexity(corpus) == pytest.approx(524.4, abs=0.1)


def test_a_users_penn_treebank(tmp_path: Any) -> None:
    for name, text in (("train", " a b \n c <unk> \n"), ("valid", " a N \n"), ("test", " b \n")):
        (tmp_path / f"ptb.{name}.txt").write_text(text)
    with pytest.warns(UserWarning, match="not the usual"):
        corpus = penn_treebank(tmp_path)
    assert corpus.words == (END, UNKNOWN, "a", "b", "c")
    assert corpus.train.tolist() == [2, 3, 0, 4, 1, 0]
    assert corpus.valid.tolist() == [2, 1, 0]
