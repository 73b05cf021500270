"""LoRA adapters: what PEFT's files say is merged, to the bit; everything else is refused in one line.

tests/oracle/test_peft.py compares with PEFT itself.
"""

import json

import numpy as np
import pytest
from adapters import peft_path, write_adapter, write_config, write_tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sources import params_of

from voxbuild.errors import CheckpointError
from voxbuild.tensors.adapter import Update, read_adapter
from voxbuild.tensors.adapter_config import read_config
from voxbuild.tensors.low_rank import merge
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import MISTRAL, TRANSFORMERS

CONFIG = ModelConfig.from_dict(params_of())
QUERY, DOWN = "language_model.layers.1.attention.q_proj", "encoder.layers.0.mlp.down_proj"
MODULES = [QUERY, DOWN, "adapter.w_in", "language_model.layers.0.ada_norm.linear_out"]
PATH = "model.language_model.layers.1.self_attn.q_proj"


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(0, 0.1, shape).astype(np.float32)


def by_definition(rows, a, b, scale):
    """rows + (b @ a) * scale: one fused step for each rank, each result rounded to float32."""
    total = np.zeros(rows.shape, np.float32)
    for k in range(len(a)):
        exact = b[:, k, None].astype(np.float64) * a[k].astype(np.float64)
        total = (exact + total.astype(np.float64)).astype(np.float32)
    return rows + total * np.float32(scale)


def refusal(folder):
    """What the adapter is refused with: one line that begins with a path in its folder."""
    with pytest.raises(CheckpointError) as caught:
        dict(read_adapter(folder, CONFIG).updates)
    message = str(caught.value)
    assert message.startswith(str(folder)) and "\n" not in message
    return message.removeprefix(str(folder))


@pytest.mark.parametrize("rank", [1, 3, 4, 8, 16, 37])
def test_the_product_is_summed_in_order_with_fused_steps(rank):
    rows, a, b = random(23, 45), random(rank, 45), random(23, rank, seed=1)
    merged = merge(rows, 0, Update(a, b, 1.7))
    assert np.array_equal(merged, by_definition(rows, a, b, 1.7))


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 40), st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_rows_merged_in_chunks_are_the_rows_merged_at_once(rank, columns, sizes):
    ends = np.cumsum(sizes)
    rows = random(int(ends[-1]), columns)
    update = Update(random(rank, columns), random(len(rows), rank, seed=1), 0.5)
    parts = [merge(rows[end - n : end], int(end) - n, update) for n, end in zip(sizes, ends, strict=True)]
    assert np.array_equal(np.concatenate(parts), merge(rows, 0, update))


def test_a_read_only_source_is_merged_and_stays_as_it_is():
    stored = random(4, 6).tobytes()
    rows = np.frombuffer(stored, np.float32).reshape(4, 6)
    merged = merge(rows, 0, Update(random(2, 6), random(4, 2), 1.0))
    assert not np.array_equal(merged, rows) and rows.tobytes() == stored


@pytest.mark.parametrize(("shape", "first"), [((3, 6), 2), ((2, 5), 0), ((1, 6), 4)])
def test_rows_of_another_matrix_are_not_merged(shape, first):
    """The compiled loop checks no bounds."""
    with pytest.raises(AssertionError, match="not rows of the update's matrix"):
        merge(random(*shape), first, Update(random(2, 6), random(4, 2), 1.0))


def test_an_adapter_as_peft_saves_it_is_read_in_our_layout(tmp_path):
    pairs = write_adapter(tmp_path, CONFIG, MODULES, rank=4, alpha=6)
    adapter = read_adapter(tmp_path, CONFIG)
    assert set(adapter.updates) == set(MODULES)
    assert QUERY in adapter.updates and QUERY.replace("1", "0") not in adapter.updates
    for module, update in adapter.updates.items():
        a, b = pairs[module]
        assert np.array_equal(update.a, a) and np.array_equal(update.b, b), module
        assert update.scale == 1.5
    assert json.loads(json.dumps(adapter.about)) == {
        "modules": 4,
        "kinds": ["adapter", "decoder ada_norm", "decoder attention", "encoder mlp"],
        "ranks": [4],
        "alphas": [6],
        "rslora": False,
    }


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_factors_of_each_dtype_become_float32(tmp_path, dtype):
    a, b = random(2, CONFIG.encoder.hidden_dim), random(CONFIG.encoder.dim, 2)
    narrow = {
        "F32": lambda x: x,
        "F16": lambda x: x.astype(np.float16),
        "BF16": lambda x: (x.view(np.uint32) >> 16).astype(np.uint16),
    }[dtype]
    widened = {
        "F32": lambda x: x,
        "F16": lambda x: x.astype(np.float16).astype(np.float32),
        "BF16": lambda x: (x.view(np.uint32) >> 16 << 16).view(np.float32),
    }[dtype]
    write_config(tmp_path, {"r": 2, "lora_alpha": 2})
    path = f"base_model.model.{peft_path(DOWN)}"
    write_tensors(tmp_path, {f"{path}.lora_A.weight": narrow(a), f"{path}.lora_B.weight": narrow(b)})
    update = read_adapter(tmp_path, CONFIG).updates[DOWN]
    assert np.array_equal(update.a, widened(a)) and np.array_equal(update.b, widened(b))


