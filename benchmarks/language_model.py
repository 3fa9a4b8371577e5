"""Word-level language models of plastic LSTMs (Miconi et al. 2019, section 4.3): `python -m benchmarks.language_model`.

Models of equal numbers of parameters read Austen's novels (`neuromorph data fetch austen`), or with `--treebank FOLDER` a user's Penn
Treebank. `--paper` takes the paper's small model and schedule, `--large` its large one. A stopped call goes on where it was; `--conditions`
and `--seeds` choose a part, so that two calls can share the work.
"""

import os
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.curves import curves, draw
from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.errors import TrainingError
from neuromorph.tasks.language_model import Corpus, Markov, austen, markov, penn_treebank, unigram_perplexity
from neuromorph.tasks.language_model_network import LanguageModel, LanguageModelConfig, parameters
from neuromorph.tasks.language_model_training import LanguageModelTraining, perplexity, train
from neuromorph.train.plastic import Plasticity

AUSTEN, MARKOV = "austen", "markov"
CONDITIONS = {
    "lstm": Condition("LSTM", "104.26 +- 0.22 (Penn Treebank)", "section 4.3"),
    "plain": Condition("LSTM with plain plasticity", "103.80 +- 0.25 (Penn Treebank)", "section 4.3"),
    "simple": Condition("LSTM with simple neuromodulation", "102.65 +- 0.30 (Penn Treebank)", "section 4.3"),
    "retroactive": Condition("LSTM with retroactive neuromodulation", "102.48 +- 0.28 (Penn Treebank)", "section 4.3"),
}
LARGE_CONDITIONS = {
    "lstm": Condition("large LSTM", "62.48 (62.40 to 62.60) (Penn Treebank)", "section 4.3"),
    "simple": Condition("large LSTM with simple neuromodulation", "61.44 (61.37 to 61.68) (Penn Treebank)", "section 4.3"),
}
RULES = {
    "lstm": Plasticity("none"),
    "plain": Plasticity("hebbian", eta="synapse"),
    "simple": Plasticity("modulated", modulator="synapse"),
    "retroactive": Plasticity("retroactive", modulator="synapse"),
}
LARGE_RULES = {
    "lstm": Plasticity("none"),
    "simple": Plasticity("modulated", alpha="neuron", modulator="fanout", clip=2.0, initial_alpha=1e-4),
}


@dataclass(frozen=True)
class Args:
    """`n` neurons a layer with plasticity, without it as many as give as many parameters; `network`: what else they are, its sizes and
    plasticity replaced. `corpus`: "austen", "markov" or a folder with the Penn Treebank. `runs`: states of training.
    """

    conditions: tuple[str, ...] = tuple(CONDITIONS)
    seeds: tuple[int, ...] = (0, 1, 2)
    n: int = 100
    rules: dict[str, Plasticity] = field(default_factory=lambda: RULES)
    network: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    training: LanguageModelTraining = field(default_factory=LanguageModelTraining)
    corpus: str = AUSTEN
    vocabulary: int = 5000
    runs: Path = Path("runs/language_model")
    out: Path = RESULTS / "language_model.json"


PAPER = replace(
    Args(),
    n=200,
    vocabulary=10_000,
    training=LanguageModelTraining(epochs=13, decay=0.33, decay_after=5),
    runs=Path("runs/language_model_paper"),
    out=RESULTS / "language_model_paper.json",
)
"""The paper's small model and schedule, from the middle of its grid: the rate times a third every epoch after the fifth, L2 1e-5."""

LARGE = replace(
    PAPER,
    conditions=tuple(LARGE_CONDITIONS),
    n=1149,
    rules=LARGE_RULES,
    network=LanguageModelConfig(
        (1149, 1149, 400), 400, tied=True, scale=0.03, drop_word=0.1, drop_embedded=0.4, drop_hidden=0.25, drop_output=0.4
    ),
    training=LanguageModelTraining(
        epochs=500, lr=30.0, decay=1.0, weight_decay=1.2e-6, batch=7, window=70, vary=True, activity=2.0, change=1.0, average_after=45
    ),
    runs=Path("runs/language_model_large"),
    out=RESULTS / "language_model_large.json",
)
"""The paper's large model: AWD-LSTM's sizes, dropout, penalties and averaging, without dropout of weights."""


def about(args: Args) -> About:
    training = args.training
    large, novels = args.rules is LARGE_RULES, args.corpus == AUSTEN
    text = (
        "Austen's novels, prepared like the Penn Treebank, which is not free: perplexities do not compare. `--treebank` reads a user's own."
    )
    return About(
        title=f"Word-level language model{', large' if large else ''}",
        paper="Backpropamine (Miconi et al. 2019, section 4.3: mean and 95 % interval of 16 runs)",
        metric="test perplexity",
        better="lower",
        conditions=LARGE_CONDITIONS if large else CONDITIONS,
        differs=(
            *((text,) if novels else ()),
            f"{args.vocabulary:,} words (10,000), {args.n:,} neurons a layer ({1149 if large else 200}), {training.epochs} epochs "
            f"({500 if large else 13}); one setting for all conditions ({'no dropout of weights' if large else 'the best of a grid'}).",
            "The modulator reads the new hidden state (the one before). The model after the last epoch is tested, plasticity at work.",
        ),
    )


