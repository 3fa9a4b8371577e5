"""The configuration of a training run: one frozen dataclass a section. Defaults are those of the digits demo."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from neuromorph.configs import find_config
from neuromorph.errors import TrainingError
from neuromorph.hardware import load_profile
from neuromorph.train.connectivity import ConnectivitySchedule, Ramp
from neuromorph.train.deep_r import Constraint
from neuromorph.train.network import LSNNConfig
from neuromorph.train.rewiring import DormantGradients
from neuromorph.train.settings import build, overrides, plain, read_toml
from neuromorph.train.sparse_network import check_shape

DIGITS_NETWORK = LSNNConfig(
    n_excitatory=60,
    n_inhibitory=20,
    n_adaptive=20,
    tau_m=5e-3,
    tau_a=(50e-3, 150e-3),
    tau_out=5e-3,
    n_ref=2,
    max_input_delay=16,
    max_readout_delay=62,
)


def _require(section: str, settings: Any, allowed: str, names: Sequence[str]) -> None:
    """Every number of `names` must be finite and "above 0" or "0 or more"; None (not given) passes."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not (0 < value < math.inf if allowed == "above 0" else 0 <= value < math.inf):
            raise TrainingError(f"{section}.{name} is {value}; allowed: {allowed}.")


def _unknown_to_live(key: str, value: object, cure: str) -> NoReturn:
    raise TrainingError(f"{key} is {value!r}, which deep_r.storage = 'live' does not know; {cure}.")


@dataclass(frozen=True)
class TaskConfig:
    """The data. `encoding`: options of the task's encoding into spikes; `train`, ...: use only so many samples of a part."""

    name: str = "digits"
    encoding: Mapping[str, bool | int | float | str] = field(default_factory=dict[str, bool | int | float | str])
    train: int | None = None
    validation: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        _require("task", self, "above 0", ("train", "validation", "test"))


