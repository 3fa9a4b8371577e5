"""What the process models of this folder share: fixed-point arithmetic, calls and their samples, and the record of a population."""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportMissingImports=false
# Lava puts arrays and ports in place of a model's LavaPyType attributes when it builds it.

import json

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel

STATE_MAX = 2**23 - 1


def decay(x, factor):
    """x * factor / 4096 in integers, rounded toward zero."""
    return np.sign(x) * ((np.abs(x) * factor) >> 12)


def shifted(x, exponent):
    """x * 2^exponent in integers, floor."""
    return x << exponent if exponent >= 0 else x >> -exponent


def rounded(x, shift, fixed, draw, step, sample):
    """x / 2^shift of every synapse as a whole number, by the rounding of `fixed`; see `neuromorph.graph.plasticity.rounded`."""
    if shift <= 0:
        return x << -shift
    if fixed["rounding"] == "nearest":
        return (x + (1 << (shift - 1))) >> shift
    return (x + random_bits(shift, fixed["seed"], draw, step, sample, len(x))) >> shift


def random_bits(bits, seed, draw, step, sample, n):
    """Whole numbers of so many bits for `n` synapses, those of `neuromorph.graph.plasticity.random_bits`."""
    mask = 0xFFFFFFFF
    start = (seed * 0x9E3779B1 + step * 0xC2B2AE3D + draw * 0x165667B1 + sample * 0x85EBCA77) & mask
    x = (start + np.arange(n) * 0x27D4EB2F) & mask
    x = ((x ^ (x >> 15)) * 0x2C1B3C6D) & mask
    x = ((x ^ (x >> 12)) * 0x297A2D39) & mask
    return (x ^ (x >> 15)) >> (32 - bits)


class SampledModel(PyLoihiProcessModel):
    """A model that starts every sample from zero state.

    A call is a number of samples, one after the other, each of `n_steps`. The worker describes it in call.json (its first and
    last Lava step, `n_steps`, the folder of its files) before it runs it; the first step beyond the last call begins the next.

    A `live` call has no end and goes step by step: its files hold one step, stay mapped into memory, and are read and written in every
    step. One of them, began.npy, tells the Lava step with which the sample began.
    """

    STATES = ()

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.call, self.live, self.began = {"last": 0}, False, np.ones(1)

    def new_rows(self):
        """Whether a sample of the call begins with this step. This or `first_step` comes first in every step."""
        if self.time_step > self.call["last"]:
            with open("call.json") as file:
                self.call = json.load(file)
            self.live = self.call["live"]
            if self.live:
                self.began = np.load(self.path("began.npy"), mmap_mode="r")
            self.begin_call()
        return self.row_number() == 0

    def first_step(self):
        """Whether a sample begins with this step."""
        self.new_rows()
        return self.step() == 0

    def begin_call(self):
        """What a model does before the first step of a call."""

    def row_number(self):
        """The row of this step in a file of the call."""
        return 0 if self.live else (self.time_step - self.call["first"]) % self.call["n_steps"]

    def step(self):
        """The step of the sample, from 0."""
        return self.time_step - int(self.began[0]) if self.live else self.row_number()

    def sample(self):
        """The number of the sample in its call, from 0."""
        return 0 if self.live else (self.time_step - self.call["first"]) // self.call["n_steps"]

    def path(self, name):
        """Where a file of this call lies."""
        return f"{self.call['folder']}/{name}"

    def clear(self):
        for name in self.STATES:
            getattr(self, name)[:] = 0


class PlayingModel(SampledModel):
    """A model that plays a file `path`: the arrays [n_steps, n] of one sample after the other, each read when its sample begins."""

    def begin_call(self):
        path = self.path(self.proc_params["path"])
        if self.live:
            self.rows = np.load(path, mmap_mode="r")
        else:
            self.file = open(path, "rb")  # noqa: SIM115 (open for a whole call)

    def row(self):
        """What the file holds for this step; to be asked once in every step."""
        if self.new_rows() and not self.live:
            self.rows = np.load(self.file)
        if self.time_step == self.call["last"]:
            self.file.close()
        return self.rows[self.row_number()]


class RecordingModel(SampledModel):
    """A population that keeps its own record, which saves a process and a message a step for each variable.

    `record` {variable: [file, dtype]}: the arrays [n_steps, n] of one sample after the other are appended to that file (.npy).
    `saturations`: the file that takes the number of wrapped and clipped values of each state variable in a call (JSON).
    """

    def begin_call(self):
        self.saturations = {}
        record = self.proc_params["record"].items()
        if self.live:
            self.traces = {name: np.load(self.path(file), mmap_mode="r+") for name, (file, _) in record}
        else:
            shape = self.call["n_steps"], self.proc_params["n"]
            self.traces = {name: np.empty(shape, dtype) for name, (_, dtype) in record}

    def keep(self, **values):
        """Record this step's values; at the end of a sample or call write what it gave."""
        for name, trace in self.traces.items():
            trace[self.row_number()] = values[name]
        if not self.live and self.row_number() == self.call["n_steps"] - 1:
            for name, trace in self.traces.items():
                with open(self.path(self.proc_params["record"][name][0]), "ab") as file:
                    np.save(file, trace)
        if self.time_step == self.call["last"]:
            with open(self.path(self.proc_params["saturations"]), "w") as file:
                json.dump(self.saturations, file)

    def wrap(self, u):
        """One turn around (-2^23, 2^23], as Lava's LIF."""
        high, low = u > 2**23, u <= -(2**23)
        self.count("u", high | low)
        return np.where(high, u - 2**24, np.where(low, u + 2**24, u))

    def clip(self, name, x):
        self.count(name, np.abs(x) > STATE_MAX)
        return np.clip(x, -STATE_MAX, STATE_MAX)

    def count(self, name, where):
        number = int(np.count_nonzero(where))
        if number:
            self.saturations[name] = self.saturations.get(name, 0) + number
