"""The cue-reward task of Backpropamine (Miconi et al. 2019, section 4.1), many episodes side by side.

In every episode cues are drawn anew and one of them is the target. A trial shows two cues, one after the other; at the go cue
the agent answers whether the target was among them, and on the next step it sees its reward, 1 or -1, and its answer. Nothing
else tells the target, so it must be learned within the episode.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuromorph.errors import TrainingError


@dataclass(frozen=True)
class CueRewardConfig:
    """`cues` patterns of `bits` random bits, -1 or 1; or with `fixed_cues`, the control, always the one-hot rows (bits = cues).

    A trial is `lead` blank steps, two cues in a random order among least_blanks ... most_blanks blank steps, the go cue, and the
    step of the reward. An episode has `steps` steps; a trial at its end may be cut off. The defaults make 15 trials of 6 steps.
    """

    bits: int = 20
    cues: int = 4
    steps: int = 90
    least_blanks: int = 2
    most_blanks: int = 2
    lead: int = 0
    fixed_cues: bool = False

    def __post_init__(self) -> None:
        if self.bits < 1 or self.cues < 2 or self.lead < 0 or not 0 <= self.least_blanks <= self.most_blanks:
            raise TrainingError(f"{self}: needs a bit, two cues, and 0 <= least_blanks <= most_blanks.")
        if self.fixed_cues and self.bits != self.cues:
            raise TrainingError(f"{self}: fixed cues are one-hot, so bits must equal cues.")
        if self.steps < self.longest:
            raise TrainingError(f"{self}: a trial may have {self.longest} steps, the episode must have as many.")

    @property
    def longest(self) -> int:
        """Steps of the longest trial."""
        return self.lead + self.most_blanks + 4

    @property
    def n_in(self) -> int:
        """Channels: the cue's bits, go, time as a share of the episode, reward, and the answer one-hot."""
        return self.bits + 5

    @property
    def most_trials(self) -> int:
        """Answers that an episode can have."""
        return math.ceil(self.steps / (self.lead + self.least_blanks + 4))


PAPER = CueRewardConfig(steps=200, least_blanks=0, most_blanks=3, lead=1)
"""The paper's episodes: 200 steps; trials of 5 to 8 steps, of which the lengths are those of its published runs."""

CONTROL = CueRewardConfig(bits=4, fixed_cues=True)
"""Four one-hot cues, the same in every episode."""


class Script(NamedTuple):
    """What is drawn before an episode. `x` [T, B, n_in], reward and answer still 0; `go` [T, B]: the steps of the answers; `label`
    [T, B]: whether the target was in the trial of that step; `pair` [K, B, 2]: cues of each trial; `target` [B].
    """

    x: Float[Tensor, "time batch n_in"]
    go: Bool[Tensor, "time batch"]
    label: Bool[Tensor, "time batch"]
    pair: Int[Tensor, "trials batch 2"]
    target: Int[Tensor, "batch"]


def draw(config: CueRewardConfig, batch: int, generator: torch.Generator) -> Script:
    """The scripts of `batch` episodes."""
    patterns = torch.randint(0, 2, (batch, config.cues, config.bits), generator=generator) * 2.0 - 1.0
    if config.fixed_cues:
        patterns = torch.eye(config.cues).expand(batch, -1, -1)
    trials = config.most_trials
    pair = torch.rand(trials, batch, config.cues, generator=generator).argsort(-1)[..., :2]
    target = torch.randint(0, config.cues, (batch,), generator=generator)
    shown, go, trial = _places(config, batch, generator)
    x = torch.zeros(config.steps, batch, config.n_in)
    who = torch.arange(batch).expand(trials, batch)
    for k in range(2):
        inside = shown[..., k] < config.steps
        x[shown[..., k][inside], who[inside], : config.bits] = patterns[who[inside], pair[..., k][inside]]
    x[..., config.bits] = go.float()
    x[..., config.bits + 1] = (torch.arange(config.steps) / config.steps).unsqueeze(1)
    label = (pair == target.unsqueeze(1)).any(-1)
    return Script(x, go, label.gather(0, trial), pair, target)


