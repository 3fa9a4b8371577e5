"""The numbers that matter, each beside the paper or file that states it: golden values, and the sums they must give."""

import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.energy import estimate
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.hardware import Quantity, lint, load_profile
from neuromorph.hardware.schema import BASES, HEADER, KINDS_OF_NUMBER, UPDATE_ACCOUNTS
from neuromorph.spikes import Spikes

DOCUMENT = Path(__file__).parents[2] / "docs" / "profiles.md"
pJ, nJ, uJ = 1e-12, 1e-9, 1e-6
ns, us, ms = 1e-9, 1e-6, 1e-3
uW, mW = 1e-6, 1e-3

# profile: {table: {quantity: v}}
GOLDEN = {
    # Davies et al. 2018, IEEE Micro 38(1), Table 2, p. 96, "Value at 0.75 V"
    "loihi1": {
        "energy": {
            "synop": 23.6 * pJ,  # "Energy per synaptic spike op (min)"
            "synapse_learn_update": 120 * pJ,  # "Energy per synaptic update (pairwise STDP)"
            "neuron_update_active": 81 * pJ,  # "Energy per neuron update (active / inactive)"
            "neuron_update_inactive": 52 * pJ,
            "spike_intra_tile": 1.7 * pJ,  # "Within-tile spike energy"
            "hop_ew": 3.0 * pJ,  # "Energy per tile hop (E-W / N-S)"
            "hop_ns": 4.0 * pJ,
        },
        "time": {
            "synop": 3.5 * ns,  # "Time per synaptic spike op (max)"
            "synapse_learn_update": 6.1 * ns,
            "neuron_update_active": 8.4 * ns,
            "neuron_update_inactive": 5.3 * ns,
            "spike_intra_tile": 2.1 * ns,
            "hop_ew": 4.1 * ns,
            "hop_ns": 6.5 * ns,
            "barrier_1_tile": 113 * ns,  # "Mesh-wide barrier sync time (1-32 tiles)"
            "barrier_all_tiles": 465 * ns,
            "barrier_256_chips": 14.3 * us,  # Frady 2020
            "barrier_768_chips": 16.2 * us,
        },
        # Intel's sMNIST_Loihi_performance_measurements.ipynb: 1.0064 mW static for 2 cores, x86 static 0.149 mW
        "power": {"static_per_core": 0.503 * mW, "embedded_cpu_static": 0.149 * mW},
    },
    # SANA-FE arch/loihi.yaml @8951ab0
    "loihi1_sanafe": {
        "energy": {
            "synop": 33.6 * pJ,  # loihi_sparse_synapse
            "neuron_update_active": (51.2 + 21.6) * pJ,  # energy_access_neuron + energy_update_neuron
            "neuron_update_inactive": 51.2 * pJ,
            "spike_generate": 69.3 * pJ,  # energy_spike_out
            "message_out": 111.0 * pJ,  # loihi_out energy_message_out
            "message_in": 0.0,
            "hop_ew": 3.0 * pJ,
            "hop_ns": 4.2 * pJ,
            "rng_draw": 6 * pJ,  # loihi_with_noise.yaml: 27.6 - 21.6
        },
        "time": {
            "synop": 4.7 * ns,
            "neuron_update_active": (6.0 + 3.7) * ns,
            "neuron_update_inactive": 6.0 * ns,
            "spike_generate": 30.0 * ns,
            "message_out": 5.1 * ns,
            "message_in": 16.0 * ns,
            "hop_ew": 4.1 * ns,
            "hop_ns": 6.5 * ns,
            "barrier_1_tile": 0.6 * us,  # latency_sync {1: 0.6e-6, 2: 1.0e-6, 4: 1.4e-6, 29: 1.8e-6}
            "barrier_2_tiles": 1.0 * us,
            "barrier_4_tiles": 1.4 * us,
            "barrier_29_tiles": 1.8 * us,
        },
    },
    # Intel's Loihi 2 brief 2021: 5 times as fast in synaptic operations, twice in updates, 10 times in spikes, < 200 ns
    "loihi2_estimate": {
        "time": {
            "synop": 3.5 * ns / 5,
            "neuron_update_active": 8.4 * ns / 2,
            "neuron_update_inactive": 5.3 * ns / 2,
            "spike_generate": 30 * ns / 10,
            "barrier_all_tiles": 200 * ns,
        },
        "power": {"static_per_chip": 0.257},  # lava-dl's PilotNet notebooks: 0.232 W and 0.282 W
    },
    # Akopyan et al. 2015, IEEE TCAD 34(10), Fig. 17, 0.8 V; Merolla et al. 2014, Fig. S4 (a hop)
    "truenorth": {"energy": {"synop": 2.30 * pJ, "hop": 2.3 * pJ}, "time": {"tick": 1 * ms}, "power": {"static_per_chip": 64.4 * mW}},
    # Frenkel et al. 2019, IEEE TBioCAS 13(1), Fig. 8b, 0.55 V: P = 27.3 uW + 1.78 uW/MHz f + 8.43 pJ r
    "odin": {"energy": {"synop": 8.43 * pJ, "clock_cycle": 1.78 * pJ}, "power": {"leak": 27.3 * uW}},
    # Sharp et al. 2012, J. Neurosci. Methods 210, abstract: 43 nJ per PSP, 100 nJ per neuron and ms; Stromatias 2013: < 1 W
    "spinnaker1": {
        "energy": {"synop": 43 * nJ, "neuron_update_active": 100 * nJ, "neuron_update_inactive": 100 * nJ},
        "power": {"chip_max": 1.0},
    },
    # keras-spiking model_energy.py, devices["spinnaker2"], after Hoeppner et al. 2019
    "spinnaker2": {"energy": {"synop": 450 * pJ, "neuron_update_active": 2.19 * nJ, "neuron_update_inactive": 2.19 * nJ}},
    # Bos, Muir 2024, arXiv:2406.15112, abstract; Bos, Muir 2022, arXiv:2208.12991 (idle)
    "xylo_audio2": {"energy": {"inference": 6.6 * uJ}, "power": {"dynamic": 291 * uW, "idle": 219 * uW}},
    # Stradmann et al. 2021, arXiv:2103.15960, abstract
    "brainscales2": {"energy": {"inference": 192 * uJ}, "time": {"inference": 276 * us}},
    # Horowitz, ISSCC 2014: 45 nm, 0.9 V; memory per 64-bit access
    "cmos45_fp32": {"energy": {"synop": 0.9 * pJ, "mac": (3.7 + 0.9) * pJ}},
    "cmos45_int8_mem": {
        "energy": {
            "add_int8": 0.03 * pJ,
            "mac_int8": (0.2 + 0.03) * pJ,
            "add_int32": 0.1 * pJ,
            "mul_int32": 3.1 * pJ,
            "mac_fp16": (1.1 + 0.4) * pJ,
            "sram_8kib": 10 * pJ,
            "sram_32kib": 20 * pJ,
            "sram_1mib": 100 * pJ,
            "dram": 1.3 * nJ,
        },
    },
    # Degnan et al. 2015 as keras-spiking model_energy.py, devices, has them: large batches
    "gpu_cpu_reference": {"energy": {"mac_cpu_batched": 8.6 * nJ, "mac_gpu_batched": 0.3 * nJ, "mac_arm_batched": 0.9 * nJ}},
}
RANGES = {  # (profile, table, quantity): (lo, hi)
    ("loihi1", "energy", "synop"): (23.6 * pJ, 35.5 * pJ),  # a published minimum; SANA-FE's dense synapse
    ("loihi1", "energy", "neuron_update_active"): (52 * pJ, 81 * pJ),
    ("loihi1", "energy", "synapse_learn_update"): (120 * pJ, 240 * pJ),  # tag and weight: two updates
    ("loihi1", "time", "synop"): (3.1 * ns, 4.7 * ns),  # SANA-FE's convolutional and sparse synapses
    ("loihi1_sanafe", "energy", "synop"): (24.0 * pJ, 35.5 * pJ),  # convolutional, dense
    ("loihi1_sanafe", "energy", "message_out"): (40.8 * pJ, 111 * pJ),  # first version of the file
    ("loihi1_sanafe", "energy", "neuron_update_active"): (69.8 * pJ, 72.8 * pJ),
    ("loihi1_sanafe", "time", "spike_generate"): (30 * ns, 38.9 * ns),
    ("spinnaker1", "energy", "synop"): (13.3 * nJ, 43 * nJ),  # keras-spiking, devices["spinnaker"]
    ("spinnaker1", "energy", "neuron_update_active"): (26 * nJ, 100 * nJ),
    ("truenorth", "power", "static_per_chip"): (42 * mW, 64.4 * mW),  # 0.70 V, no activity
    ("cmos45_int8_mem", "energy", "dram"): (1.3 * nJ, 2.6 * nJ),
    ("loihi2_estimate", "power", "static_per_chip"): (0.232, 0.282),
    ("xylo_audio2", "power", "dynamic"): (93 * uW, 291 * uW),
}
LIMITS = {
    # Davies 2018, pp. 86-92; nengo-loihi@e564f66 block.py, hardware/nxsdk_objects.py, builder/validate.py
    "loihi1": {
        "cores_per_chip": 128,
        "compartments_per_core": 1024,
        "in_axons_per_core": 4096,
        "out_axons_per_core": 4096,
        "synapse_mem_bits_per_core": 16384 * 64,
        "weight_bits": (0, 1, 2, 3, 4, 5, 6, 8),
        "index_bits": (0, 6, 7, 8, 9, 10, 11, 12),
        "weight_exp": (-7, 7),
        "delay_max": 62,
        "delay_max_default": 8,
        "refractory_max": 63,
        "learning_epoch_max": 63,
        "trace_bits": 7,
        "tag_bits_signed": 9,
        "compartment_profiles_per_core": 32,
        "vth_profiles_per_core": 8,
    },
    # Intel's Loihi 2 brief 2021
    "loihi2_estimate": {
        "compartments_per_core": 8192,
        "total_mem_bytes_per_core": 192 * 1024,
        "synapse_mem_bits_per_core": 128 * 1024 * 8,
        "graded_spike_bits": 32,
        "embedded_cpus": 6,
    },
    "truenorth": {"cores_per_chip": 4096, "compartments_per_core": 256, "in_axons_per_core": 256},  # Merolla 2014
    "odin": {"compartments_per_core": 256, "synapses_per_core": 256 * 256},  # Frenkel 2019
    "brainscales2": {"compartments_per_core": 512, "synapses_total": 131072, "weight_bits": (6,)},  # Open Neuromorphic
    "spinnaker2": {"cores_per_chip": 152},  # Open Neuromorphic
    "xylo_audio2": {"compartments_per_core": 1000, "synapses_total": 64000, "weight_bits": (8,)},  # Open Neuromorphic
    # Open Neuromorphic, from the vendors; Richter 2023 for Speck
    "akida_akd1000": {"synapse_mem_bytes_total": 8 * 2**20, "weight_bits": (1, 2, 4, 8)},
    "speck": {"neurons_total": 327680, "cores_per_chip": 9, "weight_bits": (8,)},
    "innatera_t1": {"neurons_total": 500, "synapses_total": 60000, "weight_bits": (6,)},
}
ROWS = [(name, table, key, value) for name, tables in GOLDEN.items() for table, row in tables.items() for key, value in row.items()]


