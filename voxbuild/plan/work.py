"""The arithmetic of rounding with second moments: which tensors, how many bytes and how long."""

from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.second_moments import KEPT, input_of
from voxrun.parallel import cores

from .planner import Plan, TensorPlan

ROUNDING = 48e9
"""Operations in a second on one core: 5 n^2 for a row of n columns, in float32."""
FACTORS = 6.5e9
"""The same for the factors of an n x n matrix: n^3 / 3, in float64."""


def uses_moments(tensor: TensorPlan) -> bool:
    """Whether a tensor is rounded with the second moments of its inputs."""
    how = tensor.quantization
    return how is not None and METHODS[how.search].moments == "matrix"


def inputs(plan: Plan) -> dict[str, int]:
    """The inputs whose second moments a plan needs, by their first module, and their columns."""
    return {input_of(t.module): t.shape[1] for t in plan.tensors if uses_moments(t)}


def moments_bytes(plan: Plan) -> int:
    """Bytes of all second moments that a plan needs, as float32."""
    return sum(4 * n * n for n in inputs(plan).values())


def is_by_layers(plan: Plan) -> bool:
    """Whether the moments are used in passing, layer by layer, because they are too many to keep."""
    return plan.sequential or moments_bytes(plan) > KEPT


def rounding_seconds(tensor: TensorPlan) -> float:
    """How long rounding a matrix with second moments takes on all cores, its factors included."""
    rows, n = tensor.shape
    return (rows * 5 * n**2 / ROUNDING + n**3 / 3 / FACTORS) / cores()
