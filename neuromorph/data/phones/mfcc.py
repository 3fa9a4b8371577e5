"""The usual front end of frame-wise phone recognition: 13 mel-frequency cepstral coefficients with their first and second differences.

Davis and Mermelstein 1980 (IEEE Trans. ASSP 28(4)); constants as in HTK and the LSNN paper's TIMIT task: frames of 25 ms every 10 ms.
"""

import math

import numpy as np

from neuromorph.shapes import Float64, Int64, Num

WINDOW, HOP = 25e-3, 10e-3
PRE_EMPHASIS = 0.97
N_MELS, N_CEPSTRA, DELTA_FRAMES = 26, 13, 2
N_FEATURES = 3 * N_CEPSTRA
FLOOR = 1e-10
"""Power at or below which a channel is silent, for samples within -1 .. 1."""


def features(samples: Num[np.ndarray, " n"], rate: int) -> Float64[np.ndarray, "frames 39"]:
    """Cepstra, their slopes and the slopes' slopes, of samples within -1 .. 1 at `rate` [Hz]; no frame where n is below a window."""
    cepstra = mfcc(samples, rate)
    return np.concatenate([cepstra, first := slopes(cepstra), slopes(first)], axis=1)


def mfcc(samples: Num[np.ndarray, " n"], rate: int) -> Float64[np.ndarray, "frames 13"]:
    """Cepstra of the log mel spectrum; the 0th tells the energy."""
    x = np.asarray(samples, dtype=np.float64)
    x = np.append(x[:1], x[1:] - PRE_EMPHASIS * x[:-1])
    width = round(WINDOW * rate)
    size = 2 ** math.ceil(math.log2(width))
    frames = x[starts(len(x), rate)[:, None] + np.arange(width)] * np.hamming(width)
    power = np.abs(np.fft.rfft(frames, size)) ** 2 / size
    return np.log(np.maximum(power @ mel_filters(size, rate).T, FLOOR)) @ cosines().T


def starts(n: int, rate: int) -> Int64[np.ndarray, " frames"]:
    """The first sample of every frame that lies within n samples."""
    return np.arange(0, n - round(WINDOW * rate) + 1, round(HOP * rate))


def centres(n: int, rate: int) -> Int64[np.ndarray, " frames"]:
    """The sample in the middle of every frame."""
    return starts(n, rate) + round(WINDOW * rate) // 2


def mel_filters(size: int, rate: int) -> Float64[np.ndarray, "26 bins"]:
    """Triangles over the bins of a spectrum of `size` points, evenly spaced in mel = 2595 log10(1 + f / 700) from 0 to rate / 2."""
    edges = np.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), N_MELS + 2)
    low, peak, high = (edges[k : k + N_MELS, None] for k in range(3))
    mel = 2595 * np.log10(1 + np.arange(size // 2 + 1) * rate / size / 700)
    return np.maximum(0, np.minimum((mel - low) / (peak - low), (high - mel) / (high - peak)))


def cosines() -> Float64[np.ndarray, "13 26"]:
    """The first rows of the orthonormal discrete cosine transform (type II)."""
    angle = np.pi * np.arange(N_CEPSTRA)[:, None] * (np.arange(N_MELS) + 0.5) / N_MELS
    return np.cos(angle) * np.sqrt(np.where(np.arange(N_CEPSTRA) == 0, 1, 2) / N_MELS)[:, None]


def slopes(values: Float64[np.ndarray, "frames channels"]) -> Float64[np.ndarray, "frames channels"]:
    """Least-squares slope over two frames to each side; the first and the last frame are repeated beyond the ends."""
    n, reach = len(values), DELTA_FRAMES
    padded = np.concatenate([values[:1].repeat(reach, 0), values, values[-1:].repeat(reach, 0)])
    sums = sum(k * (padded[reach + k : reach + k + n] - padded[reach - k : reach - k + n]) for k in range(1, reach + 1))
    return np.asarray(sums) / (2 * sum(k * k for k in range(1, reach + 1)))
