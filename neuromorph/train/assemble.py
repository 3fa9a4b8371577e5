"""From a configuration to what training moves: the network, its optimizer under DEEP R, the device they are on."""

from collections.abc import Iterable

import torch

from neuromorph.dataset import Dataset
from neuromorph.errors import TrainingError
from neuromorph.train.config import DeepRConfig, OptimizerConfig, TrainConfig
from neuromorph.train.connectivity import allowed_synapses, draw_masks
from neuromorph.train.deep_r import DeepR
from neuromorph.train.network import LSNN
from neuromorph.train.rewiring import Rewiring
from neuromorph.train.soft_deep_r import SoftDeepR, floor_for
from neuromorph.train.sparse_deep_r import SparseDeepR
from neuromorph.train.sparse_network import SparseLSNN
from neuromorph.train.storage import Network, Rewired

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def assemble(config: TrainConfig, data: Dataset, generator: torch.Generator, device: torch.device) -> tuple[Network, Rewired]:
    """A fresh sparse network on a device, and its optimizer under DEEP R; all random draws are made on the CPU.

    Those of the start come from `generator`, later ones from (training.seed, update), so that processes agree without a shared state.
    """
    return (_live if config.deep_r.storage == "live" else _matrices)(config, data, generator, device)


def _live(config: TrainConfig, data: Dataset, generator: torch.Generator, device: torch.device) -> tuple[SparseLSNN, SparseDeepR]:
    part, deep_r = data.train, config.deep_r
    options = {"dt": part.dt, "dtype": getattr(torch, config.training.dtype), "hidden_scale": config.training.initial_scale}
    sizes = part.n_neurons, data.n_classes
    model = SparseLSNN(config.network, *sizes, connectivity=deep_r.connectivity, generator=generator, **options).to(device)
    optimizer = _optimizer(config.optimizer, model.strengths().values(), model.time_constants().values())
    rest = {"seed": config.training.seed, "l1": deep_r.l1, "temperature": deep_r.temperature}
    return model, SparseDeepR(optimizer, model.projections(), **rest)


def _matrices(config: TrainConfig, data: Dataset, generator: torch.Generator, device: torch.device) -> tuple[LSNN, Rewiring]:
    part = data.train
    live = config.deep_r.dormant_gradients == "live"
    options = {"dt": part.dt, "dtype": getattr(torch, config.training.dtype), "live_gradients": live}
    model = LSNN(config.network, part.n_neurons, data.n_classes, generator=generator, **options)
    signs = model.signs(generator)
    share = config.deep_r.connectivity
    shares = dict.fromkeys(model.weights(), share) if config.deep_r.constraint == "projection" else share
    masks = draw_masks(allowed_synapses(model.weights()), shares, generator)
    model.initialise(signs, masks, hidden_scale=config.training.initial_scale)
    model.to(device)
    signs, masks = ({name: tensor.to(device) for name, tensor in group.items()} for group in (signs, masks))
    optimizer = _optimizer(config.optimizer, model.weights().values(), model.time_constants().values())
    return model, _rewired(config.deep_r, optimizer, model, signs, masks, config.training.seed)


def _optimizer(
    config: OptimizerConfig, weights: Iterable[torch.nn.Parameter], time_constants: Iterable[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    """Weights and, where they are learned, time constants in groups, which keep their `base_lr` for the schedule."""
    groups = [{"params": list(weights), "base_lr": config.lr}]
    if times := list(time_constants):
        groups.append({"params": times, "base_lr": config.lr_time_constants})
    return OPTIMIZERS[config.name](groups, lr=config.lr)  # pyright: ignore[reportCallIssue]


def _rewired(
    config: DeepRConfig,
    optimizer: torch.optim.Optimizer,
    model: LSNN,
    signs: dict[str, torch.Tensor],
    masks: dict[str, torch.Tensor],
    seed: int,
) -> Rewiring:
    given = (optimizer, model.weights(), signs, masks)
    if config.method == "soft":
        floor = floor_for(config.connectivity, config.l1, config.temperature) if config.theta_min is None else config.theta_min
        return SoftDeepR(
            *given,
            theta_min=floor,
            temperature=config.temperature,
            seed=seed,
            l1=config.l1,
            dormant_gradients=config.dormant_gradients,
        )
    return DeepR(
        *given,
        seed=seed,
        l1=config.l1,
        temperature=config.temperature,
        constraint=config.constraint,
        schedule=config.schedule(),
        dormant_gradients=config.dormant_gradients,
    )


def device_of(name: str) -> torch.device:
    """torch's device; "auto" takes the accelerator where there is one.

    Raises:
        TrainingError: unknown, or not here.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"training.device is {name!r}; allowed: auto, cpu, or an accelerator that is here ({error}).") from error
    return device
