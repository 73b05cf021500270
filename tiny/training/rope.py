"""The two orders of rotary pairs in the rows of the query and key projections.

Upstream's files and `model.py` rotate neighbouring rows (interleaved); transformers rotates a row
of the first half of a head with one of the second (halves).
"""

import numpy as np


def halves_from_interleaved(heads: int, head_dim: int) -> np.ndarray:
    """Row numbers, int [heads * head_dim]: `weight[rows]` has its pairs as halves."""
    rows = np.arange(heads * head_dim).reshape(heads, head_dim // 2, 2)
    return rows.transpose(0, 2, 1).reshape(-1)


def interleaved_from_halves(heads: int, head_dim: int) -> np.ndarray:
    """Row numbers, int [heads * head_dim]: `weight[rows]` has its pairs interleaved."""
    rows = np.arange(heads * head_dim).reshape(heads, 2, head_dim // 2)
    return rows.transpose(0, 2, 1).reshape(-1)