@pytest.mark.parametrize(
    ("path", "end", "in_halves"),
    [
        (f"base_model.model.{PATH}", "weight", True),
        (f"base_model.model.{PATH}", "default.weight", True),
        (PATH, "weight", True),
        (TRANSFORMERS.native_module(QUERY), "weight", True),
        (MISTRAL.native_module(QUERY), "weight", False),
        (f"base_model.model.{QUERY}", "weight", False),
        (f"base_model.model._orig_mod.{PATH}", "weight", True),
        (f"module.base_model.model.{PATH}", "weight", True),
    ],
)
def test_names_of_any_dialect_are_known_with_their_layout(tmp_path, path, end, in_halves):
    rows = CONFIG.decoder.n_heads * CONFIG.decoder.head_dim
    a, b = random(2, CONFIG.decoder.dim), random(rows, 2)
    write_config(tmp_path, {"r": 2, "lora_alpha": 2})
    write_tensors(tmp_path, {f"{path}.lora_A.{end}": a, f"{path}.lora_B.{end}": b})
    update = read_adapter(tmp_path, CONFIG).updates[QUERY]
    assert np.array_equal(update.b, TRANSFORMERS.inward(f"{QUERY}.weight", b, CONFIG) if in_halves else b)


@pytest.mark.parametrize(
    ("keys", "rank", "scale"),
    [
        ({}, 4, 8 / 4),
        ({"lora_alpha": 6.5}, 4, 6.5 / 4),
        ({"use_rslora": True}, 4, 8 / 2),
        ({"rank_pattern": {"q_proj": 2}}, 2, 8 / 2),
        ({"rank_pattern": {"proj": 2}}, 4, 8 / 4),
        ({"rank_pattern": {PATH: 2, "q_proj": 8}, "alpha_pattern": {"k_proj": 1}}, 2, 8 / 2),
        ({"rank_pattern": {f"^{PATH}": 2}}, 2, 8 / 2),
        ({"rank_pattern": {"^q_proj": 2}}, 4, 8 / 4),
        ({"alpha_pattern": {r"layers\.[1-3]\..*_proj": 2}}, 4, 2 / 4),
        ({"alpha_pattern": {r"layers\.(?:0|1)\.self_attn\.(q|v)_proj": 2}}, 4, 2 / 4),
        ({"alpha_pattern": {r"layers\.\d+": 2}}, 4, 8 / 4),
        ({"rank_pattern": {"q_proj": 16}, "alpha_pattern": {"q_proj": 2}, "use_rslora": True}, 16, 2 / 4),
        ({"rank_pattern": None, "alpha_pattern": {}}, 4, 8 / 4),
    ],
)
def test_rank_and_scale_are_those_of_the_first_pattern_that_matches(tmp_path, keys, rank, scale):
    write_config(tmp_path, {"r": 4, "lora_alpha": 8} | keys)
    lora = read_config(tmp_path)
    assert (lora.rank(PATH), lora.scale(PATH)) == (rank, scale)


