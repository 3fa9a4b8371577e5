"""Which phone is spoken, frame by frame (Bellec et al. 2018, on TIMIT): `python -m benchmarks.phones`, after
`neuromorph data make flite-phones`.

Bidirectional networks of LIF and adaptive neurons, of LIF neurons alone, and an LSTM of about as many parameters, on the same random
stretches of the same utterances, with white noise at 10 dB; and an LSNN of one direction under DEEP R, which answers 50 ms late and so
runs on chips. `--timit` takes a user's own TIMIT.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.experiment import RESULTS, About, Condition, Results, chosen, in_temporary_folder, parts, run_all
from neuromorph.data.phones import Corpus, load_corpus
from neuromorph.data.phones.corpus import NOT_COUNTED, Framed, Name
from neuromorph.graph import save
from neuromorph.tasks.phones import Encoding, LSTMPhones, SpikingPhones, chunks, errors, frame_error
from neuromorph.train.config import OptimizerConfig
from neuromorph.train.connectivity import allowed_synapses, draw_masks
from neuromorph.train.deep_r import DeepR
from neuromorph.train.export import export
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.resumable import learn
from neuromorph.train.supervised import Loss, Supervised

LEARNED = LSNNConfig(n_excitatory=75, n_inhibitory=25, n_adaptive=50, tau_m=20e-3, tau_a=200e-3, tau_out=5e-3, n_ref=2, bidirectional=True)
ONLINE = replace(LEARNED, n_excitatory=110, n_inhibitory=60, n_adaptive=80, bidirectional=False)


@dataclass(frozen=True)
class Args:
    """`network`: sizes of each direction; `frames`: of a stretch; `feature_noise`: standard deviation of what is added to the normalised
    features in training; `validated`: utterances of the training part kept for the curve. The network of one direction is `online`, with a
    share `connectivity` of its synapses, and answers `delay` frames late; that of seed 0 goes to `models`.
    """

    conditions: tuple[str, ...] = ("lsnn", "lif", "lstm", "online")
    seeds: tuple[int, ...] = (0, 1, 2)
    corpus: Name = "flite-phones"
    snr_db: float = 10.0
    encoding: Encoding = field(default_factory=Encoding)
    network: LSNNConfig = LEARNED
    online: LSNNConfig = ONLINE
    connectivity: float = 0.2
    delay: int = 5
    feature_noise: float = 0.5
    logit_scale: float = 1.0
    batch: int = 32
    frames: int = 80
    updates: int = 3000
    lr: float = 5e-3
    lstm_lr: float = 3e-3
    online_lr: float = 1e-2
    rate_weight: float = 1.0
    rate_hz: float = 30.0
    validated: int = 40
    root: Path | None = None
    models: Path = RESULTS.parent / "models"
    runs: Path = Path("runs/phones")
    out: Path = RESULTS / "phones.json"


@lru_cache(1)
def corpus(name: Name, root: Path | None, snr_db: float) -> Corpus:
    return load_corpus(name, root=root, snr_db=snr_db)


def network(args: Args, condition: str, seed: int) -> nn.Module:
    """The LSTM has the size whose parameters come closest to the LSNN's."""
    generator, n = torch.Generator().manual_seed(seed), args.network
    if condition == "lstm":
        wanted = parameters(SpikingPhones(n, args.encoding, generator=generator))
        sizes = {k: abs(parameters(LSTMPhones(k, generator=generator)) - wanted) for k in range(4, 400, 2)}
        return LSTMPhones(min(sizes, key=lambda k: sizes[k]), generator=torch.Generator().manual_seed(seed))
    if condition == "online":
        return SpikingPhones(args.online, args.encoding, generator=generator, delay=args.delay, logit_scale=args.logit_scale)
    if condition == "lif":
        n = replace(n, n_adaptive=0, n_excitatory=n.n_excitatory + n.n_adaptive)
    return SpikingPhones(n, args.encoding, generator=generator, logit_scale=args.logit_scale)