def quantity(name: str, table: str, key: str) -> Quantity:
    return getattr(load_profile(name), table)[key]


@pytest.mark.parametrize(("name", "table", "key", "value"), ROWS)
def test_the_number_is_that_of_its_source(name, table, key, value):
    assert quantity(name, table, key).v == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("place", RANGES, ids=" ".join)
def test_the_range_is_that_of_its_sources(place):
    q = quantity(*place)
    assert (q.lo, q.hi) == pytest.approx(RANGES[place], rel=1e-12)


@pytest.mark.parametrize(("name", "limits"), LIMITS.items())
def test_limits_are_those_of_their_sources(name, limits):
    assert {key: load_profile(name).limits[key] for key in limits} == limits


def test_no_energy_of_loihi_2_is_published():
    """Facts of section 1.3: energies are Loihi 1's, all marked as estimates."""
    loihi1, loihi2 = load_profile("loihi1").energy, load_profile("loihi2").energy
    assert {q.kind for q in loihi2.values()} == {"estimated"}
    assert {key: q.v for key, q in loihi2.items()} == {key: loihi1[key].v for key in loihi2}
    synops, updates, measured = 2.288e10 / 10000 * 16, 158509 * 16, 1.094e-3  # lava-dl's PilotNet LIF, per inference
    assert loihi2["synop"].hi == pytest.approx(measured / synops, rel=5e-3)
    assert loihi2["neuron_update_active"].hi == pytest.approx(10 * measured / (synops + 10 * updates), rel=5e-3)  # N-DNS: 10 to 1


