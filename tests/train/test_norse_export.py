"""Norse's own models, exported: the graph on the reference backend does what Norse does, later by the stated latency."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError
from neuromorph.graph import LI
from neuromorph.spikes import Spikes
from neuromorph.train import LeakyReadout, LSNNConstants, LSNNRecurrent, export_norse

torch.set_num_threads(1)
N_IN, STEPS, SAMPLES = 12, 60, 4


def parameters(**changes):
    return norse.LIFParameters(**{key: torch.as_tensor(value) for key, value in changes.items()})


def linear(n_in, n_out, scale=3.0):
    layer = nn.Linear(n_in, n_out, bias=False)
    nn.init.normal_(layer.weight, std=scale / n_in**0.5, generator=torch.Generator().manual_seed(n_in + n_out))
    return layer


def recurrent(kind, n_in, n, **options):
    generator = torch.Generator().manual_seed(n)
    weights = torch.randn(n, n_in, generator=generator) * 3 / n_in**0.5, torch.randn(n, n, generator=generator) / n**0.5
    return kind(n_in, n, input_weights=nn.Parameter(weights[0]), recurrent_weights=nn.Parameter(weights[1]), **options)


def li_linear(n_in, n_out):
    layer = norse.LILinearCell(n_in, n_out)
    layer.input_weights.data = torch.randn(n_out, n_in, generator=torch.Generator().manual_seed(3))
    return layer


def compare(model, *, over_time=True, n_in=N_IN):
    """Run both in float64 and return Norse's output and the graph's, shifted by its latency, and the graph."""
    model = model.double()
    x = (np.random.default_rng(7).random((STEPS, SAMPLES, n_in)) < 0.15).astype(np.float64)
    graph = export_norse(model)
    last = graph.populations[-1]
    latency = int(graph.metadata[f"latency.{last.name}"])
    with torch.no_grad():
        run = model if over_time else norse.Lift(model)
        expected = run(torch.tensor(x))[0].numpy()
    padded = np.concatenate([x, np.zeros((latency, SAMPLES, n_in))])
    recording = ReferenceBackend().run(graph, Spikes.from_dense(padded, graph.dt))
    found = recording.readouts[last.name] if isinstance(last, LI) else recording.spikes[last.name].to_dense()
    return expected, found[latency:], graph


def check_spikes(model, **options):
    expected, found, graph = compare(model, **options)
    assert 0.005 < expected.mean() < 0.6, "a silent net shows nothing"
    np.testing.assert_array_equal(found, expected.astype(bool))
    return graph


def check_readout(model, **options):
    expected, found, graph = compare(model, **options)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    return graph


def test_recurrent_layer_alone():
    graph = check_spikes(recurrent(norse.LIFRecurrent, N_IN, 20))
    assert [p.name for p in graph.populations] == ["input", "lif"]
    assert graph.metadata == {"latency.lif": "1"}


def test_recurrent_cell_with_autapses():
    graph = check_spikes(recurrent(norse.LIFRecurrentCell, N_IN, 20, autapses=True), over_time=False)
    assert graph.projection("lif->lif").to_dense(20).diagonal().all()


def test_feed_forward_layers():
    graph = check_spikes(norse.SequentialState(linear(N_IN, 20), norse.LIF(), norse.Lift(linear(20, 15, 6.0)), norse.LIF()))
    assert [p.name for p in graph.populations] == ["input", "lif_1", "lif_3"]
    assert graph.metadata == {"latency.lif_1": "1", "latency.lif_3": "2"}


def test_layers_with_readout():
    graph = check_readout(
        norse.SequentialState(recurrent(norse.LIFRecurrent, N_IN, 20), linear(20, 15, 6.0), norse.LIF(), linear(15, 3), norse.LI())
    )
    assert graph.metadata["latency.readout"] == "3"


def test_cells_with_li_linear_in_lift():
    cells = norse.SequentialState(recurrent(norse.LIFRecurrentCell, N_IN, 20), linear(20, 15, 6.0), norse.LIFCell(), li_linear(15, 3))
    graph = check_readout(norse.Lift(cells))
    assert [p.name for p in graph.populations] == ["input", "lif_0", "lif_2", "readout"]


def test_cells_step_by_step():
    check_readout(norse.SequentialState(linear(N_IN, 20), norse.LIFCell(), linear(20, 3), norse.LICell()), over_time=False)


def test_nested_containers_keep_their_paths():
    inner = norse.SequentialState(linear(N_IN, 20), norse.LIF())
    graph = check_spikes(norse.SequentialState(inner, recurrent(norse.LIFRecurrent, 20, 10)))
    assert [p.name for p in graph.populations] == ["input", "lif_0_1", "lif_1"]


def test_own_parameters_per_neuron():
    """Per-neuron thresholds and time constants, reset below zero, another dt."""
    rng = np.random.default_rng(1)
    p = parameters(
        tau_mem_inv=1 / rng.uniform(5e-3, 40e-3, 20),
        tau_syn_inv=1 / rng.uniform(3e-3, 10e-3, 20),
        v_th=rng.uniform(0.3, 1.0, 20),
        v_reset=-0.2,
    )
    graph = check_spikes(recurrent(norse.LIFRecurrent, N_IN, 20, p=p, dt=5e-4))
    assert graph.dt == 5e-4
    np.testing.assert_allclose(graph.population("lif").gain, 5e-4 * p.tau_mem_inv.numpy(), rtol=1e-15)


def test_constants_of_the_default_parameters():
    """tau_mem 10 ms and tau_syn 5 ms at 1 ms, Euler; Norse rounds dt * tau_inv to float32."""
    lif = export_norse(recurrent(norse.LIFRecurrent, N_IN, 2)).population("lif")
    assert lif.reset == "to_value"
    np.testing.assert_allclose(lif.decay_v, 0.9, rtol=1e-7)
    np.testing.assert_allclose(lif.decay_u, 0.8, rtol=1e-7)
    np.testing.assert_array_equal(lif.gain, float(np.float32(1e-3) * np.float32(100)))


def test_v_leak_of_a_lif_is_taken_off_the_potential():
    p = parameters(v_leak=-0.5, v_th=0.4, v_reset=-0.7)
    graph = check_spikes(norse.SequentialState(recurrent(norse.LIFRecurrent, N_IN, 20, p=p), linear(20, 15, 6.0), norse.LIF(p)))
    np.testing.assert_allclose(graph.population("lif_0").v_th, 0.9, rtol=1e-7)
    np.testing.assert_allclose(graph.population("lif_0").v_reset, -0.2, rtol=1e-6)


def test_dt_given_must_be_the_models():
    assert export_norse(recurrent(norse.LIFRecurrent, 3, 2), dt=1e-3).dt == 1e-3
    with pytest.raises(GraphError, match=r"'0' \(LIFRecurrent\) has dt 0.001; the model's step is 0.002"):
        export_norse(norse.SequentialState(recurrent(norse.LIFRecurrent, 3, 2)), dt=2e-3)


def lsnn():
    return LSNNRecurrent(3, LSNNConstants(2, decay_v=0.9, v_th=1.0), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: norse.SequentialState(linear(3, 2), norse.Lift(norse.LSNNCell())),
            r"'1.lifted_module' \(LSNNCell\) cannot be said exactly",
        ),
        (
            lambda: norse.SequentialState(norse.Lift(nn.Conv2d(1, 1, 3)), norse.LIF()),
            r"\(Conv2d\) sees an input of unknown",
        ),
        (
            lambda: norse.SequentialState(norse.Lift(nn.MaxPool2d(2)), norse.LIF()),
            r"\(MaxPool2d\) cannot be said exactly",
        ),
        (lambda: norse.SequentialState(linear(3, 2), lsnn()), r"'1' \(LSNNRecurrent\) has its own weights; drop 0 before it"),
        (lambda: norse.SequentialState(norse.LIF()), r"'0' \(LIF\) has no weights"),
        (lambda: norse.SequentialState(linear(3, 2), norse.LIFRecurrent(2, 2)), r"'1' \(LIFRecurrent\) has its own weights"),
        (lambda: norse.SequentialState(linear(3, 2), linear(3, 2), norse.LIF()), r"'1' \(Linear\) does not fit .*wanted \(n_out, 2\)"),
        (lambda: norse.SequentialState(linear(3, 2)), r"'0' \(Linear\) ends without neurons"),
        (lambda: norse.SequentialState(), r"'\(root\)' \(SequentialState\) ends without neurons"),
        (lambda: norse.SequentialState(linear(3, 2), norse.LI(), linear(2, 2), norse.LIF()), r"'2' \(LIF\) follows a leaky integrator"),
        (lambda: norse.SequentialState(linear(3, 2), norse.LI(norse.LIParameters(v_leak=torch.tensor(1.0)))), r"'1' \(LI\).* v_leak"),
        (lambda: norse.SequentialState(linear(3, 2), norse.LIF(parameters(v_leak=1.0, v_th=0.5))), r"'1' \(LIF\) has v_th below v_leak"),
        (lambda: norse.SequentialState(linear(3, 2), norse.LIF(), linear(2, 2), norse.LIF(dt=2e-3)), r"'3' \(LIF\) has dt 0.002"),
        (
            lambda: norse.SequentialState(linear(3, 2), norse.LIF(), linear(4, 2), norse.LIF()),
            r"'2' \(Linear\) does not fit .*wanted \(n_out, 2\)",
        ),
        (lambda: nn.RNN(3, 2), r"'\(root\)' \(RNN\) cannot be said exactly"),
    ],
)
def test_refusals_name_the_module(model, message):
    with pytest.raises(GraphError, match=message):
        export_norse(model())


def biased(n_in, n_out):
    layer = linear(n_in, n_out)
    layer.bias = nn.Parameter(0.3 * torch.randn(n_out, generator=torch.Generator().manual_seed(5)))
    return layer


def test_biases_begin_with_the_input():
    graph = check_spikes(norse.SequentialState(biased(N_IN, 10), norse.LIF(), biased(10, 6), norse.LIF()))
    assert graph.projection("always->lif_1").delays.tolist() == [1] * 10
    assert graph.projection("always->lif_3").delays.tolist() == [2] * 6


def test_linear_layers_and_dropout_in_a_row():
    check_spikes(norse.SequentialState(linear(N_IN, 7), nn.Dropout(0.5), linear(7, 9), norse.LIF()).eval())


class Flat(nn.Module):
    """The model on images that come as rows, as a graph has them."""

    def __init__(self, model, shape):
        super().__init__()
        self.model, self.shape = model, shape

    def forward(self, x):
        out = self.model(x.unflatten(-1, self.shape))[0]
        return (out.flatten(2),)


def test_a_convolutional_network():
    shape, generator = (2, 6, 6), torch.Generator().manual_seed(0)
    convolutions = nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.Conv2d(4, 3, 3, stride=2, bias=False)
    for layer in convolutions:
        layer.weight.data = 2 * torch.randn(layer.weight.shape, generator=generator)
    modules = norse.Lift(convolutions[0]), norse.LIF(), norse.Lift(nn.AvgPool2d(2, 1)), norse.Lift(convolutions[1]), norse.LIF()
    model = norse.SequentialState(*modules).double()
    graph = export_norse(model, shape=shape)
    assert [p.n for p in graph.populations] == [72, 1, 144, 12]
    x = (np.random.default_rng(7).random((STEPS, SAMPLES, 72)) < 0.15).astype(np.float64)
    with torch.no_grad():
        expected = Flat(model, shape)(torch.tensor(x))[0].numpy()
    found = ReferenceBackend().run(graph, Spikes.from_dense(np.pad(x, ((0, 2), (0, 0), (0, 0))), graph.dt)).spikes["lif_4"].to_dense()
    assert 0.01 < expected.mean() < 0.6
    np.testing.assert_array_equal(found[2:], expected.astype(bool))


def test_this_packages_cells_in_a_row():
    """Adaptive and plain neurons with delays, and the leaky readout: nothing to shift, they take their steps themselves."""
    generator = torch.Generator().manual_seed(1)
    delays = torch.randint(1, 5, (8, N_IN), generator=generator)
    first = LSNNConstants(8, decay_v=0.9, v_th=0.03, decay_a=0.98, kappa=0.005, n_ref=2)
    second = LSNNConstants(5, decay_v=0.9, v_th=0.03)
    model = norse.SequentialState(
        LSNNRecurrent(N_IN, first, generator=generator, input_delays=delays),
        nn.Dropout(0.3),
        LSNNRecurrent(8, second, generator=generator),
        LeakyReadout(5, 3, decay_v=0.9, generator=generator),
    ).eval()
    graph = check_readout(model)
    assert [type(p).__name__ for p in graph.populations] == ["Input", "ALIF", "LIF", "LI"]


def test_norse_after_this_packages_cell():
    generator = torch.Generator().manual_seed(1)
    cell = LSNNRecurrent(N_IN, LSNNConstants(8, decay_v=0.9, v_th=0.05), generator=generator)
    check_spikes(norse.SequentialState(cell, biased(8, 6), norse.LIF()))
