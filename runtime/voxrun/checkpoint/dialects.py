"""How each tool names and lays out the tensors: one table a dialect, and its place in DIALECTS.

Our own names (the "canonical" ones) are voxmlx's. Each row pairs a canonical module with the dialect's;
`{i}` is the layer. What follows the module (weight, bias, scales, biases) is the same in all dialects.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .config import ModelConfig

LEAVES = ("weight", "bias", "scales", "biases")
MOST_PARTS = 16
"""Parts of a name; the longest in any dialect has nine."""
CONV_WEIGHT = re.compile(r"encoder\.conv\d\.weight")
ROTATED = re.compile(r"(encoder|language_model)\.layers\.\d+\.attention\.[qk]_proj\.\w+")

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dialect:
    """A naming scheme and two properties of the layout."""

    name: str
    rows: Rows
    prefixes: tuple[str, ...] = ()
    """Prefixes that some files put before these names."""
    ignored: tuple[str, ...] = ()
    """Tensors that are copies of others, such as a tied head."""
    transposed_convolutions: bool = False
    """True if convolutions are stored [out, in, k]; MLX wants [out, k, in] (contract step 4)."""
    rotary_halves: bool = False
    """True if the rows of each query and key head are stored in two halves; ours are in rotary pairs."""

    def canonical(self, name: str) -> str | None:
        """Our name of a tensor, or None if it is not in the dialect."""
        return _renamed(self.bare(name), self._ours)

    def native(self, canonical: str) -> str:
        """The dialect's name of one of our tensors, without a prefix. Raises KeyError."""
        name = _renamed(canonical, self._theirs)
        if name is None:
            raise KeyError(canonical)
        return name

    def canonical_module(self, path: str) -> str | None:
        """Our name of a module, or None if it is not in the dialect."""
        return _renamed_module(self.bare(path), self._ours)

    def native_module(self, canonical: str) -> str:
        """The dialect's path of one of our modules. Raises KeyError."""
        path = _renamed_module(canonical, self._theirs)
        if path is None:
            raise KeyError(canonical)
        return path

    def native_modules(self, canonical: str) -> list[str]:
        """All paths of one of our modules: transformers has one in its files and one in memory."""
        readings = dict(_readings(canonical))
        return [theirs.format(i=readings[ours]) for ours, theirs in self.rows if ours in readings]

    def transposes(self, canonical: str) -> bool:
        """Whether the axes 1 and 2 of this tensor must be swapped."""
        return self.transposed_convolutions and CONV_WEIGHT.fullmatch(canonical) is not None

    def permuted_heads(self, canonical: str, config: ModelConfig) -> int:
        """The rows of each head if this tensor's must be reordered, else 0."""
        match = ROTATED.fullmatch(canonical) if self.rotary_halves else None
        if match is None:
            return 0
        return (config.encoder if match[1] == "encoder" else config.decoder).head_dim

    def inward(self, canonical: str, tensor: Any, config: ModelConfig) -> Any:
        """A stored tensor (MLX's or NumPy's) in our layout.

        Raises ValueError or IndexError if its shape cannot be this tensor's.
        """
        if self.transposes(canonical):
            return tensor.swapaxes(1, 2)
        head_dim = self.permuted_heads(canonical, config)
        return pairs_from_halves(tensor, head_dim) if head_dim else tensor

    def outward(self, canonical: str, tensor: Any, config: ModelConfig) -> Any:
        """One of our tensors in the dialect's layout: the inverse of `inward`, with the same errors."""
        if self.transposes(canonical):
            return tensor.swapaxes(1, 2)
        head_dim = self.permuted_heads(canonical, config)
        return halves_from_pairs(tensor, head_dim) if head_dim else tensor

    def bare(self, name: str) -> str:
        """A name without one of the dialect's prefixes."""
        return next((name[len(p) :] for p in self.prefixes if name.startswith(p)), name)

    @cached_property
    def _ours(self) -> dict[str, str]:
        return {theirs: ours for ours, theirs in self.rows}

    @cached_property
    def _theirs(self) -> dict[str, str]:
        return dict(reversed(self.rows))  # of two names for one module, the first


