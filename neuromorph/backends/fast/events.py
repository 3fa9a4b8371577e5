"""Between spikes as events and what the kernel reads and writes."""

from collections.abc import Sequence

import numpy as np

from neuromorph.backends.fast.kernel import Train
from neuromorph.backends.fast.layout import WORD, bits
from neuromorph.simd.lanes import compiled, lowest, ones
from neuromorph.spikes import Spikes


def train_of(inputs: Sequence[Spikes]) -> Train:
    """Events of the input populations, side by side."""
    n_samples = inputs[0].n_samples
    if len(inputs) == 1:
        sample, step, source = inputs[0].sample, inputs[0].step, inputs[0].neuron
    else:
        firsts = np.cumsum([0, *(s.n_neurons for s in inputs)])
        columns = [(s.sample, s.step, s.neuron + np.int32(first)) for s, first in zip(inputs, firsts)]
        sample, step, source = (np.concatenate(each) for each in zip(*columns))
        order = np.lexsort((source, step, sample))
        sample, step, source = sample[order], step[order], source[order]
    n_steps = inputs[0].n_steps
    begin = np.zeros(n_samples * n_steps + 1, np.int64)
    _bounds(sample, step, n_steps, begin)
    return Train(begin, np.concatenate([source, np.zeros(WORD, np.int32)]))


def spikes_of(z: np.ndarray, first: int, n: int, dt: float) -> Spikes:
    """The spikes of the places first .. first + n - 1 of words [samples, steps, words]."""
    begin = first // WORD * WORD
    words = z[:, :, begin // WORD : -(-(first + n) // WORD)]
    places = begin + np.arange(words.shape[2] * WORD)
    own = bits((first <= places) & (places < first + n))
    sample, step, neuron = (np.empty(_count(words, own), np.int32) for _ in range(3))
    _list(words, own, first - begin, sample, step, neuron)
    return Spikes(sample, step, neuron, z.shape[0], z.shape[1], n, dt)


@compiled
def _bounds(sample, step, n_steps, begin):
    """Where the events of every step begin."""
    for k in range(len(step)):
        begin[np.int64(sample[k]) * n_steps + step[k] + 1] += 1
    for k in range(1, len(begin)):
        begin[k] += begin[k - 1]


@compiled
def _count(words, own):
    total = 0
    for b in range(words.shape[0]):
        for t in range(words.shape[1]):
            for w in range(words.shape[2]):
                total += ones(words[b, t, w] & own[w])
    return total


@compiled
def _list(words, own, first, sample, step, neuron):
    """The bits of words [samples, steps, words] that are `own` [words], counted from bit `first`."""
    k = 0
    for b in range(words.shape[0]):
        for t in range(words.shape[1]):
            for w in range(words.shape[2]):
                m = words[b, t, w] & own[w]
                while m:
                    sample[k] = b
                    step[k] = t
                    neuron[k] = w * WORD + lowest(m) - first
                    m &= m - np.uint16(1)
                    k += 1
