"""How other files name this architecture's tensors, as data: one table a dialect.

Our own names (the "canonical" ones) are voxmlx's. Each row pairs a canonical module with the dialect's;
`{i}` is the layer. What follows the module (weight, bias, scales, biases) is the same in all dialects.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

CONV_WEIGHT = re.compile(r"encoder\.conv\d\.weight")


@dataclass(frozen=True)
class Dialect:
    """A naming scheme. A dialect without rows uses the canonical names."""

    name: str
    rows: tuple[tuple[str, str], ...] = ()
    prefixes: tuple[str, ...] = ()
    """Containers that some files put before their own names."""
    ignored: tuple[str, ...] = ()
    """Tensors that carry nothing of their own, such as a tied head."""
    transposed_convolutions: bool = False
    """True if convolutions are stored [out, in, k]; MLX wants [out, k, in] (contract step 4)."""

    def canonical(self, name: str) -> str | None:
        """Our name of a tensor, or None if the dialect does not know it."""
        bare = next((name[len(p) :] for p in self.prefixes if name.startswith(p)), name)
        return _renamed(bare, [(theirs, ours) for ours, theirs in self.rows]) if self.rows else bare

    def native(self, canonical: str) -> str:
        """The dialect's name, without any prefix, of a tensor that we know. Raises KeyError."""
        name = _renamed(canonical, self.rows) if self.rows else canonical
        if name is None:
            raise KeyError(canonical)
        return name

    def transposes(self, canonical: str) -> bool:
        """Whether the axes 1 and 2 of this tensor must be swapped."""
        return self.transposed_convolutions and CONV_WEIGHT.fullmatch(canonical) is not None


def _renamed(name: str, rows: Iterable[tuple[str, str]]) -> str | None:
    for old, new in rows:
        if match := _pattern(old).fullmatch(name):
            return f"{new.format(i=match.groupdict().get('i'))}.{match['leaf']}"
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    module = re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)")
    return re.compile(rf"{module}\.(?P<leaf>weight|bias|scales|biases)")


def _block(ours: str, theirs: str) -> tuple[tuple[str, str], ...]:
    leaves = (
        ("attn_norm", "attention_norm"),
        ("attention.q_proj", "attention.wq"),
        ("attention.k_proj", "attention.wk"),
        ("attention.v_proj", "attention.wv"),
        ("attention.o_proj", "attention.wo"),
        ("ffn_norm", "ffn_norm"),
        ("mlp.gate_proj", "feed_forward.w1"),
        ("mlp.down_proj", "feed_forward.w2"),
        ("mlp.up_proj", "feed_forward.w3"),
    )
    return tuple((f"{ours}.{a}", f"{theirs}.{b}") for a, b in leaves)


VOXMLX = Dialect("voxmlx")

MISTRAL = Dialect(
    "mistral",
    rows=(
        ("encoder.conv1", "whisper_encoder.conv_layers.0.conv"),
        ("encoder.conv2", "whisper_encoder.conv_layers.1.conv"),
        *_block("encoder.layers.{i}", "whisper_encoder.transformer.layers.{i}"),
        ("encoder.norm", "whisper_encoder.transformer.norm"),
        ("adapter.w_in", "audio_language_projection.0"),
        ("adapter.w_out", "audio_language_projection.2"),
        ("language_model.embed_tokens", "tok_embeddings"),
        *_block("language_model.layers.{i}", "layers.{i}"),
        ("language_model.layers.{i}.ada_norm.linear_in", "layers.{i}.ada_rms_norm_t_cond.0"),
        ("language_model.layers.{i}.ada_norm.linear_out", "layers.{i}.ada_rms_norm_t_cond.2"),
        ("language_model.norm", "norm"),
    ),
    prefixes=("mm_streams_embeddings.embedding_module.", "mm_whisper_embeddings."),
    ignored=("output.weight",),
    transposed_convolutions=True,
)


def recognise(names: Iterable[str]) -> Dialect:
    """The dialect of a file: ours if a name starts with one of our modules, else Mistral's."""
    names = list(names)
    if any(name.startswith(("language_model.", "adapter.", "encoder.")) for name in names):
        return VOXMLX
    return MISTRAL
