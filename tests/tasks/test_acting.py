"""A deployed network that acts does what the network in training does; its integers nearly."""

import torch

from neuromorph.backends import backend
from neuromorph.backends.base import HasStepSessions
from neuromorph.graph import Graph
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.tasks.acting import Acting
from neuromorph.tasks.arena import ArenaCode, ArenaConfig, SpikingArena
from neuromorph.train.export import export
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.ppo import Agent, act
from neuromorph.train.stepping import Stepper

BATCH = 3


def env() -> SpikingArena:
    return SpikingArena(ArenaConfig(steps=30), ArenaCode(steps=3), BATCH, torch.Generator().manual_seed(1))


def network() -> LSNN:
    config = LSNNConfig(8, 3, 5, tau_a=0.1, tau_out=5e-3)
    model = LSNN(config, ArenaCode().channels, 5, dt=1e-3, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        model.weights()["recurrent"].fill_diagonal_(0)
    return model


def test_the_exported_network_acts_as_the_one_in_training() -> None:
    model = network()
    wanted = act(Stepper(model, BATCH), env(), torch.Generator().manual_seed(2))
    assert wanted.spikes.any()
    assert float(wanted.actions.std()) > 0.1
    graph = export(model)
    for name in ("reference", "fast"):
        found = act(acting(graph, name), env(), torch.Generator().manual_seed(2))
        assert torch.allclose(found.actions.double(), wanted.actions, atol=1e-5)
        assert torch.equal(found.spikes, wanted.spikes)
        assert torch.equal(found.rewards, wanted.rewards)


def test_integers_see_and_answer_in_the_units_of_floats() -> None:
    graph = export(network())
    integer, _ = quantize(graph, load_profile("loihi2"))
    spikes = torch.rand(60, BATCH, ArenaCode().channels, generator=torch.Generator().manual_seed(3)) < 0.05
    y, found = acting(graph, "reference").run(spikes), acting(integer, "fast").run(spikes)
    assert float(y.abs().max()) > 0.05
    assert float((found - y).abs().mean()) < 0.3 * float(y.abs().mean()), "spikes differ here and there, units do not"
    assert torch.equal(found, acting(integer, "reference").run(spikes))


def acting(graph: Graph, name: str) -> Agent:
    simulator = backend(name)
    assert isinstance(simulator, HasStepSessions)
    return Acting(graph, simulator.step_session(graph, n_samples=BATCH))
