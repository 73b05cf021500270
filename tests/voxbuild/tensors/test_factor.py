"""The factors of H = V D V^T."""

import numpy as np
import pytest

from voxbuild.tensors.factor import NotPositiveError, factor
from voxrun import parallel


def moments(columns, rows, seed=0):
    """The second moments of correlated inputs with very different sizes."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(columns, columns)) * np.exp(rng.normal(size=columns))
    inputs = rng.normal(size=(rows, columns)) @ mix
    return inputs.T @ inputs / rows


@pytest.mark.parametrize("columns", [32, 64, 96, 160, 320])
def test_the_factors_give_the_matrix_again(columns):
    matrix = moments(columns, 2 * columns)
    upper, pivots = factor(matrix)
    np.testing.assert_allclose(upper * pivots @ upper.T, matrix, rtol=0, atol=1e-12 * matrix.max())
    np.testing.assert_array_equal(upper, np.triu(upper))
    np.testing.assert_array_equal(upper.diagonal(), 1)


def test_any_number_of_cores_gives_the_same_factors(monkeypatch):
    matrix = moments(640, 1000)
    results = []
    for cores in (1, 2, 3, 7):
        monkeypatch.setattr(parallel, "cores", lambda cores=cores: cores)
        monkeypatch.setattr(parallel, "WORTH_A_THREAD", 1)
        results.append(factor(matrix))
    for upper, pivots in results[1:]:
        np.testing.assert_array_equal(upper, results[0][0])
        np.testing.assert_array_equal(pivots, results[0][1])


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_matrix_that_is_not_positive_definite_is_refused(value):
    matrix = np.eye(96)
    matrix[40, 40] = value
    with pytest.raises(NotPositiveError):
        factor(matrix)