def optimizer(args: Args, condition: str, model: nn.Module, seed: int) -> torch.optim.Optimizer | DeepR:
    """Adam; under DEEP R for the network of one direction, whose synapses are drawn here."""
    adam = torch.optim.Adam(model.parameters(), lr=learning_rate(args, condition))
    if condition != "online":
        return adam
    assert isinstance(model, SpikingPhones)
    lsnn, generator = model.lsnn, torch.Generator().manual_seed(1000 + seed)
    signs = lsnn.signs(generator)
    masks = draw_masks(allowed_synapses(lsnn.weights()), args.connectivity, generator)
    lsnn.initialise(signs, masks)
    return DeepR(adam, lsnn.weights(), signs, masks, seed=seed, l1=1e-3)


def learning_rate(args: Args, condition: str) -> float:
    """At its highest."""
    return {"lstm": args.lstm_lr, "online": args.online_lr}.get(condition, args.lr)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def loss_of(args: Args, model: nn.Module, utterances: Sequence[Framed], seed: int) -> Callable[[int], Loss]:
    """Cross entropy of the frames of random stretches, and how far firing rates are from the target."""

    def loss(update: int) -> Loss:
        rng = np.random.default_rng([seed, update])
        batch = chunks(utterances, args.batch, args.frames, rng)
        noise = torch.from_numpy(rng.standard_normal(batch.features.shape, np.float32))
        scores = model(batch._replace(features=batch.features + args.feature_noise * noise))
        wrong, counted = errors(scores.logits.detach(), batch.labels)
        error = cross_entropy(scores.logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NOT_COUNTED)
        apart = (scores.rates - args.rate_hz * args.encoding.dt).square().sum()
        rate = float(scores.rates.detach().mean()) / args.encoding.dt if len(scores.rates) else 0.0
        return Loss(error + args.rate_weight * apart, wrong / max(counted, 1), rate)

    return loss


