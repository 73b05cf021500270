"""The tensors of a checkpoint in any dialect, matched with those of the model."""

from collections.abc import Iterable, Mapping, Sequence

from voxbuild.console import some_of
from voxbuild.errors import PlanError
from voxbuild.tensors.naming import Naming, naming_of, stray_prefix
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import DIALECTS
from voxrun.checkpoint.tensors import Tensor
from voxrun.messages import sentence
from voxrun.model.voxtral import parameter_shapes

EMBEDDING = "language_model.embed_tokens.weight"
PACKED = ("scales", "biases")
"""Leaves of quantized modules."""
FLOATS = ("BF16", "F16", "F32", "F64")
"""The dtypes of a source that are converted."""
FP8 = ("F8_E4M3", "F8_E5M2", "F8_E8M0")


def match_tensors(
    header: Sequence[Tensor], config: ModelConfig, origin: str
) -> tuple[Naming, dict[str, Tensor]]:
    """How the names are read, and canonical name -> tensor, in the header's order, without heads.

    Raises PlanError with the tensors that are unmatched, missing, doubled, misshapen or not floats; `origin`
    is the name of the configuration file.
    """
    naming = naming_of(tensor.name for tensor in header)
    found, unmatched = _matched(header, naming)
    _check_dtypes(found.values())  # first: what is unknown may be the scales of such weights
    if unmatched or not found:
        raise PlanError(_unknown(unmatched, naming, found))
    _check_shapes(found, parameter_shapes(config), naming, origin)
    return naming, found


def _matched(header: Iterable[Tensor], naming: Naming) -> tuple[dict[str, Tensor], list[str]]:
    """Canonical name -> tensor, in the header's order, without heads; and the unknown names."""
    found: dict[str, Tensor] = {}
    unmatched = []
    for tensor in header:
        if naming.is_head(tensor.name):
            continue
        name = naming.canonical(tensor.name)
        if name is None:
            unmatched.append(tensor.name)
        elif name in found:
            both = f"{sentence(found[name].name)} and as {sentence(tensor.name)}"
            raise PlanError(f"the checkpoint has {name} twice: as {both}")
        else:
            found[name] = tensor
    return found, unmatched


def _unknown(unmatched: list[str], naming: Naming, found: Mapping[str, Tensor]) -> str:
    some = some_of(list(map(sentence, unmatched)))
    if not found:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        return (
            f"not a Voxtral Realtime checkpoint: none of its tensors has a name of {known}: {some or 'none'}"
        )
    hint = "they are not part of this model; save the model without them"
    if prefix := stray_prefix(unmatched, naming):
        hint = f"they begin with `{prefix}`, the others do not; rename them alike"
    elif any(name.rpartition(".")[2] in PACKED for name in unmatched):
        hint = "these belong to quantized weights; start from the unquantized checkpoint"
    return f"the checkpoint has tensors that {naming.dialect.name} has no name for: {some}; {hint}"


def _check_dtypes(tensors: Iterable[Tensor]) -> None:
    """Raises PlanError for tensors that are not floats of a known size, by name."""
    wrong = [tensor for tensor in tensors if tensor.dtype not in FLOATS]
    if not wrong:
        return
    some = some_of([f"{sentence(tensor.name)} has {tensor.dtype}" for tensor in wrong])
    if any(tensor.dtype in FP8 for tensor in wrong):
        hint = "8-bit floats need scales, which are not applied here; save the model in bfloat16"
    else:
        hint = "integers are no weights, or packed ones; start from the unquantized checkpoint"
    raise PlanError(f"only {', '.join(FLOATS)} are converted: {some}; {hint}")


def _check_shapes(
    found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], naming: Naming, origin: str
) -> None:
    transposes = naming.dialect.transposes
    if missing := sorted(naming.native(name) for name in wanted.keys() - found.keys()):
        raise PlanError(f"tensors are missing from the checkpoint: {some_of(missing)}")
    if extra := sorted(found[name].name for name in found.keys() - wanted.keys()):
        raise PlanError(f"the checkpoint has tensors that do not fit {origin}: {some_of(extra)}")
    wrong = [
        f"{found[name].name} is {list(result_shape(found[name], transposes(name)))},"
        f" but {list(shape)} by {origin}"
        for name, shape in sorted(wanted.items())
        if result_shape(found[name], transposes(name)) != shape
    ]
    if wrong:
        raise PlanError(f"tensors have the wrong shape: {some_of(wrong)}")


def result_shape(tensor: Tensor, transpose: bool) -> tuple[int, ...]:
    """A tensor's shape after its axes 1 and 2 were swapped, if it is transposed."""
    if not transpose or len(tensor.shape) != 3:
        return tensor.shape
    a, b, c = tensor.shape
    return a, c, b
