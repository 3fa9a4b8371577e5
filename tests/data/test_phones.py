"""Speech: files in both formats, TIMIT's layout and folding, features against formulas, the corpus that Flite speaks."""

import io
import shutil
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from neuromorph.data.phones import Recipe, audio, load_corpus, make, mfcc, timit
from neuromorph.data.phones.corpus import NOT_COUNTED, labels_at, noise
from neuromorph.data.phones.flite import check, phone_lines
from neuromorph.data.phones.sentences import draw
from neuromorph.errors import DataError


def need_flite() -> None:
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed")


def sphere(samples: np.ndarray, order: str = "01", coding: str = "pcm", count: int | None = None) -> bytes:
    """A NIST SPHERE file as its format says."""
    lines = [
        "NIST_1A",
        "   1024",
        "database_id -s5 TIMIT",
        "channel_count -i 1",
        f"sample_count -i {len(samples) if count is None else count}",
    ]
    lines += ["sample_rate -i 16000", "sample_n_bytes -i 2", f"sample_byte_format -s2 {order}", f"sample_coding -s{len(coding)} {coding}"]
    head = "\n".join([*lines, "end_head\n"]).encode()
    return head.ljust(1024) + samples.astype("<i2" if order == "01" else ">i2").tobytes()


def riff(samples: np.ndarray, channels: int = 1, rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def test_recordings_of_both_formats() -> None:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 500)
    for data in (sphere(samples), sphere(samples, "10"), riff(samples)):
        found = audio.parse(data, "x")
        assert found.rate == 16_000
        np.testing.assert_array_equal(found.samples, samples)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"OggS....", "starts with"),
        (sphere(np.zeros(9), coding="pcm,embedded-shorten-v2.00"), "sph2pipe"),
        (sphere(np.zeros(9), count=10), "holds 9 samples of 10"),
        (riff(np.zeros(8), channels=2), "channel_count is 2"),
        (b"NIST_1A\n   10x4\n", "cannot be read"),
        (b"RIFF" + struct.pack("<I", 4) + b"WAVE", "no readable WAV"),
    ],
)
def test_recordings_that_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        audio.parse(data, "x.WAV")


def test_folding_is_that_of_61_phones_to_39() -> None:
    assert len(timit.CLASSES) == 39
    assert len(timit.FOLDING) == 60
    assert timit.IGNORED not in timit.FOLDING
    assert {timit.FOLDING[p] for p in ("ao", "ux", "zh", "h#", "bcl", "axr", "ix")} == {"aa", "uw", "sh", "sil", "er", "ih"}
    assert len(set(timit.CORE_TEST)) == 24
    assert sum(name.startswith("F") for name in timit.CORE_TEST) == 8


def test_layout(tmp_path: Path) -> None:
    """SA sentences are left out; small letters are TIMIT too."""
    for name in ("TRAIN/DR1/FCJF0/SA1", "TRAIN/DR1/FCJF0/SX37", "test/dr2/mabc0/si5"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ending = str.lower if name.islower() else str.upper
        path.with_suffix(ending(".wav")).write_bytes(sphere(np.zeros(800)))
        path.with_suffix(ending(".phn")).write_text("0 400 h#\n400 800 ae\n")
    assert [f.name for f in timit.utterances(tmp_path, "TRAIN")] == ["TRAIN/DR1/FCJF0/SX37"]
    (small,) = timit.utterances(tmp_path, "TEST")
    assert (small.name, small.speaker) == ("TEST/DR2/MABC0/SI5", "MABC0")
    small.audio.unlink()
    with pytest.raises(DataError, match="0 recordings"):
        timit.utterances(tmp_path, "TEST")


@pytest.mark.parametrize("line", ["0 5", "5 3 ae", "0 5 xx", "a 5 ae"])
def test_phone_lines_that_are_refused(line: str) -> None:
    with pytest.raises(DataError, match="line 1"):
        timit.parse_phones(line, "x.PHN")


def test_cepstra_by_the_formulas() -> None:
    """One frame, with scipy's transforms and triangles drawn with interpolation."""
    rng, rate = np.random.default_rng(1), 16_000
    x = rng.normal(0, 0.1, 400)
    emphasised = np.r_[x[0], x[1:] - 0.97 * x[:-1]]
    power = np.abs(scipy.fft.rfft(emphasised * np.hamming(400), 512)) ** 2 / 512
    mel = 2595 * np.log10(1 + scipy.fft.rfftfreq(512, 1 / rate) / 700)
    edges = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    energies = [np.interp(mel, edges[k : k + 3], [0, 1, 0], left=0, right=0) @ power for k in range(26)]
    wanted = scipy.fft.dct(np.log(energies), type=2, norm="ortho")[:13]
    np.testing.assert_allclose(mfcc.mfcc(x, rate)[0], wanted, rtol=1e-9)


def test_slopes_of_a_straight_line() -> None:
    line = np.arange(12.0)[:, None] * [2.0, -3.0]
    np.testing.assert_allclose(mfcc.slopes(line)[2:-2], np.broadcast_to([2.0, -3.0], (8, 2)))


def test_frames_and_labels() -> None:
    """25 ms every 10 ms; a frame has the phone around its middle; glottal stops do not count."""
    assert mfcc.features(np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000).shape == (98, 39)
    segments = timit.parse_phones("0 1000 h#\n1000 2000 q\n2000 3000 iy\n", "x")
    sil, iy = timit.CLASSES.index("sil"), timit.CLASSES.index("iy")
    found = labels_at(segments, np.array([0, 999, 1000, 2000, 2999, 3000]))
    assert found.tolist() == [sil, sil, NOT_COUNTED, iy, iy, NOT_COUNTED]


def test_noise_has_the_power_asked_for() -> None:
    x = np.sin(np.arange(100_000) / 7)
    assert 10 * np.log10(np.mean(x**2) / np.mean(noise(x, 10.0, np.random.default_rng(0)) ** 2)) == pytest.approx(10, abs=0.1)


def test_sentences_follow_from_the_seed_and_test_words_are_new() -> None:
    assert draw("TRAIN", 30, 4) == draw("TRAIN", 50, 4)[:30]
    assert not set(draw("TRAIN", 300, 0)) & set(draw("TEST", 100, 0))


def test_labels_are_cut_to_the_recording() -> None:
    assert phone_lines("pau:0.1 ae:0.25 pau:0.9", 8000, 16_000) == ["0 1600 pau", "1600 4000 ae", "4000 8000 pau"]
    with pytest.raises(DataError, match="wanted phone:end"):
        phone_lines("pau 0.1", 100, 16_000)


def test_the_corpus_is_spoken_and_checked(tmp_path: Path) -> None:
    need_flite()
    folder = tmp_path / "flite-phones"
    assert make(folder, Recipe(train=4, test=2))
    assert not make(folder, Recipe(train=4, test=2)), "it is there already"
    with pytest.raises(DataError, match="not of"):
        make(folder, Recipe(train=5, test=2))
    corpus = load_corpus(root=tmp_path, snr_db=10.0)
    assert [len(corpus.train), len(corpus.test)] == [4, 2]
    frames = np.concatenate([u.features for u in corpus.train])
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-3)
    labels = np.concatenate([u.labels for u in corpus.train])
    assert len(np.unique(labels)) > 15
    assert (labels == NOT_COUNTED).mean() < 0.05
    again = load_corpus(root=tmp_path, snr_db=10.0)
    np.testing.assert_array_equal(again.train[0].features, corpus.train[0].features)
    next(folder.glob("TEST/*/*/*.PHN")).write_text("0 10 ae\n")
    with pytest.raises(DataError, match="damaged"):
        check(folder)
