"""`search: gptq` in a conversion: the rounding's bytes for any chunks and workers; fallbacks are recorded."""

from contextlib import closing

import numpy as np
import pytest
from small_sources import header_of, params_of, raw, write_checkpoint

from voxbuild.convert import shard_writer
from voxbuild.convert import shards as module
from voxbuild.convert.rounding import rounding_of
from voxbuild.convert.shards import convert
from voxbuild.errors import ConvertError
from voxbuild.folders import Journal
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import Shards
from voxbuild.tensors import checkpoint
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.feedback import curvature, damping_of, round_rows
from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.quantize import quantize_rows
from voxbuild.tensors.search import search_rows
from voxbuild.tensors.second_moments import Heard, SecondMoments, input_of, save_second_moments
from voxrun.device import mx

PARAMS = params_of(dim=128, hidden=128, layers=1)
HEADER = header_of(PARAMS)
GATE, DOWN = "language_model.layers.0.mlp.gate_proj", "language_model.layers.0.mlp.down_proj"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A random checkpoint's path and its values by name."""
    path = tmp_path_factory.mktemp("source") / "consolidated.safetensors"
    return path, write_checkpoint(path, HEADER)


def plan_of(book, bits=4, group_size=64, **changes):
    quantize = Quantize(bits=bits, group_size=group_size, search="gptq")
    return make_plan(book.recipe("4bit").model_copy(update={"quantize": quantize, **changes}), HEADER, PARAMS)


@pytest.fixture(scope="module")
def moments(book, tmp_path_factory):
    """A file of second moments of correlated inputs for each matrix."""
    found = {}
    for tensor in plan_of(book, group_size=32).tensors:
        if tensor.quantization:
            name, n = input_of(tensor.module), tensor.shape[1]
            x = np.random.default_rng(sum(name.encode())).normal(size=(3 * n, n)) @ np.tri(n)
            found[name] = x.T @ x / len(x)
    path = tmp_path_factory.mktemp("moments") / "heard.safetensors"
    save_second_moments(path, found, Heard(2, 3.25))
    return path


def converted(plan, path, folder, of):
    """Convert with the moments that `of` gives for a module; return the files' hashes and the journal."""
    folder.mkdir()
    journal = Journal(folder, "once")
    with Checkpoint(path) as file, closing(OnePass(file, hashing=False)) as stream:
        return convert(plan, stream, journal, lambda done: None, {"matrix": of}), journal


@pytest.mark.parametrize(("bits", "group_size"), [(2, 64), (3, 32), (4, 128), (5, 64), (6, 32), (8, 64)])
def test_a_variant_holds_the_roundings_result(book, source, moments, tmp_path, bits, group_size):
    plan = plan_of(book, bits, group_size)
    with SecondMoments(moments) as file:
        converted(plan, source[0], tmp_path / "out", file.of)
        written = mx.load(str(tmp_path / "out/model.safetensors"))
        for tensor in plan.tensors:
            if how := tensor.quantization:
                rows = np.array(source[1][tensor.source].view(mx.uint16))
                cost = curvature(file.of(tensor.module), damping_of(tensor.module), group_size)
                for leaf, part in round_rows(rows, "BF16", how, cost).items():
                    assert raw(written[f"{tensor.module}.{leaf}"]) == part.tobytes(), (tensor.name, leaf)
    assert sum(1 for tensor in plan.tensors if tensor.quantization) > 10


@pytest.mark.parametrize(("workers", "chunk"), [(1, 1), (3, 4096), (8, 2**21)])
def test_the_bytes_depend_on_neither_workers_nor_chunks(
    book, source, moments, tmp_path, monkeypatch, workers, chunk
):
    plan = plan_of(book)
    with SecondMoments(moments) as file:
        expected, _ = converted(plan, source[0], tmp_path / "expected", file.of)
        monkeypatch.setattr(module, "cores", lambda: workers)
        monkeypatch.setattr("voxrun.parallel.cores", lambda: workers)
        monkeypatch.setattr(checkpoint, "CHUNK_BYTES", chunk)
        assert converted(plan, source[0], tmp_path / "out", file.of)[0] == expected


def indefinite(n):
    matrix = np.eye(n)
    matrix[0, 1] = matrix[1, 0] = 5
    return matrix