@dataclass(frozen=True)
class DeepRConfig:
    """DEEP R (Bellec et al. 2018, arXiv 1711.05136): `method` "deep_r" (see `DeepR`) or "soft" (see `SoftDeepR`).

    `connectivity`: share of possible synapses that are active; with `final_connectivity` it goes there from update
    `ramp_first` to `ramp_last` (see `ConnectivitySchedule`). `theta_min` (soft): default: what holds `connectivity`.
    `storage`: "matrix", or "live" synapses alone, for large networks (`SparseLSNN`, `SparseDeepR`): method "deep_r",
    constraint "projection", dormant gradients "live", constant connectivity, one layer, on the CPU, not for a chip's numbers.
    """

    method: Literal["deep_r", "soft"] = "deep_r"
    connectivity: float = 0.2
    l1: float = 1e-3
    temperature: float = 0.0
    constraint: Constraint = "global"
    dormant_gradients: DormantGradients = "dense"
    final_connectivity: float | None = None
    ramp_first: int = 0
    ramp_last: int = 0
    ramp: Ramp = "linear"
    theta_min: float | None = None
    storage: Literal["matrix", "live"] = "matrix"

    def __post_init__(self) -> None:
        for name in ("connectivity", "final_connectivity"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise TrainingError(f"deep_r.{name} is {value}; allowed: above 0, up to 1.")
        _require("deep_r", self, "0 or more", ("l1", "temperature"))
        self.schedule()
        if self.storage == "live":
            self._check_live()

    def _check_live(self) -> None:
        needed = {"method": "deep_r", "constraint": "projection", "dormant_gradients": "live", "final_connectivity": None}
        for name, value in needed.items():
            if getattr(self, name) != value:
                cure = "leave it out" if value is None else f"set it to {value!r}"
                _unknown_to_live(f"deep_r.{name}", getattr(self, name), cure)

    def schedule(self) -> ConnectivitySchedule | None:
        """Of the connectivity, where it changes."""
        if self.final_connectivity is None:
            return None
        return ConnectivitySchedule(self.connectivity, self.final_connectivity, self.ramp_first, self.ramp_last, self.ramp)


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer and its learning rates over the run, see `learning_factor`. `clip`: largest gradient norm, 0 for none."""

    name: Literal["adam", "sgd"] = "adam"
    lr: float = 1e-2
    lr_time_constants: float = 1e-2
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warm_up: int = 40
    cosine_floor: float = 0.02
    step_every: int = 2500
    step_factor: float = 0.8
    clip: float = 1.0

    def __post_init__(self) -> None:
        _require("optimizer", self, "above 0", ("lr", "lr_time_constants", "step_every", "step_factor"))
        _require("optimizer", self, "0 or more", ("warm_up", "cosine_floor", "clip"))


@dataclass(frozen=True)
class RegularisationConfig:
    """Terms added to the loss.

    `rate_weight` times sum_j (rate_j - `rate_target_hz`)^2, rates in spikes a step; `voltage_weight` times the overshoot of
    the membrane potentials (`LSNN.decide`).
    """

    rate_target_hz: float = 30.0
    rate_weight: float = 1.0
    voltage_weight: float = 0.0

    def __post_init__(self) -> None:
        _require("regularisation", self, "0 or more", ("rate_target_hz", "rate_weight", "voltage_weight"))


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how training runs.

    `updates` counts where given, else `epochs`. `window`: last steps over which the readout is averaged; `logit_scale`:
    factor that makes logits of it (filtered spikes are small numbers); `initial_scale`: how far potentials wander before
    training, in thresholds; `input_dropout`: share of input spikes left out at random in training. `evaluate_every`,
    `log_every` [updates]: validation (default: once an epoch) and further lines of the history with training numbers only;
    `digest_every`: several processes compare their active synapses.
    The state is saved every `checkpoint_seconds`, and every `checkpoint_every` updates where given. `device`: "auto", or
    torch's name of one; `threads`: of torch (the compiled kernel takes one a processor); `dtype`: of weights and states.
    """

    epochs: int = 80
    updates: int | None = None
    batch: int = 32
    window: int = 5
    logit_scale: float = 10.0
    initial_scale: float = 0.2
    input_dropout: float = 0.1
    seed: int = 0
    evaluate_every: int | None = None
    log_every: int | None = None
    digest_every: int = 100
    checkpoint_every: int | None = None
    checkpoint_seconds: float = 60.0
    tensorboard: bool = False
    device: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    threads: int = 1

    def __post_init__(self) -> None:
        counts = ("epochs", "updates", "batch", "window", "evaluate_every", "log_every", "digest_every", "checkpoint_every", "threads")
        _require("training", self, "above 0", (*counts, "logit_scale", "initial_scale", "checkpoint_seconds"))
        _require("training", self, "0 or more", ("seed",))
        if not 0 <= self.input_dropout < 1:
            raise TrainingError(f"training.input_dropout is {self.input_dropout}; allowed: 0 or more, below 1.")


@dataclass(frozen=True)
class QuantizationConfig:
    """Training for a chip's numbers (see `Rounding`). `profile`: its name or .toml file; "" for none.

    The loss is that of the rounded network from `start_epoch` on; validation, and so the choice of the best model, always
    is. The grid is chosen anew every `grid_every` updates.
    """

    profile: str = ""
    start_epoch: int = 0
    grid_every: int = 100

    def __post_init__(self) -> None:
        _require("quantization", self, "0 or more", ("start_epoch",))
        _require("quantization", self, "above 0", ("grid_every",))
        if self.profile and not load_profile(self.profile).compilable:
            raise TrainingError(f"quantization.profile is {self.profile!r}, an energy reference; allowed: a chip (loihi1, loihi2).")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run, section by section. Times in seconds, rates in Hz."""

    task: TaskConfig = field(default_factory=TaskConfig)
    network: LSNNConfig = DIGITS_NETWORK
    deep_r: DeepRConfig = field(default_factory=DeepRConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    regularisation: RegularisationConfig = field(default_factory=RegularisationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)

    def __post_init__(self) -> None:
        if self.deep_r.storage == "live":
            check_shape(self.network)
            profile, device = self.quantization.profile, self.training.device
            if profile:
                _unknown_to_live("quantization.profile", profile, "leave it out, and quantize the trained network")
            if device not in ("auto", "cpu"):
                _unknown_to_live("training.device", device, "set it to 'cpu'")

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None = None, assignments: Sequence[str] = ()) -> "TrainConfig":
        """The configuration of a TOML file (or a shipped one, by name), and `section.key=value` assignments over it.

        What neither says is as in the digits demo.

        Raises:
            TrainingError: an unknown name or key, a wrong type, an impossible value.
            OSError: the file cannot be read.
        """
        config = cls() if path is None else build(cls, read_toml(find_config(path)), str(path), start=cls())
        return build(cls, overrides(assignments), "--set", start=config)

    @classmethod
    def of(cls, **sections: Mapping[str, Any]) -> "TrainConfig":
        """The digits demo's configuration with other values: `TrainConfig.of(training={"epochs": 5})`.

        Raises:
            TrainingError: an unknown key, a wrong type, an impossible value.
        """
        return build(cls, sections, "TrainConfig", start=cls())

    @property
    def device(self) -> str:
        """`training.device`, but the CPU where live synapses alone are stored."""
        return "cpu" if self.deep_r.storage == "live" else self.training.device

    def to_dict(self) -> dict[str, Any]:
        """Nested JSON values, which `build` reads back."""
        return plain(self)

    def per_epoch(self, n_samples: int) -> int:
        """Updates in one pass over `n_samples` training samples."""
        return math.ceil(n_samples / self.training.batch)

    def updates(self, n_samples: int) -> int:
        """Updates of the whole run."""
        return self.training.updates or self.training.epochs * self.per_epoch(n_samples)
