"""How near to the limit of the memory's bandwidth: a pass cannot be faster than its weights are read."""

from .results import Results


def step_limit(results: Results, past: int = 0) -> float:
    """Seconds in which a pass's weights, and the keys and values of `past` positions, are read."""
    weights = results.weights
    size = weights.decoder + weights.head + past * weights.window_entry
    return size / (1e9 * results.bandwidth.gb_s)


def block_limit(results: Results) -> float:
    """Seconds in which the encoder's weights are read, for a pass of any size."""
    return results.weights.encoder / (1e9 * results.bandwidth.gb_s)


def products_per_second(results: Results, positions: int) -> float:
    """Multiplications a second in the encoder's matrices, in passes of so many positions."""
    return results.weights.encoder_products * positions / results.blocks[positions].median