def test_derived_numbers_follow_from_what_their_notes_say():
    """Intel's LSNN on Loihi 1: 16.65 us a step, 22.15 uJ, 635151 synaptic operations, 361200 updates (sections 1.1, 4.1)."""
    loihi = load_profile("loihi1")
    assert loihi.energy["neuron_update_inactive"].lo == pytest.approx((22.15 * uJ - 635151 * 23.6 * pJ) / 361200, rel=2e-3)
    assert loihi.energy["embedded_cpu_step"].v == pytest.approx(23.195 * mW * 16.65 * us, rel=1e-3)
    assert loihi.time["host_per_step"].hi == pytest.approx((16.65 - 4.6) * us, rel=5e-3)
    static = loihi.power["static_per_core"]
    assert static.v == pytest.approx(1.0064 * mW / 2, rel=1e-3)
    assert static.lo == pytest.approx(181.6 * mW / (22 * 128), rel=1e-3)  # bAbI notebook
    assert static.hi == pytest.approx(3.34 / (32 * 128), rel=1e-3)  # Frady 2020, Table 1


def test_ranges_that_scale():
    spinnaker, odin = load_profile("spinnaker2"), load_profile("odin")
    for q in spinnaker.energy.values():
        assert q.hi == pytest.approx(q.v * (1.0 / 0.7) ** 2, rel=2e-3)  # 0.7 to 1.0 V
    for end, megahertz in (("v", 1.3), ("hi", 75), ("lo", 0)):
        clock = odin.energy["clock_cycle"].v * megahertz * 1e6
        assert getattr(odin.power["static_per_chip"], end) == pytest.approx(odin.power["leak"].v + clock, rel=2e-3)
    assert (odin.time["synop"].v, odin.time["synop"].lo) == pytest.approx((2 / 1.3e6, 2 / 75e6), rel=2e-3)
    chip = load_profile("brainscales2")
    assert chip.power["chip"].v == pytest.approx(chip.energy["inference"].v / chip.time["inference"].v, rel=1e-3)


