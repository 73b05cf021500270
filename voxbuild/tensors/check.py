"""Whether what conversion stores is finite, and near the weights that it stands for.

MLX's formats have limits that its quantizer does not check: a group beyond them is stored as infinite, NaN or
other numbers. So the extremes of each group are computed as a loader computes them. They bound all of its
weights; only maxima need a loop over weights, all else is computed once for a group.
"""

from dataclasses import dataclass

import numpy as np
from numba import uint64

from voxbuild.errors import ConvertError

from .kernels import EPSILON, ONE, compiled, wide
from .modes import MODES, Quantization
from .quantize import KINDS, Ranges, Rows, bits_of, cast, is_finite
from .small_floats import E2M1

E4M3_NUMBERS = np.array(
    [c * 2.0**-9 if c < 8 else (1 + c % 8 / 8) * 2.0 ** (c // 8 - 7) for c in range(127)] + [np.nan],
    np.float32,
)
"""The magnitude of each code of 7 bits: of mxfp8's weights, and of nvfp4's scales."""
E8M0_SCALES = np.array([2.0 ** (code - 127) for code in range(255)] + [np.inf], np.float32)
"""The scale of each code of 8 bits; MLX reads the last one as infinite."""
LARGEST = {"BF16": np.float32(3.38e38), "F16": np.float32(65504), "F32": np.float32(3.4e38)}
"""About the greatest finite number of each dtype."""
TIMES = np.float32(4)
"""More than this many times its group's greatest weight, a stored number stands for no weight of it."""
LEAST = np.float32(2.0**-7)
"""Small floats below it can become 0 for lack of smaller scales: nvfp4's least is 2 ** -9, times 6."""


@dataclass(frozen=True)
class Place:
    """Where rows are in the source."""

    tensor: str
    first_row: int


def check_cast(rows: Rows, dtype: str, stored: Rows, to: str, place: Place) -> None:
    """Rows of `dtype` that are `stored` as dtype `to`. Raises ConvertError with one that is not finite."""
    if is_finite(stored, to):
        return
    row, column = np.argwhere(~np.isfinite(_floats(stored, to).reshape(len(stored), -1)))[0]
    weight = _floats(rows, dtype).reshape(len(rows), -1)[row, column]
    where = f"{place.tensor}: a weight is not finite as {to}: in row {place.first_row + row}"
    if np.isfinite(weight):
        raise ConvertError(f"{where} it is {weight:.3g}; repair it, or choose a dtype of larger range")
    raise ConvertError(f"{where}; the source is damaged, so repair or replace it")


def check_quantized(
    rows: Rows,
    dtype: str,
    how: Quantization,
    parts: dict[str, Rows],
    place: Place,
    ranges: Ranges | None = None,
) -> None:
    """Rows [n, columns], all finite, and the `parts` (leaf -> array) that they were quantized to.

    `ranges` are those of their groups, if they are known.

    Raises ConvertError with the first group that would be read as numbers that are not finite, or absurd.
    """
    most = (ranges or Ranges.of(rows, dtype, how.group_size)).magnitudes(dtype)
    are_ordinary, read = READERS[MODES[how.mode].kernel]
    if are_ordinary(parts, dtype, how, most):
        return
    with np.errstate(all="ignore"):
        reach, good = read(parts, dtype, how, most)
    wrong = (
        (row, group) for row, group in np.argwhere(~good) if not _proven(parts, rows, dtype, how, row, group)
    )
    if (first := next(wrong, None)) is None:
        return
    row, group = first
    columns = slice(group * how.group_size, (group + 1) * how.group_size)
    weights = _floats(rows, dtype)[row, columns]
    raise ConvertError(
        f"{place.tensor}: row {place.first_row + row}, group {group} (columns {columns.start} to"
        f" {columns.stop - 1}): weights from {weights.min():.3g} to {weights.max():.3g} do not fit"
        f" {how.in_words} in {dtype}: they would be read as up to {reach[row, group]:.3g}; repair them, give"
        " the module a rule with `skip: true`, or choose another mode or a dtype of larger range"
    )


def _proven(parts: dict[str, Rows], rows: Rows, dtype: str, how: Quantization, row: int, group: int) -> bool:
    """Whether a group whose bounds look wrong is right: a search may leave the codes at the ends unused."""
    if not MODES[how.mode].has_biases:
        return False  # the greatest code that is used was read
    columns = slice(group * how.group_size, (group + 1) * how.group_size)
    bits = np.unpackbits(parts["weight"][row].view(np.uint8), bitorder="little").reshape(-1, how.bits)
    codes = bits[columns] @ (1 << np.arange(how.bits))
    scale, bias = (_floats(parts[leaf], dtype)[row, group] for leaf in ("scales", "biases"))
    weights = _floats(rows, dtype)[row, columns]
    with np.errstate(all="ignore"):
        read = _rounded(_rounded(scale * codes.astype(np.float32), dtype) + bias, dtype)
        near = np.abs(read - weights) <= np.abs(weights).max() + np.float32(2) * EPSILON
    return bool(near.all())


def _lines(parts: dict[str, Rows], dtype: str, how: Quantization, most: Rows) -> tuple[Rows, Rows]:
    """Of each group, the greatest magnitude that its scale and bias allow, and whether they are right.

    A weight is read as bias + code * scale, each step rounded to the dtype, which keeps the order: if the
    greatest code gives finite numbers, all do. Codes are the nearest, so a weight within the line's ends is
    off by at most a scale, and one beyond them by its distance to the nearer end. Both are near if the scale
    is not large, and the line passes or comes near to the weights.
    """
    scale, bias = _floats(parts["scales"], dtype), _floats(parts["biases"], dtype)
    product = _rounded(scale * np.float32(2**how.bits - 1), dtype)
    end = _rounded(product + bias, dtype)
    limit = TIMES * most + np.float32(2) * EPSILON  # the least scale, as any dtype rounds it
    nearer = np.where(np.sign(bias) == np.sign(end), np.minimum(np.abs(bias), np.abs(end)), 0)
    reach = np.maximum(np.abs(bias), np.abs(np.where(np.isfinite(product), end, product)))
    return reach, np.isfinite(reach) & (np.abs(scale) <= limit) & (nearer <= limit)


def _ordinary_lines(parts: dict[str, Rows], dtype: str, how: Quantization, most: Rows) -> bool:
    """Whether all groups are right by so much that the rounding of steps cannot matter: nearly always."""
    scales, biases = (bits_of(parts[leaf], dtype).reshape(-1) for leaf in ("scales", "biases"))
    far, steps = LARGEST[dtype] / np.float32(4), np.float32(2**how.bits - 1)
    return bool(are_ordinary_lines(scales, biases, KINDS[dtype], most.reshape(-1), far, steps))


def _small_floats(parts: dict[str, Rows], dtype: str, how: Quantization, most: Rows) -> tuple[Rows, Rows]:
    """Of each group, its stored weight of the greatest magnitude, and whether that is right.

    It stands for the source's greatest, as rounding keeps the order; so all others are nearer to 0.
    """
    numbers, scales = _magnitudes(how)
    codes = _greatest_codes(parts, how, most)
    reach = _rounded(numbers.take(codes) * scales.take(parts["scales"]), dtype)
    near = (reach <= TIMES * most + LEAST) & (reach >= most / TIMES - LEAST)
    return reach, np.isfinite(reach) & near


def _ordinary_small_floats(parts: dict[str, Rows], dtype: str, how: Quantization, most: Rows) -> bool:
    """As `_ordinary_lines`."""
    codes, scales = _greatest_codes(parts, how, most).reshape(-1), parts["scales"].reshape(-1)
    far = LARGEST[dtype] / np.float32(4)
    return bool(are_ordinary_small_floats(codes, scales, *_magnitudes(how), most.reshape(-1), far))


def _magnitudes(how: Quantization) -> tuple[Rows, Rows]:
    """The magnitude of each code of a weight, and of a scale."""
    return (
        E4M3_NUMBERS if how.bits == 8 else E2M1,
        E4M3_NUMBERS if how.group_size == 16 else E8M0_SCALES,
    )


def _greatest_codes(parts: dict[str, Rows], how: Quantization, most: Rows) -> Rows:
    codes = np.empty(most.shape, np.uint8)
    greatest_codes(parts["weight"].view(np.uint8), how.bits, how.group_size * how.bits // 8, codes)
    return codes


READERS = {"affine": (_ordinary_lines, _lines), "small_floats": (_ordinary_small_floats, _small_floats)}
"""For each of `quantize.KERNELS`: whether its groups are beyond doubt, and what reads them back if not."""


def _floats(rows: Rows, dtype: str) -> Rows:
    """Rows in storage form as float32; what is not finite stays so."""
    return cast(rows, dtype, "F32")


def _rounded(values: Rows, dtype: str) -> Rows:
    """Float32 rounded to a dtype."""
    return _floats(cast(values, "F32", dtype), dtype)


@compiled
def are_ordinary_lines(scales, biases, kind, most, far, steps):  # type: ignore
    """Whether stored lines [groups] stay within twice their groups' greatest magnitudes, and below `far`."""
    wrong = np.int32(0)
    for group in range(uint64(most.shape[0])):
        scale = abs(np.int32(wide(scales[group], kind)).view(np.float32))
        bias = abs(np.int32(wide(biases[group], kind)).view(np.float32))
        bound = min(np.float32(2) * most[group], far)
        right = bias <= bound and scale * steps <= np.float32(2) * bound
        wrong += np.int32(not right)
    return wrong == 0


@compiled
def are_ordinary_small_floats(codes, scales, numbers, factors, most, far):  # type: ignore
    """Whether the greatest stored weights [groups] are within half and twice the source's, and below `far`.

    `numbers` and `factors` are the magnitudes of the codes of weights and scales. The last factor is not
    finite, so a scale beyond it is refused, too.
    """
    wrong, last, spare = np.int32(0), np.uint8(len(factors) - 1), LEAST / np.float32(2)
    for group in range(uint64(most.shape[0])):
        reach = numbers[codes[group]] * factors[min(scales[group], last)]
        below = min(np.float32(2) * most[group] + spare, far)
        right = reach <= below and reach >= most[group] / np.float32(2) - spare
        wrong += np.int32(not right)
    return wrong == 0


@compiled
def greatest_codes(packed, bits, count, codes):  # type: ignore
    """The greatest code without its sign of each group of `count` bytes [n, bytes]: two in a byte, or one."""
    for i in range(uint64(codes.shape[0])):
        for group in range(uint64(codes.shape[1])):
            top = np.uint8(0)
            for j in range(group * uint64(count), (group + ONE) * uint64(count)):
                byte = packed[i, j]
                high = byte & np.uint8(0x7F) if bits == 8 else (byte >> np.uint8(4)) & np.uint8(7)
                low = high if bits == 8 else byte & np.uint8(7)
                top = max(top, max(high, low))
            codes[i, group] = top
