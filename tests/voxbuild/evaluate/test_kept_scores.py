"""KL from kept scores is the exact one within its bound; damaged files are refused."""

import math

import numpy as np
import pytest

from voxbuild.errors import ValidationError
from voxbuild.evaluate import scores as module
from voxbuild.evaluate.scores import MOST, REST, Scores


def log_softmax(logits):
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def exact(p, q):
    log_p, log_q = log_softmax(p), log_softmax(q)
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=1)


def kl(p, q):
    return Scores.of([np.asarray(p, np.float32)]).compared([np.asarray(q, np.float32)])[0]


def test_kl_is_zero_for_equal_logits_and_known_otherwise():
    p = np.array([[1.0, 2.0, 3.0], [50.0, -50.0, 0.0]])
    assert kl(p, p).tolist() == pytest.approx([0.0, 0.0], abs=1e-7)
    assert kl(p, p + 7).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    half, skewed = [[0.0, 0.0]], np.log([[0.9, 0.1]])
    assert kl(half, skewed).item() == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))
    assert kl(skewed, half).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))


@pytest.mark.parametrize("vocabulary", [2, 1024, 20_000])
@pytest.mark.parametrize("sharpness", [0.5, 4.0, 20.0])
@pytest.mark.parametrize("most", [1, 40, MOST])
def test_kl_is_below_the_exact_one_by_no_more_than_the_rest_allows(monkeypatch, vocabulary, sharpness, most):
    monkeypatch.setattr(module, "MOST", most)
    random = np.random.default_rng(vocabulary + most)
    p = (sharpness * random.normal(size=(20, vocabulary))).astype(np.float32)
    q = p + random.normal(0, 0.3, p.shape).astype(np.float32)
    kept = Scores.of([p[:7], p[7:]])
    assert kept.counts.max() <= most
    rest = np.exp(kept.rest.astype(np.float64))
    assert ((rest <= REST) | (kept.counts == min(most, vocabulary))).all()
    ratio = log_softmax(p) - log_softmax(q)
    bound = rest * (ratio.max(axis=1) - ratio.min(axis=1))
    missing = exact(p, q) - kept.compared([q[:16], q[16:]])[0]
    assert (missing >= -2e-6).all()
    assert (missing <= bound + 2e-6).all()


def test_the_likeliest_tokens_are_compared():
    p = np.array([[0, 5, 1], [0, 5, 1], [3, 3, 0]], np.float32)
    q = np.array([[0, 4, 3], [4, 0, 3], [9, 0, 0]], np.float32)
    assert Scores.of([p]).compared([q])[1].tolist() == [True, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_position_that_is_not_finite_is_no_number_and_no_other(value):
    p = np.random.default_rng(1).normal(size=(3, 50)).astype(np.float32)
    q = p.copy()
    q[1, 49] = value
    found, _ = Scores.of([p]).compared([q])
    assert np.isnan(found).tolist() == [False, True, False], "a broken model must not look perfect"
    with pytest.raises(ValueError, match="not finite"):
        Scores.of([q])


def test_a_file_is_read_as_it_was_written_or_refused(tmp_path):
    p = np.random.default_rng(1).normal(0, 3, size=(40, 3000)).astype(np.float32)
    kept, path = Scores.of([p]), tmp_path / "deep/scores.npz"
    digest = kept.save(path)
    assert Scores.of([p]).save(tmp_path / "again") == digest
    read = Scores.load(path, digest)
    for name, array in vars(kept).items():
        assert np.array_equal(getattr(read, name), array)
        assert getattr(read, name).dtype == array.dtype
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValidationError, match="scores are damaged; delete the file"):
        Scores.load(path, digest)
    path.unlink()
    with pytest.raises(ValidationError, match="cannot be read"):
        Scores.load(path, digest)


def test_scores_of_other_positions_are_not_compared():
    p = np.zeros((3, 5), np.float32)
    for n in (2, 4):
        with pytest.raises(ValueError, match="3 positions"):
            Scores.of([p]).compared([np.zeros((n, 5), np.float32)])