def read(args: Args) -> Corpus:
    if args.corpus == MARKOV:
        return markov(Markov(args.vocabulary), 0, (600, 100, 100))
    return austen(args.vocabulary) if args.corpus == AUSTEN else penn_treebank(args.corpus, args.vocabulary)


def made(args: Args, condition: str, seed: int, words: int) -> LanguageModel:
    """A model of the fewest neurons that give at least as many parameters as the smallest plastic one of `args.n`."""

    def of(rule: Plasticity, n: int) -> LanguageModel:
        return LanguageModel(sized(args.network, rule, n), words, generator=torch.Generator().manual_seed(seed))

    enough = min(parameters(of(rule, args.n)) for rule in args.rules.values() if rule.plastic)
    return next(model for n in count(args.n) if parameters(model := of(args.rules[condition], n)) >= enough)


def sized(network: LanguageModelConfig, rule: Plasticity, n: int) -> LanguageModelConfig:
    """Everything n wide; with tied weights the embedding, and so the last layer, stay as they are."""
    layers = (n,) * len(network.layers)
    if network.tied:
        return replace(network, layers=(*layers[1:], network.embedding), plasticity=rule)
    return replace(network, layers=layers, embedding=n, plasticity=rule)


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    """Train one model; its curve and what it makes of the test part."""
    corpus = read(args)
    model = made(args, condition, seed, len(corpus))
    learner = train(model, corpus, args.training, seed=seed, folder=args.runs / f"{condition}-{seed}")
    step = -(-len(learner.history) // 100)
    history = [*learner.history[:-1:step], learner.history[-1]]
    with learner.for_reading() as read_by:
        value = perplexity(read_by, corpus.test)
    return {
        "value": value,
        "cpu_s": learner.history[-1]["cpu_s"],
        "neurons": model.config.layers[0],
        "parameters": parameters(model),
        "unigram": unigram_perplexity(corpus),
        "epochs": [entry["epoch"] for entry in history],
        **{name: [round(entry[name], 3) for entry in history] for name in ("train", "valid", "norm")},
    }


def settings(args: Args) -> dict[str, Any]:
    """What makes two results comparable."""
    kept = {name: getattr(args, name) for name in ("n", "corpus", "vocabulary")}
    rules = {name: asdict(rule) for name, rule in args.rules.items()}
    return {**kept, "rules": rules, "network": asdict(args.network), "training": asdict(args.training)}


def main(args: Args) -> list[dict[str, Any]]:
    """Train and test what the results lack, and draw the curves.

    Raises:
        TrainingError: a condition that the model is not made for.
    """
    if unknown := set(args.conditions) - set(args.rules):
        raise TrainingError(f"No rule for {', '.join(sorted(unknown))}; this model has {', '.join(args.rules)}.")
    results = Results(args.out, about(args), settings(args))
    run_all(args, results, args.conditions, args.seeds, one)
    found = curves(results.runs, "epochs", "valid")
    conditions = results.about.conditions
    numbers = {name: conditions[name].paper.split(" ")[0] for name in (args.conditions[0], args.conditions[-1])}
    of_papers = args.corpus not in (AUSTEN, MARKOV)  # perplexities of other texts do not compare
    papers = {f"{name}, paper: {number}": float(number) for name, number in numbers.items()} if of_papers else {}
    draw(args.out.with_suffix(".png"), found, ("epochs", "validation perplexity"), papers)
    return results.runs


def smoke(folder: Path) -> Args:
    """Every condition once, for a moment, on a text that needs no data."""
    training = LanguageModelTraining(epochs=2, batch=4, window=30, save_every=2)
    small = Args(seeds=(0,), n=6, corpus=MARKOV, vocabulary=5, training=training)
    return replace(small, runs=folder / "runs", out=folder / "language_model.json")


if __name__ == "__main__":
    os.environ.setdefault("NEUROMORPH_THREADS", "1")
    given = chosen(
        __doc__ or "",
        tuple(CONDITIONS),
        {"paper": "the paper's small model and schedule", "large": "the paper's large model"},
        {"treebank": "folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt, read in place of Austen's novels"},
    )
    if given.smoke:
        in_temporary_folder(lambda folder: main(smoke(folder)))
    else:
        args = LARGE if given.large else PAPER if given.paper else Args()
        if given.treebank:
            args = replace(args, corpus=given.treebank, runs=args.runs / "treebank", out=args.out.with_stem(f"{args.out.stem}_treebank"))
        main(replace(args, **parts(given)))
