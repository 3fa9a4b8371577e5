"""TIMIT's files and front end: formats by their definition, features against loops over their formulas, labels against a search."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuromorph.data.phones import audio, load_corpus, mfcc
from neuromorph.data.phones.corpus import NOT_COUNTED, labels_at, noise
from neuromorph.data.phones.timit import CLASSES, CORE_TEST, FOLDING, Segment, parse_phones, utterances
from neuromorph.errors import DataError
from tests.data.phone_files import riff, sphere, write_utterance

SAMPLES = arrays(np.int16, st.integers(1, 50))
VOICE = (np.random.default_rng(0).standard_normal(3200) * 3000).astype(np.int16)
PHONES = "0 1600 h#\n1600 2400 ax-h\n2400 3000 q\n3000 3100 zh\n"


@given(SAMPLES, st.sampled_from(["01", "10"]), st.sampled_from([8_000, 16_000]))
def test_both_formats_come_back(samples, order, rate):
    for data in (sphere(samples, order=order, rate=rate), riff(samples, rate=rate)):
        found = audio.parse(data, "f")
        assert np.array_equal(found.samples, samples)
        assert found.rate == rate
        assert not found.samples.flags.writeable


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"channel_count": "-i 2"}, "channel_count is 2; only 1"),
        ({"sample_n_bytes": "-i 1"}, "sample_n_bytes is 1; only 2"),
        ({"sample_coding": "-s26 pcm,embedded-shorten-v2.00"}, "sph2pipe"),
        ({"sample_rate": ""}, "sample_rate is missing"),
        ({"sample_count": "-i many"}, "sample_count is many"),
        ({"sample_count": "-i 99"}, "holds 4 samples of 99"),
        ({"sample_count": "-i 0"}, "cut or empty"),
    ],
)
def test_sphere_files_that_are_refused(fields, said):
    with pytest.raises(DataError, match=said):
        audio.parse(sphere(np.arange(4, dtype=np.int16), **fields), "f")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"OggS....", "starts with"),
        (b"NIST_1A\n   10x4\n", "cannot be read"),
        (b"RIFF\4\0\0\0WAVE", "no readable WAV"),
        (b"RIFF0000WAVE\0\0\0\0\0\0\0001", "no readable WAV"),
    ],
)
def test_bytes_that_are_no_recording(data, said):
    with pytest.raises(DataError, match=said):
        audio.parse(data, "f")


@pytest.mark.parametrize("wrong", [{"channels": 2}, {"width": 1}])
def test_wav_files_that_are_refused(wrong):
    with pytest.raises(DataError, match="is read"):
        audio.parse(riff(np.arange(4, dtype=np.int16), **wrong), "f")


@given(SAMPLES, st.integers(0, 2000), st.booleans())
def test_cut_anywhere(samples, cut, as_riff):
    data = riff(samples) if as_riff else sphere(samples)
    with pytest.raises(DataError, match=r"^f"):
        audio.parse(data[: cut % len(data)], "f")


@given(st.binary(max_size=60), st.sampled_from([b"", b"NIST_1A\n", b"NIST_1A\n   1024\n", b"RIFF", b"RIFF0000WAVE", b"RIFF0000WAVEfmt "]))
def test_any_bytes_give_a_recording_or_a_data_error(data, start):
    with suppress(DataError):
        audio.parse(start + data, "f")


def test_folding_is_that_of_lee_and_hon():
    assert len(FOLDING) == 60
    assert len(CLASSES) == 39
    groups = {group: {phone for phone, to in FOLDING.items() if to == group} for group in CLASSES}
    assert groups["sil"] == {"pcl", "tcl", "kcl", "bcl", "dcl", "gcl", "h#", "pau", "epi"}
    assert groups["ah"] == {"ah", "ax", "ax-h"}
    assert groups["sh"] == {"sh", "zh"}
    assert groups["n"] == {"n", "en", "nx"}
    assert " ".join(name for name, phones in groups.items() if len(phones) > 1) == "aa ah er hh ih l m n ng sh sil uw"


def test_the_core_test_set_has_eight_women_and_sixteen_men():
    assert len(set(CORE_TEST)) == 24
    assert [speaker[0] for speaker in CORE_TEST] == ["M", "M", "F"] * 8


@pytest.mark.parametrize("lower", [False, True])
def test_the_folders(tmp_path: Path, lower):
    """SA sentences are left out, so are speakers outside of the core test set; capitals do not matter."""
    names = ["TRAIN/DR1/FCJF0/SX37", "TRAIN/DR1/FCJF0/SA1", "TRAIN/DR2/MABC0/SI100", "TEST/DR1/MDAB0/SX9", "TEST/DR1/FAAA0/SX9"]
    for name in names:
        write_utterance(tmp_path, name, VOICE, PHONES, lower=lower)
    assert [files.name for files in utterances(tmp_path, "TRAIN")] == [names[0], names[2]]
    corpus = load_corpus("TIMIT", root=tmp_path)
    assert [each.name for each in corpus.train] == [names[0], names[2]]
    assert [each.name for each in corpus.test] == ["TEST/DR1/MDAB0/SX9"]
    # middles at 200, 360, ..., 2920; samples 2400 to 3000 are a glottal stop, which has no class
    names_of = [CLASSES[k] if k >= 0 else "-" for k in corpus.test[0].labels]
    assert names_of == ["sil"] * 9 + ["ah"] * 5 + ["-"] * 4
    assert corpus.about == {"corpus": "TIMIT", "snr_db": None, "noise_seed": None, "train_utterances": 2, "test_utterances": 1}


def test_every_feature_is_normalised_by_the_training_part(tmp_path: Path):
    rng = np.random.default_rng(1)
    for name, loudness in (("TRAIN/DR1/FCJF0/SX1", 3000), ("TRAIN/DR1/FCJF0/SX2", 300), ("TEST/DR1/MDAB0/SX9", 30)):
        write_utterance(tmp_path, name, (rng.standard_normal(16_000) * loudness).astype(np.int16), "0 16000 h#\n")
    corpus = load_corpus("TIMIT", root=tmp_path)
    frames = np.concatenate([each.features for each in corpus.train])
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-5)
    assert corpus.test[0].features[:, 0].mean() < -1, "quiet against the training part"


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEUROMORPH_DATA", raising=False)
    with pytest.raises(DataError, match=r"(?s)TIMIT is in none of\n.*TIMIT\nit is licensed"):
        load_corpus("TIMIT", root=tmp_path)
    with pytest.raises(DataError, match="neuromorph data make flite-phones"):
        load_corpus(root=tmp_path)
    for part in ("TRAIN", "TEST"):
        (tmp_path / part).mkdir()
    with pytest.raises(DataError, match=r"has no TRAIN/<region>"):
        load_corpus("TIMIT", root=tmp_path)
    write_utterance(tmp_path, "TRAIN/DR1/FCJF0/SX37", VOICE, PHONES)
    (tmp_path / "TRAIN/DR1/FCJF0/SX37.WAV").unlink()
    with pytest.raises(DataError, match=r"has 0 recordings SX37\.WAV"):
        load_corpus("TIMIT", root=tmp_path)


@pytest.mark.parametrize("line", ["0 10", "10 0 aa", "0 10 xx", "0 10 aa\n5 20 iy", "-1 10 aa", "0 1e3 aa", "0 10 aa b"])
def test_lines_that_are_no_phones(line):
    with pytest.raises(DataError, match="f, line"):
        parse_phones(line, "f")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.sampled_from(["aa", "q", "h#", "zh"])), max_size=6))
def test_labels_against_a_search(parts):
    """Gaps between segments have no class."""
    segments, place = [], 0
    for gap, length, phone in parts:
        segments.append(Segment(place + gap, place + gap + length, phone))
        place += gap + length
    places = np.arange(place + 3)
    expected = []
    for k in places:
        inside = [s.phone for s in segments if s.begin <= k < s.end]
        expected.append(CLASSES.index(FOLDING[inside[0]]) if inside and inside[0] != "q" else NOT_COUNTED)
    assert labels_at(segments, places).tolist() == expected


def test_cepstra_against_loops():
    """Pre-emphasis, Hamming window, discrete Fourier transform, triangles, logarithm and cosines, each by its formula."""
    rate, x = 8_000, np.random.default_rng(2).standard_normal(400)
    width, hop, size, mels = 200, 80, 256, 26
    emphasised = [x[0]] + [x[k] - 0.97 * x[k - 1] for k in range(1, len(x))]
    edges = [700 * (10 ** (k / (mels + 1) * np.log10(1 + rate / 2 / 700)) - 1) for k in range(mels + 2)]
    to_mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    expected = []
    for first in range(0, len(x) - width + 1, hop):
        frame = [emphasised[first + k] * (0.54 - 0.46 * np.cos(2 * np.pi * k / (width - 1))) for k in range(width)]
        power = [
            abs(sum(value * np.exp(-2j * np.pi * bin_ * k / size) for k, value in enumerate(frame))) ** 2 / size
            for bin_ in range(size // 2 + 1)
        ]
        logs = []
        for low, peak, high in zip(edges, edges[1:], edges[2:]):
            total = 0.0
            for bin_, value in enumerate(power):
                f = bin_ * rate / size
                if low < f <= peak:
                    total += value * (to_mel(f) - to_mel(low)) / (to_mel(peak) - to_mel(low))
                elif peak < f < high:
                    total += value * (to_mel(high) - to_mel(f)) / (to_mel(high) - to_mel(peak))
            logs.append(np.log(max(total, 1e-10)))
        row = []
        for k in range(13):
            scale = np.sqrt((1 if k == 0 else 2) / mels)
            row.append(scale * sum(logs[m] * np.cos(np.pi * k * (m + 0.5) / mels) for m in range(mels)))
        expected.append(row)
    np.testing.assert_allclose(mfcc.mfcc(x, rate), expected, rtol=1e-9, atol=1e-9)


def test_slopes_are_least_squares():
    values = np.random.default_rng(3).standard_normal((9, 2))
    found = mfcc.slopes(values)
    for t in range(2, 7):
        assert found[t] == pytest.approx(np.polyfit(np.arange(-2, 3), values[t - 2 : t + 3], 1)[0])
    ramp = np.arange(6.0)[:, None]
    assert mfcc.slopes(ramp)[:, 0].tolist() == pytest.approx([0.5, 0.8, 1, 1, 0.8, 0.5])  # ends repeated


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 10), st.integers(0, 1000))
def test_loudness_is_in_the_first_feature_alone(gain, seed):
    x = np.random.default_rng(seed).standard_normal(2000)
    soft, loud = mfcc.features(x, 16_000), mfcc.features(gain * x, 16_000)
    difference = loud - soft
    np.testing.assert_allclose(difference[:, 0], np.sqrt(26) * 2 * np.log(gain), atol=1e-6)
    np.testing.assert_allclose(difference[:, 1:], 0, atol=1e-6)


@given(st.integers(0, 2000))
def test_frames_lie_within_the_recording(n):
    found = mfcc.features(np.ones(n), 16_000)
    assert len(found) == max(0, (n - 400) // 160 + 1 if n >= 400 else 0)
    assert found.shape[1] == mfcc.N_FEATURES
    middles = mfcc.centres(n, 16_000)
    assert len(middles) == len(found)
    assert middles.tolist() == [160 * k + 200 for k in range(len(found))]


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_has_its_power(snr_db):
    x = np.sin(np.arange(100_000) / 7) * 0.3
    added = noise(x, snr_db, np.random.default_rng(0))
    assert 10 * np.log10(np.mean(x**2) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.05)


def test_noise_follows_seed_and_name(tmp_path: Path):
    for name in ("TRAIN/DR1/FCJF0/SX1", "TRAIN/DR1/FCJF0/SX2", "TEST/DR1/MDAB0/SX9"):
        write_utterance(tmp_path, name, VOICE, PHONES)
    runs = [load_corpus("TIMIT", root=tmp_path, snr_db=snr_db, seed=seed) for snr_db, seed in ((10.0, 0), (10.0, 0), (10.0, 1), (None, 0))]
    same, again, other, clean = ([each.features for each in run.train] for run in runs)
    assert all(np.array_equal(a, b) for a, b in zip(same, again))
    assert not np.allclose(same[0], same[1]), "equal recordings, different noise"
    assert np.array_equal(clean[0], clean[1])
    assert not np.allclose(same[0], other[0])
    assert runs[0].about["snr_db"] == 10.0