def one(args: Args, condition: str, seed: int) -> dict[str, Any]:
    """Frame error on the test utterances after the last update. Every so many training utterances are kept for the curve."""
    data, model = corpus(args.corpus, args.root, args.snr_db), network(args, condition, seed)
    made, every = optimizer(args, condition, model, seed), max(2, len(data.train) // args.validated)
    validation = data.train[::every]
    loss = loss_of(args, model, [each for k, each in enumerate(data.train) if k % every], seed)
    schedule = OptimizerConfig(lr=learning_rate(args, condition), schedule="cosine", warm_up=20, clip=1.0)
    options: dict[str, Any] = {"validate": lambda: frame_error(model, validation), "record_every": max(1, args.updates // 12)}
    learner = Supervised(model, made, schedule, args.updates, loss=loss, **options)
    about_run = {"condition": condition, "seed": seed, **settings(args)}
    learn(learner, args.updates, about=about_run, folder=args.runs / f"{condition}-{seed}", save_every=50)
    if isinstance(made, DeepR) and seed == 0:
        deploy(args, model, made)
    n = made.n_active if isinstance(made, DeepR) else parameters(model)
    curve = [[entry["update"], 100 * entry["validation"]] for entry in learner.history]
    told = {"curve": curve, "parameters": n, "rate_hz": learner.history[-1]["rate_hz"]}
    return {"value": 100 * frame_error(model, data.test), "cpu_s": learner.cpu_seconds, **told}


def deploy(args: Args, model: nn.Module, deep_r: DeepR) -> None:
    """Write the network of one direction as a graph, which tells how its readout is read."""
    assert isinstance(model, SpikingPhones)
    read = {"task": "phones", "steps_per_frame": args.encoding.steps_per_frame, "delay": args.delay}
    graph = export(model.lsnn, signs=deep_r.signs, metadata={name: str(value) for name, value in read.items()})
    args.models.mkdir(parents=True, exist_ok=True)
    save(args.models / f"{args.out.stem}_online.h5", graph)


def settings(args: Args) -> dict[str, Any]:
    kept = ("corpus", "snr_db", "logit_scale", "batch", "frames", "updates", "lr", "lstm_lr", "rate_weight", "rate_hz", "validated")
    kept += ("online_lr", "feature_noise", "connectivity", "delay")
    told = {name: getattr(args, name) for name in kept}
    return {**told, "encoding": asdict(args.encoding), "network": asdict(args.network), "online": asdict(args.online)}


def about(args: Args) -> About:
    n, o, made = args.network, args.online, args.corpus == "flite-phones"
    conditions = {
        "lsnn": Condition(f"bidirectional LSNN, {n.n - n.n_adaptive} LIF + {n.n_adaptive} ALIF a direction", "33.2 % (300 + 100)", "TIMIT"),
        "lif": Condition(f"bidirectional, {n.n} LIF a direction"),
        "lstm": Condition("bidirectional LSTM of equal parameters, on the features themselves", "29.7 %", "TIMIT"),
        "online": Condition(
            f"LSNN of one direction, {o.n - o.n_adaptive} LIF + {o.n_adaptive} ALIF, DEEP R {100 * args.connectivity:g} %, "
            f"{10 * args.delay} ms late"
        ),
    }
    differs = (
        "The corpus is flite-phones: synthetic speech of four voices with 10 dB noise, NOT TIMIT; numbers do not compare with TIMIT's."
        * made,
        f"39 classes (the paper: 61); features as spikes of {args.encoding.n_levels} levels (theirs: analog), "
        f"{args.encoding.steps_per_frame} ms a frame (5), {args.updates:,} updates of {args.batch} stretches of {args.frames} frames "
        f"(80 epochs), with noise of {args.feature_noise:g} standard deviations on the features in training.",
    )
    return About("Phones, frame by frame", "Bellec et al. 2018.", "frame error [%]", "lower", conditions, tuple(filter(None, differs)))


def main(args: Args) -> list[dict[str, Any]]:
    results = Results(args.out, about(args), settings(args))
    run_all(args, results, args.conditions, args.seeds, one)
    plot(results, args.out.with_suffix(".png"))
    return results.runs


def plot(results: Results, path: Path) -> None:
    """Validation error while training, median and range over seeds; the paper's number on TIMIT dotted."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for condition in results.about.conditions:
        curves = [np.array(run["curve"]) for run in results.runs if run["condition"] == condition]
        if curves:
            values = np.stack([curve[:, 1] for curve in curves])
            (line,) = ax.plot(curves[0][:, 0], np.median(values, 0), label=f"{condition} ({len(curves)})")
            ax.fill_between(curves[0][:, 0], values.min(0), values.max(0), alpha=0.2, color=line.get_color(), linewidth=0)
    ax.axhline(33.2, color="black", linestyle=":", label="paper, LSNN, on TIMIT (other data)")
    ax.set_xlabel("update")
    ax.set_ylabel("frame error [%], validation")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def smoke(folder: Path) -> Args:
    """Two updates of tiny networks; the corpus must lie in `folder`/corpus."""
    small = replace(LEARNED, n_excitatory=5, n_inhibitory=2, n_adaptive=3)
    sizes: dict[str, Any] = {"network": small, "online": replace(small, bidirectional=False)}
    budget: dict[str, Any] = {"batch": 2, "frames": 10, "updates": 2, "validated": 1, "seeds": (0,)}
    places: dict[str, Any] = {"root": folder / "corpus", "models": folder, "runs": folder / "runs", "out": folder / "phones.json"}
    return Args(**sizes, **budget, **places)


def smoke_run(folder: Path) -> None:
    from neuromorph.data.phones import Recipe, make

    make(folder / "corpus", Recipe(train=4, test=2))
    main(smoke(folder))


if __name__ == "__main__":
    given = chosen(__doc__ or "", Args.conditions, {"timit": "a user's own TIMIT in place of flite-phones"})
    if given.smoke:
        in_temporary_folder(smoke_run)
    else:
        timit = Args(corpus="TIMIT", out=RESULTS / "phones_timit.json", runs=Path("runs/phones_timit"))
        main(replace(timit if given.timit else Args(), **parts(given)))
