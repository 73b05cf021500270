"""The arithmetic of second moments: which tensors need them, how many bytes they are, how long all takes."""

import math

from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.second_moments import KEPT, input_of
from voxrun.checkpoint.config import ModelConfig
from voxrun.parallel import cores

from .planner import Plan, TensorPlan

ROUNDING = 48e9
"""Operations in a second on one core: ROUNDING_OPERATIONS n^2 for a row of n columns, in float32."""
ROUNDING_OPERATIONS = 9
"""As many as `feedback.OPERATIONS`, without compiling its loops."""
FACTORS = 6.5e9
"""The same for the factors of an n x n matrix: n^3 / 3, in float64."""
PRODUCTS = 25e9
"""The same for H: n^2 for each position, in float64."""
FORWARD = 40e9
"""The same for the network: 2 for each parameter and position, in float32."""
TRIAL = 0.2
"""Seconds for each trial of a measurement, besides the arithmetic: it is made of many small products."""
FRAMES = 50
"""Positions of the encoder in a second of audio."""


def uses_moments(tensor: TensorPlan) -> bool:
    """Whether a tensor is rounded with the second moments of its inputs."""
    how = tensor.quantization
    return how is not None and METHODS[how.search].moments == "matrix"


def _inputs(plan: Plan) -> dict[str, int]:
    """The inputs of all matrices, by their first module, and their columns."""
    return {input_of(t.module): t.shape[1] for t in plan.tensors if len(t.shape) == 2}


def moments_bytes(plan: Plan) -> int:
    """Bytes of the second moments of all inputs, as float32."""
    return sum(4 * n * n for n in _inputs(plan).values())


def is_by_layers(plan: Plan) -> bool:
    """Whether moments are used in passing, as they are too many to keep, or depend on the rounding."""
    needed = any(map(uses_moments, plan.tensors))
    return needed and (plan.sequential or moments_bytes(plan) > KEPT)


def rounding_seconds(tensor: TensorPlan) -> float:
    """How long rounding a matrix with second moments takes on all cores, its factors included."""
    rows, n = tensor.shape
    return (rows * ROUNDING_OPERATIONS * n**2 / ROUNDING + n**3 / 3 / FACTORS) / cores()


def measuring_seconds(plain: Plan, widths: int, audio: float) -> float:
    """How long it takes to quantize each matrix alone at some widths, and to compute all behind it."""
    downsampling = ModelConfig.from_dict(plain.config).downsample_factor
    shapes = {t.module: t.shape for t in plain.tensors if len(t.shape) == 2}
    encoder = [shape for module, shape in shapes.items() if module.startswith("encoder.")]
    others = [shape for module, shape in shapes.items() if not module.startswith("encoder.")]
    first = sum(map(math.prod, encoder)) * audio * FRAMES
    last = sum(map(math.prod, others)) * audio * FRAMES / downsampling
    forward = 2 / FORWARD * (len(encoder) * (first / 2 + last) + len(others) * last / 2)
    rounding = sum(
        rows * ROUNDING_OPERATIONS * n**2 / ROUNDING + n**3 / 3 / FACTORS / widths
        for rows, n in shapes.values()
    )
    return widths * ((forward + rounding) / cores() + TRIAL * len(shapes))


def walk_seconds(plan: Plan, audio: float) -> float:
    """How long a walk through the network takes on all cores, over so many seconds of audio."""
    downsampling = ModelConfig.from_dict(plan.config).downsample_factor
    work = 0.0
    for tensor in plan.tensors:
        if len(tensor.shape) == 2:
            rows, n = tensor.shape
            positions = audio * FRAMES / (1 if tensor.module.startswith("encoder.") else downsampling)
            is_first = input_of(tensor.module) == tensor.module
            passes = 4 if plan.sequential else 1
            work += passes * positions * (2 * rows * n / FORWARD + is_first * n * n / PRODUCTS)
    return work / cores()
