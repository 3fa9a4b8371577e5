"""Word-level language modelling (Miconi et al. 2019, section 4.3): text as numbers of words, cut into streams that are read side by side.

Austen's novels are prepared like the Penn Treebank's usual files: lower case, words alone, a sentence at a time with its end marked, rare
words as <unk>. Markov chains of words need no data, and the best possible perplexity on them is known.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuromorph.data.austen import load_austen
from neuromorph.data.penn_treebank import load_penn_treebank
from neuromorph.errors import DataError, TrainingError

UNKNOWN, END = "<unk>", "<eos>"
PARTS = ("train", "valid", "test")
SENTENCE = re.compile(r"(?<!\bmr)(?<!\bmrs)(?<!\bdr)(?<!\bst)[.!?]+[\"')\]]*\s+")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
BLOCK, TWENTY, VALID, TEST = 100, 20, 9, 19
"""Of every twenty blocks of so many sentences these are held out."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """`words`: the vocabulary; the parts [tokens]: numbers of words in it."""

    name: str
    words: tuple[str, ...]
    train: Int[Tensor, " _"]
    valid: Int[Tensor, " _"]
    test: Int[Tensor, " _"]

    def __len__(self) -> int:
        """Words of the vocabulary."""
        return len(self.words)


def austen(vocabulary: int = 10_000, root: str | os.PathLike[str] | None = None) -> Corpus:
    """Austen's novels. Blocks 10 and 20 of every twenty blocks of 100 sentences are the validation and test parts.

    Raises:
        DataError: the text is missing (`neuromorph data fetch austen` gets it) or damaged.
    """
    return numbered("austen", divided(sentences(load_austen(root))), vocabulary)


def penn_treebank(folder: str | os.PathLike[str], vocabulary: int = 10_000) -> Corpus:
    """The Penn Treebank from a user's files, see `load_penn_treebank`.

    Raises:
        DataError: a file is missing or holds no word.
    """
    return numbered("penn treebank", load_penn_treebank(folder), vocabulary)


def sentences(text: str) -> list[list[str]]:
    """Words in lower case, sentence by sentence; punctuation and digits are left out."""
    found = (WORD.findall(sentence) for sentence in SENTENCE.split(text.lower()))
    return [words for words in found if words]


def divided(text: list[list[str]]) -> dict[str, list[list[str]]]:
    """The parts of a text of many sentences."""
    parts: dict[str, list[list[str]]] = {name: [] for name in PARTS}
    for number, sentence in enumerate(text):
        parts[{VALID: "valid", TEST: "test"}.get(number // BLOCK % TWENTY, "train")].append(sentence)
    return parts


def numbered(name: str, parts: Mapping[str, Iterable[list[str]]], vocabulary: int) -> Corpus:
    """The most frequent words of the training part (of equals the first in the alphabet), <eos> and <unk>, `vocabulary` in all at most.

    Raises:
        DataError: a part is empty.
        TrainingError: there is no room for a word.
    """
    if vocabulary < 3:
        raise TrainingError(f"{name}: a vocabulary of {vocabulary}; it needs room for {END}, {UNKNOWN} and a word.")
    texts = {part: [word for sentence in parts[part] for word in (*sentence, END)] for part in PARTS}
    for part, text in texts.items():
        if not text:
            raise DataError(f"{name}: the part '{part}' is empty; give a longer text.")
    counts = Counter(texts["train"])
    ordered = sorted(counts.keys() - {UNKNOWN, END}, key=lambda word: (-counts[word], word))
    words = (END, UNKNOWN, *ordered[: vocabulary - 2])
    number = {word: index for index, word in enumerate(words)}
    return Corpus(name, words, *(torch.tensor([number.get(word, 1) for word in texts[part]]) for part in PARTS))


def streams(tokens: Int[Tensor, " tokens"], batch: int) -> Int[Tensor, "length batch"]:
    """The text as so many columns, one after the other; what is left over at the end is dropped.

    Raises:
        DataError: a column would have fewer than two tokens.
    """
    length = len(tokens) // batch
    if length < 2:
        raise DataError(f"A text of {len(tokens)} tokens makes no {batch} streams of at least 2; give a longer text or a smaller batch.")
    return tokens[: length * batch].view(batch, length).T.contiguous()


def unigram_perplexity(corpus: Corpus) -> float:
    """On the test part, of the words' shares in the training part, each word counted once more than it was seen."""
    counts = torch.bincount(corpus.train, minlength=len(corpus)).double() + 1
    return float((counts / counts.sum()).log()[corpus.test].mean().neg().exp())


@dataclass(frozen=True)
class Markov:
    """A chain over `words` words whose next one depends on the last two; `sharpness`: standard deviation of the logits."""

    words: int = 8
    sharpness: float = 2.0

    def __post_init__(self) -> None:
        if self.words < 2 or not self.sharpness >= 0:
            raise TrainingError(f"{self}: at least two words, and a sharpness of at least 0.")


def chances(source: Markov, generator: torch.Generator) -> Float[Tensor, "words words words"]:
    """Of each next word [before last, last, next]."""
    logits = torch.randn(source.words, source.words, source.words, generator=generator, dtype=torch.float64)
    return (logits * source.sharpness).softmax(-1)


def markov(source: Markov, seed: int, tokens: tuple[int, int, int]) -> Corpus:
    """A corpus of so many tokens a part."""
    generator = torch.Generator().manual_seed(seed)
    table, drawn = chances(source, generator).cumsum(-1), torch.rand(sum(tokens), generator=generator, dtype=torch.float64).tolist()
    rows, pair, text = table.tolist(), (0, 0), list[int]()
    for u in drawn:
        word = min(sum(u >= bound for bound in rows[pair[0]][pair[1]]), source.words - 1)
        text.append(word)
        pair = (pair[1], word)
    return Corpus("markov", tuple(f"w{number}" for number in range(source.words)), *torch.tensor(text).split(list(tokens)))


def markov_perplexity(source: Markov, seed: int) -> float:
    """The best possible one: exp of the chain's entropy a word, exact (by its stationary distribution)."""
    p = chances(source, torch.Generator().manual_seed(seed))
    share = torch.full((source.words, source.words), 1 / source.words**2, dtype=torch.float64)
    for _ in range(1000):
        share = torch.einsum("ab,abc->bc", share, p)
    return float((share * torch.special.entr(p).sum(-1)).sum().exp())
