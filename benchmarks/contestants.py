"""One training step (forward, loss, backward) of an LSNN-sized layer with a readout, here and in other libraries.

The peers do not have the same neuron model; their cost hardly depends on it. Each is used in the fastest way its API offers:
sequences are handed over as the library wants them, and indexing a tensor that needs a gradient, which makes PyTorch's backward
pass quadratic in time, is avoided by `unbind`. A step gives the mean firing rate a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

N_IN, N_OUT, INPUT_RATE, WINDOW = 80, 10, 0.05, 56

type Step = Callable[[], float]


@dataclass(frozen=True)
class Workload:
    """`density`: share of synapses that exist (here only: the peers are dense); `delays`: largest delay (here only)."""

    steps: int = 784
    n: int = 220
    batch: int = 32
    density: float = 1.0
    delays: int = 1
    loss: str = "mean"

    def spikes(self) -> np.ndarray:
        return np.random.default_rng(0).random((self.steps, self.batch, N_IN)) < INPUT_RATE

    def labels(self) -> np.ndarray:
        return np.random.default_rng(1).integers(0, N_OUT, self.batch)


def neuromorph(w: Workload, *, live: bool = True) -> Step:
    """LSNN.decide (or .frames) with refractoriness of 5 steps, as a training loop calls it."""
    from neuromorph.train.connectivity import allowed_synapses, draw_masks
    from neuromorph.train.lsnn_config import LSNNConfig
    from neuromorph.train.network import LSNN

    generator = torch.Generator().manual_seed(0)
    n_adaptive, n_inhibitory = round(w.n * 100 / 220), round(w.n * 54 / 220)
    config = LSNNConfig(
        w.n - n_adaptive - n_inhibitory,
        n_inhibitory,
        n_adaptive,
        tau_a=0.7,
        n_ref=5,
        max_input_delay=w.delays,
        max_recurrent_delay=w.delays,
    )
    model = LSNN(config, N_IN, N_OUT, generator=generator, live_gradients=live)
    masks = draw_masks(allowed_synapses(model.weights()), w.density, generator)
    model.initialise(model.signs(generator), masks)
    x, labels = torch.from_numpy(w.spikes()), torch.from_numpy(w.labels())

    def step() -> float:
        model.zero_grad()
        if w.loss == "mean":
            logits, rates, _ = model.decide(x, min(WINDOW, w.steps))
            loss = torch.nn.functional.cross_entropy(logits, labels)
        else:
            y, rates, _ = model.frames(x)
            loss = torch.nn.functional.cross_entropy(y.flatten(0, 1), labels.repeat(w.steps))
        loss.backward()
        return float(rates.detach().mean())

    return step


def norse(w: Workload) -> Step:
    """norse.torch.LSNNRecurrent with a linear readout of the filtered spikes' mean (cheaper than its LI module)."""
    from norse.torch import LSNNRecurrent
    from norse.torch.functional.lsnn import LSNNParameters

    torch.manual_seed(0)
    layer = LSNNRecurrent(N_IN, w.n, p=LSNNParameters(tau_adapt_inv=torch.tensor(1 / 0.7)))
    with torch.no_grad():
        layer.input_weights.mul_(3)
    return _torch_step(w, [layer], lambda x: layer(x)[0])


def snntorch(w: Workload) -> Step:
    """snntorch.RLeaky, a loop over time in Python as its documentation shows, fed by `unbind`."""
    import snntorch as snn

    torch.manual_seed(0)
    linear, layer = torch.nn.Linear(N_IN, w.n), snn.RLeaky(beta=0.95, linear_features=w.n)

    def run(x: torch.Tensor) -> torch.Tensor:
        spikes, potential = layer.init_rleaky()
        found = []
        for current in linear(x).unbind(0):
            spikes, potential = layer(current, spikes, potential)
            found.append(spikes)
        return torch.stack(found)

    return _torch_step(w, [linear, layer], run)


def _torch_step(w: Workload, modules: list[torch.nn.Module], run: Callable[[torch.Tensor], torch.Tensor]) -> Step:
    readout = torch.nn.Linear(w.n, N_OUT)
    parameters = [p for module in (*modules, readout) for p in module.parameters()]
    x, labels = torch.from_numpy(w.spikes()).float(), torch.from_numpy(w.labels())
    weights = torch.zeros(w.steps)
    weights[-WINDOW:] = 1 / WINDOW

    def step() -> float:
        for p in parameters:
            p.grad = None
        z = run(x)
        logits = readout(torch.einsum("t,tbn->bn", weights, z))
        torch.nn.functional.cross_entropy(logits, labels).backward()
        return float(z.detach().mean())

    return step


def spyx(w: Workload) -> Step:
    """spyx.nn.RLIF under jax.jit and lax.scan; the time of compiling is not counted."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx
    from spyx.nn import RLIF

    rngs = nnx.Rngs(0)
    linear, layer, readout = nnx.Linear(N_IN, w.n, rngs=rngs), RLIF((w.n,), beta=0.95, rngs=rngs), nnx.Linear(w.n, N_OUT, rngs=rngs)
    graph, state = nnx.split((linear, layer, readout))
    x, labels = jnp.asarray(w.spikes(), jnp.float32), jnp.asarray(w.labels())

    @jax.jit
    def gradient(state: Any) -> Any:
        def loss(state: Any) -> Any:
            linear, layer, readout = nnx.merge(graph, state)

            def body(potential: Any, current: Any) -> Any:
                spikes, potential = layer(current, potential)
                return potential, spikes

            _, z = jax.lax.scan(body, layer.initial_state(w.batch), linear(x))
            return optax.softmax_cross_entropy_with_integer_labels(readout(z[-WINDOW:].mean(0)), labels).mean(), z.mean()

        return jax.value_and_grad(loss, has_aux=True)(state)

    def step() -> float:
        (_, rate), gradients = jax.block_until_ready(gradient(state))
        del gradients
        return float(rate)

    return step


CONTESTANTS: dict[str, Callable[[Workload], Step]] = {"neuromorph": neuromorph, "norse": norse, "snntorch": snntorch, "spyx": spyx}