def test_truenorth_is_the_line_through_the_ends_of_the_sweep():
    """Akopyan 2015, Fig. 17: 68 mW at 11.58 Hz, 94 mW at 95.93 Hz, 2^20 neurons with 128 active synapses."""
    slope = (94 - 68) * mW / (2**20 * 128 * (95.93 - 11.58))
    chip = load_profile("truenorth")
    assert chip.energy["synop"].v == pytest.approx(slope, rel=2e-3)
    assert chip.power["static_per_chip"].v == pytest.approx(68 * mW - slope * 2**20 * 128 * 11.58, rel=1e-3)


def test_energy_of_one_sample_at_a_time_on_cpu_and_gpu():
    """Intel's LSTM of 128 units on sequential MNIST, 51.78 million MAC (section 1.4; bench.png, sMNIST_LSTM_benchmark.ipynb)."""
    energy, macs = load_profile("gpu_cpu_reference").energy, 51.78e6
    cpu, gpu = energy["mac_cpu_batch1"], energy["mac_gpu_batch1"]
    assert (cpu.lo, cpu.v, cpu.hi) == pytest.approx((1.74 / macs, 2.51 / macs, 4.385 / macs), rel=2e-3)
    assert (gpu.lo, gpu.v) == pytest.approx(((68.5 - 33.9) * 39.73 * ms / macs, 68.5 * 39.73 * ms / macs), rel=2e-3)
    assert gpu.hi == pytest.approx(2.759 / macs, rel=1e-3)


CAPABILITY_ONLY = ("akida_akd1000", "innatera_t1", "speck")


def tiny() -> Graph:
    neurons = LIF.of("n", 2, decay_v=0.5, gain=1.0, v_th=0.5)
    weights = (Projection.from_dense("i", "n", np.eye(2)), Projection.from_dense("n", "y", np.eye(2)))
    return Graph(1e-3, (Input("i", 2), neurons, LI.of("y", 2, decay_v=0.5)), weights)


@pytest.mark.parametrize("name", CAPABILITY_ONLY)
@pytest.mark.parametrize("what_if", [False, True])
def test_a_chip_without_energies_is_refused_by_the_name_of_what_is_missing(name, what_if):
    graph = tiny()
    inputs = Spikes.from_events([0], [1], [0], n_samples=1, n_steps=5, n_neurons=2, dt=1e-3)
    counts = count(graph, inputs, ReferenceBackend().run(graph, inputs))
    assert sum(counts.per_inference()["synops"].values()) > 0
    with pytest.raises(EnergyUnavailable, match=rf"Profile '{name}' is incomplete; it lacks energy\.synop\. Nothing is guessed"):
        estimate(counts, graph, load_profile(name), what_if=what_if)


@pytest.mark.parametrize("name", CAPABILITY_ONLY)
def test_a_capability_only_profile_says_so(name):
    profile = load_profile(name)
    assert (profile.energy, profile.counts_neuron_updates, profile.compilable) == ({}, "not-counted", False)
    assert "capability only" in profile.title
    assert re.search(r"no energy per event|No energy per event is given here: the published ones disagree", profile.warning)
    assert profile.limits


def example() -> str:
    (text,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    return text


def test_the_example_of_the_documentation_has_no_faults(tmp_path):
    path = tmp_path / f"{tomllib.loads(example())['id']}.toml"
    path.write_text(example())
    assert lint(path) == []
    profile = load_profile(path)
    assert profile.compilable
    assert profile.limit("cores_per_chip") == 16
    assert profile.limit("delay_max") == load_profile("loihi1").limit("delay_max")
    inputs = Spikes.from_events([0], [1], [0], n_samples=1, n_steps=5, n_neurons=2, dt=1e-3)
    counts = count(tiny(), inputs, ReferenceBackend().run(tiny(), inputs))
    total = estimate(counts, tiny(), profile).total
    assert 0 < total.lo < total.nominal < total.hi < math.inf


def test_the_documentation_names_every_key_kind_basis_and_account():
    text = DOCUMENT.read_text()
    for word in (*HEADER, *KINDS_OF_NUMBER, *BASES, *UPDATE_ACCOUNTS):
        assert f"`{word}`" in text, word