def test_keys_that_change_nothing_are_accepted(tmp_path):
    harmless = {
        "auto_mapping": {"base_model_class": "X", "parent_library": "y"},
        "base_model_name_or_path": "/home/me/voxtral",
        "inference_mode": True,
        "init_lora_weights": "gaussian",
        "layers_to_transform": [1],
        "lora_dropout": 0.1,
        "modules_to_save": None,
        "loftq_config": {},
        "something_new": False,
        "target_modules": ["q_proj", "query_key_value"],
    }
    write_adapter(tmp_path, CONFIG, [QUERY], **harmless)
    assert list(read_adapter(tmp_path, CONFIG).updates) == [QUERY]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"peft_type": "LOKR"}, "peft_type is 'LOKR', not 'LORA'; merge it with peft's merge_and_unload"),
        ({"peft_type": None}, "peft_type is None"),
        ({"use_dora": True}, "'use_dora' is True; only plain LoRA"),
        ({"bias": "all"}, "'bias' is 'all'"),
        ({"lora_bias": True}, "'lora_bias' is True"),
        ({"fan_in_fan_out": True}, "'fan_in_fan_out' is True"),
        ({"modules_to_save": ["lm_head"]}, "'modules_to_save' is ['lm_head']"),
        ({"trainable_token_indices": [3]}, "'trainable_token_indices' is [3]"),
        ({"layer_replication": [[0, 2]]}, "'layer_replication'"),
        ({"alora_invocation_tokens": [1]}, "'alora_invocation_tokens'"),
        ({"init_lora_weights": "pissa_niter_4"}, "'init_lora_weights' is 'pissa_niter_4'"),
        ({"invented\nlater": "x"}, "'invented\\nlater' is 'x'; only plain LoRA"),
        ({"r": "4"}, "'r' is '4'"),
        ({"r": 0}, "'r' is 0"),
        ({"r": True}, "'r' is True"),
        ({"r": 10**6}, "'r' is 1000000"),
        ({"r": 10**300}, "'r' is 1000"),
        ({"lora_alpha": 0}, "'lora_alpha' is 0"),
        ({"lora_alpha": 10**390}, "'lora_alpha' is 1000"),
        ({"lora_alpha": [8]}, "'lora_alpha' is [8]"),
        ({"use_rslora": 1}, "'use_rslora' is 1"),
        ({"rank_pattern": {"q_proj": -1}}, "'rank_pattern.q_proj' is -1"),
        ({"alpha_pattern": ["q_proj"]}, "'alpha_pattern' is ['q_proj']"),
        ({"rank_pattern": {"(q_proj": 4}}, "'(q_proj' is no module's name or simple pattern"),
        ({"rank_pattern": {r"(a+)+": 4}}, "'(a+)+' is no module's name or simple pattern"),
        ({"rank_pattern": {r"(?=a)": 4}}, "'(?=a)' is no module's name or simple pattern"),
        ({"rank_pattern": {r"(a)\1": 4}}, "is no module's name or simple pattern"),
        ({"rank_pattern": {"(?i)q_proj": 4}}, "is no module's name or simple pattern"),
        ({"rank_pattern": {".*.*.*.*x": 4}}, "take too long to match"),
        ({"alpha_pattern": {"(a|a)" * 21: 4}}, "take too long to match"),
        ({"target_modules": 3}, "is 3"),
        (
            {"target_modules": ["q_proj", "down_proj"]},
            "it targets 'down_proj', but adapter_model.safetensors",
        ),
        (
            {"target_modules": ["q_proj", "model.language_model.layers.0.mlp.up_proj"]},
            "it targets 'model.lan",
        ),
        ({"target_modules": ["v_proj"]}, f"its target_modules do not name '{PATH}'"),
    ],
)
def test_what_the_configuration_says_beyond_plain_lora_is_refused(tmp_path, keys, said):
    write_adapter(tmp_path, CONFIG, [QUERY], **keys)
    message = refusal(tmp_path)
    assert message.startswith("/adapter_config.json: ") and said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty; download it again"),
        ("[]", "a JSON object was expected, not list"),
        ('{"r": NaN}', "NaN is no JSON number"),
        ('{"r": 1, "r": 2}', "twice"),
        ('{"peft_type": "LORA", "lora_alpha": 8}', "the key 'r' is missing"),
        ('{"r": 4, "lora_alpha": 8}', "the key 'peft_type' is missing"),
        ('{"fine_tune_type": "lora", "lora_parameters": {"rank": 8, "scale": 20.0}}', "it is mlx-lm's; fuse"),
    ],
)
def test_a_configuration_that_is_none_is_refused(tmp_path, content, said):
    write_adapter(tmp_path, CONFIG, [QUERY])
    (tmp_path / "adapter_config.json").write_text(content, encoding="utf-8")
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    ("missing", "there", "said"),
    [
        ("adapter_config.json", None, "there is no adapter_config.json; an adapter is the folder that"),
        ("adapter_config.json", "lora.safetensors", '"lora_alpha": its rank times its scaling'),
        ("adapter_model.safetensors", None, "there is adapter_config.json, but no adapter_model.safetensors"),
        ("adapter_model.safetensors", "adapter_model.bin", "save it as safetensors"),
    ],
)
def test_a_missing_file_is_named_with_what_to_do(tmp_path, missing, there, said):
    write_adapter(tmp_path, CONFIG, [QUERY])
    (tmp_path / missing).unlink()
    if there:
        (tmp_path / there).write_bytes(b"")
    assert said in refusal(tmp_path)