def pairs_from_halves(rows: Any, head_dim: int) -> Any:
    """Rows [heads * head_dim, ...], each head's in two halves -> in interleaved pairs.

    Quantized rows are moved unchanged, with their scales and biases: a group lies within one row.
    """
    return rows.reshape(-1, 2, head_dim // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def halves_from_pairs(rows: Any, head_dim: int) -> Any:
    """The inverse of `pairs_from_halves`."""
    return rows.reshape(-1, head_dim // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _renamed(name: str, table: Mapping[str, str]) -> str | None:
    path, _, leaf = name.rpartition(".")
    module = _renamed_module(path, table) if leaf in LEAVES else None
    return module and f"{module}.{leaf}"


def _renamed_module(path: str, table: Mapping[str, str]) -> str | None:
    for template, layer in _readings(path):
        if template in table:
            return table[template].format(i=layer)
    return None


def _readings(path: str) -> Iterator[tuple[str, str]]:
    """The path itself, and with each of its numbers in turn as the layer."""
    yield path, ""
    parts = path.split(".") if path.count(".") < MOST_PARTS else []  # bounds the time
    for i, part in enumerate(parts):
        if part.isdecimal():
            yield ".".join([*parts[:i], "{i}", *parts[i + 1 :]]), part


def _layers(ours: str, theirs: str, leaves: Rows) -> Rows:
    return tuple((f"{ours}.{a}", f"{theirs}.{b}") for a, b in leaves)


def _mlp(gate: str, down: str, up: str) -> Rows:
    return ("mlp.gate_proj", gate), ("mlp.down_proj", down), ("mlp.up_proj", up)


_MISTRAL_ATTENTION = (
    ("attn_norm", "attention_norm"),
    ("attention.q_proj", "attention.wq"),
    ("attention.k_proj", "attention.wk"),
    ("attention.v_proj", "attention.wv"),
    ("attention.o_proj", "attention.wo"),
    ("ffn_norm", "ffn_norm"),
)
_MISTRAL_BLOCK = _MISTRAL_ATTENTION + _mlp("feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
_MISTRAL_ADA_NORM = (
    ("ada_norm.linear_in", "ada_rms_norm_t_cond.0"),
    ("ada_norm.linear_out", "ada_rms_norm_t_cond.2"),
)

MISTRAL = Dialect(
    "mistral",
    rows=(
        ("encoder.conv1", "whisper_encoder.conv_layers.0.conv"),
        ("encoder.conv2", "whisper_encoder.conv_layers.1.conv"),
        *_layers("encoder.layers.{i}", "whisper_encoder.transformer.layers.{i}", _MISTRAL_BLOCK),
        ("encoder.norm", "whisper_encoder.transformer.norm"),
        ("adapter.w_in", "audio_language_projection.0"),
        ("adapter.w_out", "audio_language_projection.2"),
        ("language_model.embed_tokens", "tok_embeddings"),
        *_layers("language_model.layers.{i}", "layers.{i}", _MISTRAL_BLOCK + _MISTRAL_ADA_NORM),
        ("language_model.norm", "norm"),
    ),
    prefixes=("mm_streams_embeddings.embedding_module.", "mm_whisper_embeddings."),
    ignored=("output.weight",),
    transposed_convolutions=True,
)

VOXMLX = Dialect("voxmlx", rows=tuple((ours, ours) for ours, _ in MISTRAL.rows))

_MLX_AUDIO_BLOCK = _MISTRAL_ATTENTION + _mlp("feed_forward_w1", "feed_forward_w2", "feed_forward_w3")
_MLX_AUDIO_ADA_NORM = (
    ("ada_norm.linear_in", "ada_rms_norm_t_cond.ada_down"),
    ("ada_norm.linear_out", "ada_rms_norm_t_cond.ada_up"),
)

MLX_AUDIO = Dialect(
    "mlx-audio",
    rows=(
        ("encoder.conv1", "encoder.conv_layers_0_conv.conv"),
        ("encoder.conv2", "encoder.conv_layers_1_conv.conv"),
        *_layers("encoder.layers.{i}", "encoder.transformer_layers.{i}", _MLX_AUDIO_BLOCK),
        ("encoder.norm", "encoder.transformer_norm"),
        ("adapter.w_in", "encoder.audio_language_projection_0"),
        ("adapter.w_out", "encoder.audio_language_projection_2"),
        ("language_model.embed_tokens", "decoder.tok_embeddings"),
        *_layers("language_model.layers.{i}", "decoder.layers.{i}", _MLX_AUDIO_BLOCK + _MLX_AUDIO_ADA_NORM),
        ("language_model.norm", "decoder.norm"),
    ),
)

_TRANSFORMERS_BLOCK = (
    ("attention.q_proj", "self_attn.q_proj"),
    ("attention.k_proj", "self_attn.k_proj"),
    ("attention.v_proj", "self_attn.v_proj"),
    ("attention.o_proj", "self_attn.o_proj"),
    *_mlp("mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"),
)
_TRANSFORMERS_ENCODER_NORMS = (
    ("attn_norm", "self_attn_layer_norm"),
    ("ffn_norm", "final_layer_norm"),
)
_TRANSFORMERS_DECODER_NORMS = (
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ada_norm.linear_in", "ada_rms_norm.linear1"),
    ("ada_norm.linear_out", "ada_rms_norm.linear2"),
)


def _transformers(model: str, decoder: str) -> Rows:
    """`model` stands before the encoder and the projector, `decoder` is the path of the language model."""
    encoder, projector = f"{model}audio_tower", f"{model}multi_modal_projector"
    encoder_block = _TRANSFORMERS_BLOCK + _TRANSFORMERS_ENCODER_NORMS
    decoder_block = _TRANSFORMERS_BLOCK + _TRANSFORMERS_DECODER_NORMS
    return (
        ("encoder.conv1", f"{encoder}.embedder.conv1"),
        ("encoder.conv2", f"{encoder}.embedder.conv2"),
        *_layers("encoder.layers.{i}", f"{encoder}.layers.{{i}}", encoder_block),
        ("encoder.norm", f"{encoder}.norm"),
        ("adapter.w_in", f"{projector}.linear_1"),
        ("adapter.w_out", f"{projector}.linear_2"),
        ("language_model.embed_tokens", f"{decoder}.embed_tokens"),
        *_layers("language_model.layers.{i}", f"{decoder}.layers.{{i}}", decoder_block),
        ("language_model.norm", f"{decoder}.norm"),
    )


TRANSFORMERS = Dialect(
    "transformers",
    rows=(
        *_transformers("", "language_model.model"),  # in its files
        *_transformers("model.", "model.language_model"),  # in memory, and so in PEFT's adapters
    ),
    ignored=("lm_head.weight", "language_model.lm_head.weight"),
    transposed_convolutions=True,
    rotary_halves=True,
)

DIALECTS = (VOXMLX, MISTRAL, MLX_AUDIO, TRANSFORMERS)


def recognise(names: Iterable[str]) -> Dialect:
    """The dialect with the most of a file's names; ours if no dialect has any."""
    names = list(names)
    return max(DIALECTS, key=lambda dialect: sum(dialect.canonical(name) is not None for name in names))