@pytest.mark.parametrize(
    ("unusable", "why"),
    [
        (lambda n: None, "the calibration has none"),
        (lambda n: np.zeros((n, n)), "no input, or not finite"),
        (lambda n: np.full((n, n), np.nan), "they are not finite"),
        (lambda n: np.eye(n - 1), "they are of another size"),
        (indefinite, "not positive definite"),
    ],
)
def test_a_matrix_without_usable_moments_is_rounded_by_mse_and_named(
    book, source, moments, tmp_path, unusable, why
):
    plan = plan_of(book)
    with SecondMoments(moments) as file:

        def of(name):
            return unusable(128) if name == DOWN else file.of(name)

        _, journal = converted(plan, source[0], tmp_path / "out", of)
    assert rounding_of(journal)["without_moments"] == {DOWN: why}
    down = next(tensor for tensor in plan.tensors if tensor.module == DOWN)
    rows = np.array(source[1][down.source].view(mx.uint16))
    written = mx.load(str(tmp_path / "out/model.safetensors"))
    for leaf, part in search_rows(rows, "BF16", Quantization("affine", 4, 64, "mse")).items():
        assert raw(written[f"{DOWN}.{leaf}"]) == part.tobytes()


def test_a_matrix_that_nothing_rounds_better_than_plainly_is_named(book, tmp_path, moments):
    """Weights that plain rounding stores exactly."""
    rows = np.tile(np.arange(64, dtype=np.float32) % 16 - 8, (128, 2))
    gate = next(tensor for tensor in plan_of(book).tensors if tensor.module == GATE)
    path = tmp_path / "exact.safetensors"
    write_checkpoint(path, HEADER, {gate.source: mx.array(rows).astype(mx.bfloat16)})
    with SecondMoments(moments) as file:
        _, journal = converted(plan_of(book), path, tmp_path / "out", file.of)
    facts = rounding_of(journal)
    assert facts["without_moments"] == {GATE: "no row is better than by plain rounding"}
    assert facts["plain_rows"][GATE] == 128
    stored = mx.load(str(tmp_path / "out/model.safetensors"))
    plain = quantize_rows(
        np.array(mx.array(rows).astype(mx.bfloat16).view(mx.uint16)), "BF16", gate.quantization
    )
    assert raw(stored[f"{GATE}.weight"]) == plain["weight"].tobytes()


def test_a_resumed_conversion_remembers_the_fallbacks_of_finished_shards(
    book, source, moments, tmp_path, monkeypatch
):
    plan = plan_of(book, shards=Shards(max_size="1MB"))
    first = next(tensor for tensor in plan.tensors if tensor.quantization).module
    from_shard_zero = {t.module for t in plan.tensors if t.shard == 0}
    assert first in from_shard_zero
    with SecondMoments(moments) as file:

        def of(name):
            return None if name == first else file.of(name)

        _, before = converted(plan, source[0], tmp_path / "out", of)
        again = Journal(tmp_path / "out", "once")
        with Checkpoint(source[0]) as weights, closing(OnePass(weights, hashing=False)) as stream:
            monkeypatch.setattr(shard_writer, "CheckpointWriter", None)  # nothing may be written again
            convert(plan, stream, again, lambda done: None, {"matrix": of})
    assert rounding_of(again) == rounding_of(before)
    assert list(rounding_of(again)["without_moments"]) == [first]


def test_moments_of_another_model_are_an_error(book, tmp_path):
    from voxbuild.convert.calibrated import check_second_moments

    save_second_moments(tmp_path / "other", {"encoder.other": np.eye(4)}, Heard(1, 1.0))
    with SecondMoments(tmp_path / "other") as file, pytest.raises(ConvertError, match="calibrate again"):
        check_second_moments(plan_of(book), file)


def test_a_plan_that_quantizes_nothing_needs_no_moments(book, tmp_path):
    """A large budget leaves all matrices as they are."""
    from voxbuild.convert.calibrated import check_second_moments

    save_second_moments(tmp_path / "none", {}, Heard(1, 1.0))
    plain = make_plan(book.recipe("4bit").model_copy(update={"quantize": None}), HEADER, PARAMS)
    with SecondMoments(tmp_path / "none") as file:
        check_second_moments(plain, file)


def test_second_moments_are_found_by_every_module_with_that_input(moments):
    with SecondMoments(moments) as file:
        query = file.of("language_model.layers.0.attention.q_proj")
        assert query.dtype == np.float64
        for name in ("k_proj", "v_proj"):
            assert np.array_equal(file.of(f"language_model.layers.0.attention.{name}"), query)
        assert np.array_equal(file.of(GATE), file.of(GATE.replace("gate", "up")))
        assert not np.array_equal(file.of(GATE), file.of(DOWN))
        assert file.of("language_model.layers.7.mlp.up_proj") is None
        assert file.heard == Heard(2, 3.2)