def _places(config: CueRewardConfig, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Steps of both cues [K, B, 2]; go [T, B]; the number of the trial of each step [T, B]."""
    trials, slots = config.most_trials, 2 + config.most_blanks
    blanks = torch.randint(config.least_blanks, config.most_blanks + 1, (trials, batch), generator=generator)
    end = (config.lead + 4 + blanks).cumsum(0)
    start = end - (config.lead + 4 + blanks)
    order = torch.rand(trials, batch, slots, generator=generator)
    order = order.masked_fill(torch.arange(slots) >= (2 + blanks).unsqueeze(-1), 2.0)
    shown = (start + config.lead).unsqueeze(-1) + order.argsort(-1)[..., :2].sort(-1).values
    go = torch.zeros(config.steps, batch, dtype=torch.bool)
    answer = end - 2
    inside = answer < config.steps
    go[answer[inside], torch.arange(batch).expand(trials, batch)[inside]] = True
    steps = torch.arange(config.steps).view(-1, 1, 1)
    return shown, go, (end <= steps).sum(1)


class CueReward:
    """`batch` episodes at once: `reset`, then `step` with an answer (0 or 1) each until `done`.

    Answers count where `deciding`; elsewhere they change nothing.
    """

    n_actions = 2

    def __init__(self, config: CueRewardConfig, batch: int, generator: torch.Generator) -> None:
        self.config, self.batch, self.generator = config, batch, generator
        self.n_in, self.steps = config.n_in, config.steps
        self.reset()

    def reset(self) -> Float[Tensor, "batch n_in"]:
        """Draw new episodes; the inputs of their first step."""
        self.script = draw(self.config, self.batch, self.generator)
        self.now = 0
        return self.script.x[0]

    @property
    def done(self) -> bool:
        return self.now == self.steps

    @property
    def deciding(self) -> Bool[Tensor, "batch"]:
        """Whose answer counts on this step; nobody's when the episodes are over."""
        return torch.zeros(self.batch, dtype=torch.bool) if self.done else self.script.go[self.now]

    def step(self, action: Int[Tensor, "batch"]) -> tuple[Float[Tensor, "batch n_in"], Float[Tensor, "batch"]]:
        """The inputs of the next step (zeros after the last) and the rewards of the answers of this one.

        Raises:
            TrainingError: the episodes are over.
        """
        if self.done:
            raise TrainingError("CueReward: the episodes are over; reset first.")
        deciding, right = self.deciding, action == self.script.label[self.now]
        reward = torch.where(right, 1.0, -1.0) * deciding
        self.now += 1
        x = torch.zeros(self.batch, self.n_in) if self.done else self.script.x[self.now]
        bits = self.config.bits
        x[:, bits + 2] = reward
        x[:, bits + 3] = (deciding & (action == 0)).float()
        x[:, bits + 4] = (deciding & (action == 1)).float()
        return x, reward


def bayes_ceiling(cues: int, trials: int) -> list[float]:
    """Probability that the best possible agent answers right, trial by trial, exact (for cues that differ).

    By symmetry only the number s of cues that can still be the target matters. A pair holds k of them with hypergeometric
    probability; the answer is right with max(k, s - k) / s, and the reward leaves k or s - k.
    """
    sizes, ceiling = {cues: 1.0}, []
    for _ in range(trials):
        right, after = 0.0, dict.fromkeys(range(cues + 1), 0.0)
        for s, chance in sizes.items():
            for k in range(max(0, 2 - (cues - s)), min(2, s) + 1):
                p = chance * math.comb(s, k) * math.comb(cues - s, 2 - k) / math.comb(cues, 2)
                right += p * max(k, s - k) / s
                for left in (k, s - k):
                    after[left] += p * left / s
        ceiling.append(right)
        sizes = {s: p for s, p in after.items() if p}
    return ceiling