NAME = f"base_model.model.{PATH}"
A, B = random(4, CONFIG.decoder.dim), random(CONFIG.decoder.n_heads * CONFIG.decoder.head_dim, 4)
GOOD = {f"{NAME}.lora_A.weight": A, f"{NAME}.lora_B.weight": B}
EMBEDDING = "base_model.model.model.language_model.embed_tokens"
CONVOLUTION = "base_model.model.model.audio_tower.embedder.conv1"
INFINITE = np.where(A > 0.2, np.float32(np.inf), A)


def pair(path, a=A, b=B):
    return {f"{path}.lora_A.weight": a, f"{path}.lora_B.weight": b}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "it holds no tensors; nothing would be merged"),
        ({f"{NAME}.lora_A.weight": A}, f"'{PATH}' has no lora_B; the adapter is incomplete"),
        ({f"{NAME}.lora_B.weight": B}, f"'{PATH}' has no lora_A"),
        (
            GOOD | {f"{NAME}.lora_A.weight": A[:2]},
            "instead of [4, 128] for rank 4, as adapter_config.json says",
        ),
        (
            GOOD | {f"{NAME}.lora_B.weight": B[:-1]},
            f"lora_B of '{PATH}' has the shape [127, 4] instead of [128, 4]",
        ),
        (GOOD | {f"{NAME}.lora_A.weight": A.reshape(-1)}, "has the shape [512] instead of"),
        (
            pair(NAME.replace("layers.1", "layers.7")),
            "is no module of this model (taken for names of transformers)",
        ),
        (pair(NAME.replace("layers.1", "layers.01")), "is no module of this model"),
        (pair("base_model.model.transformer.h.0.attn.c_attn"), "is no module of this model"),
        (
            pair("base_model.model.model.language_model.norm"),
            "is a convolution or a norm; merge it with peft's",
        ),
        (
            pair(CONVOLUTION, random(4, 128, 3), random(64, 4, 1)),
            "is a convolution or a norm; merge it with peft's",
        ),
        (pair("base_model.model.lm_head"), "changes the embedding or the head alone"),
        (pair(EMBEDDING), "changes the embedding or the head alone"),
        ({f"{EMBEDDING}.lora_embedding_A": A}, "train without embed_tokens and lm_head"),
        (GOOD | {f"{EMBEDDING}.base_layer.weight": A}, "changes the embedding or the head alone"),
        (GOOD | {f"{NAME}.lora_magnitude_vector.weight": A[0]}, "is no matrix lora_A or lora_B; merge it"),
        (GOOD | {f"{NAME}.lora_B.bias": A[0]}, "is no matrix lora_A or lora_B"),
        (GOOD | {f"{NAME}.bias": A[0]}, "is no matrix lora_A or lora_B"),
        ({f"{QUERY}.lora_a": A.T, f"{QUERY}.lora_b": B.T}, "is mlx-lm's layout; fuse the adapter there"),
        (GOOD | {f"{NAME}.lora_A.other.weight": A}, f"lora_A of '{PATH}' is there twice"),
        (GOOD | {f"{PATH}.lora_A.weight": A}, "is there twice"),
        (GOOD | pair(TRANSFORMERS.native_module(QUERY)), "is there twice, as"),
        (pair(f"{PATH}") | {f"{peft_path(DOWN)}.lora_A.other.weight": A}, "it holds 2 adapters"),
        (GOOD | {f"{NAME}.lora_A.weight": A.view(np.uint32)}, "is U32; it must be F32, F16, BF16"),
        (
            GOOD | {f"{NAME}.lora_A.weight": INFINITE},
            f"lora_A of '{PATH}' has a value that is not finite",
        ),
    ],
)
def test_tensors_that_cannot_be_merged_are_refused_by_name(tmp_path, tensors, said):
    write_config(tmp_path, {"r": 4, "lora_alpha": 8})
    write_tensors(tmp_path, tensors)
    message = refusal(tmp_path)
    assert message.startswith("/adapter_model.safetensors: ")
    assert said in message


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:40]])
def test_a_damaged_file_is_refused(tmp_path, damage):
    write_adapter(tmp_path, CONFIG, [QUERY])
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    refusal(tmp_path)


def test_a_file_that_changes_after_it_was_opened_is_refused(tmp_path):
    write_adapter(tmp_path, CONFIG, [QUERY])
    updates = read_adapter(tmp_path, CONFIG).updates
    write_adapter(tmp_path, CONFIG, [QUERY, DOWN])
    assert QUERY in updates
    with pytest.raises(CheckpointError, match="it changed while it was read"):
        updates[QUERY]
