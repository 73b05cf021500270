"""Names of tensors in upstream's files: the whole table, both ways."""

import pytest
from committed import CHECKPOINT
from small_models import mistral_name, small_params

from voxrun.config import ModelConfig
from voxrun.device import mx
from voxrun.dialects import MISTRAL, VOXMLX, recognise
from voxrun.model import parameter_shapes


def test_upstreams_names_are_exactly_our_parameters() -> None:
    upstream = mx.load(str(CHECKPOINT / "consolidated.safetensors"))
    names = [MISTRAL.canonical(name) for name in upstream]
    assert len(set(names)) == len(names)
    assert set(names) == parameter_shapes(ModelConfig.from_folder(CHECKPOINT)).keys()


@pytest.mark.parametrize("prefix", MISTRAL.prefixes)
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("tok_embeddings.weight", "language_model.embed_tokens.weight"),
        (
            "whisper_encoder.transformer.layers.31.attention.wq.bias",
            "encoder.layers.31.attention.q_proj.bias",
        ),
        ("whisper_encoder.conv_layers.1.conv.weight", "encoder.conv2.weight"),
        ("audio_language_projection.2.weight", "adapter.w_out.weight"),
    ],
)
def test_containers_are_stripped(prefix: str, theirs: str, ours: str) -> None:
    assert MISTRAL.canonical(prefix + theirs) == MISTRAL.canonical(theirs) == ours


@pytest.mark.parametrize(
    "name",
    ["layers.x.attention.wq.weight", "layers.0.attention.wq.gain", "xlayers.0.ffn_norm.weight", "norm"],
)
def test_other_names_are_unknown(name: str) -> None:
    assert MISTRAL.canonical(name) is None


def test_layouts_are_told_apart_by_their_names() -> None:
    ours = parameter_shapes(ModelConfig.from_dict(small_params()))
    assert recognise(ours) is VOXMLX
    assert recognise(map(mistral_name, ours)) is MISTRAL


def test_only_mistrals_convolutions_are_transposed() -> None:
    assert MISTRAL.transposes("encoder.conv2.weight")
    assert not MISTRAL.transposes("encoder.conv2.bias")
    assert not MISTRAL.transposes("adapter.w_in.weight")
    assert not VOXMLX.transposes("encoder.conv2.weight")
