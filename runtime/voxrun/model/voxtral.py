"""The whole network; where audio and weights come from is not its concern."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx, nn, tree_flatten

from .cache import KVCache
from .decoder import Gains, LanguageModel
from .encoder import Adapter, Encoder, EncoderState
from .functions import joined
from .layers import Attention, FeedForward, new_cache, spans_of


@dataclass(frozen=True)
class DecoderRows:
    """The next rows of one stream for the decoder."""

    tokens: Any
    """[n]: a list, or MLX's array, which may not be evaluated yet."""
    audio: Any
    """Embeddings [1, n, dim] at the same positions."""
    gains: Gains
    caches: list[KVCache]


class VoxtralRealtime(nn.Module):
    """Encoder, adapter and language model; parameter names are voxmlx's.

    Its weights are arbitrary until `voxrun.model.load` fills them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.adapter = Adapter(config)
        self.language_model = LanguageModel(config)
        self._config = config
        self._dtype = mx.float32
        self._in_numpy = False
        self._gains: dict[int, Gains] = {}

    @property
    def config(self) -> ModelConfig:
        """The sizes."""
        return self._config

    @property
    def dtype(self) -> mx.Dtype:
        """The type of activations."""
        return self._dtype

    def compute_in_numpy(self, really: bool = True) -> None:
        """Activations are NumPy's arrays from now on, or MLX's; all layers must take them."""
        self._in_numpy = really
        self._gains.clear()

    def compute_in(self, dtype: mx.Dtype) -> None:
        """Compute activations in `dtype`; floating parameters, scales included, are converted to it."""
        self.set_dtype(dtype)
        self._dtype = dtype

    def fuse(self) -> None:
        """Compute products of the same input together, where their matrices are stored alike.

        For MLX's products: their number counts on a GPU. The matrices get other names, and are made here.
        """
        for layer in self.modules():
            if isinstance(layer, Attention | FeedForward):
                layer.fuse()
                mx.eval(layer.parameters())  # one layer at a time: its matrices are in memory twice

    def compile_steps(self) -> None:
        """Compile decoder passes of a few rows of one stream: the host then builds them in half the time.

        To be called when the weights are final. Passes that our own kernels compute stay as they are.
        """
        self.language_model.compile_steps()

    def encoder_state(self) -> EncoderState:
        """The state at the start of a stream."""
        return EncoderState(self._config, self._dtype)

    def decoder_caches(self) -> list[KVCache]:
        """The decoder's empty caches, one a layer."""
        decoder = self._config.decoder
        return [new_cache(decoder.sliding_window) for _ in range(decoder.n_layers)]

    def encode(self, mel: Any, state: EncoderState) -> Any:
        """Mel [n, bins], n a multiple of `mel_per_position`, not 0 -> embeddings [1, positions, dim]."""
        return self.encode_all([mel], [state])[0]

    def encode_all(self, mels: Sequence[Any], states: Sequence[EncoderState]) -> list[Any]:
        """The same for several streams in one pass: the embeddings of each.

        MLX's are being computed when this returns; nobody waits for them before they are needed.
        """
        given = [self._activations(mel[None]) for mel in mels]
        embeddings = self.adapter(self.encoder(given, states))
        if not self._in_numpy:
            tails = [(state.mel_tail, state.conv_tail) for state in states]
            mx.async_eval(embeddings, tails)  # type: ignore[no-untyped-call]
        if len(mels) == 1:
            return [embeddings]
        ends = np.cumsum([len(mel) // self._config.mel_per_position for mel in mels]).tolist()
        return [embeddings[:, first:last] for first, last in pairwise([0, *ends])]

    def gains(self, n_delay: int) -> Gains:
        """The delay's gains for the decoder, the same ones each time; n_delay in positions."""
        if n_delay not in self._gains:
            gains = self.language_model.gains(n_delay, self._config.decoder.dim, self._dtype)
            self._gains[n_delay] = Gains(map(np.asarray, gains)) if self._in_numpy else gains
        return self._gains[n_delay]

    def decode(self, tokens: Any, audio: Any, gains: Gains, caches: list[KVCache]) -> Any:
        """Tokens [n] and audio embeddings [1, n, dim] at the same positions -> hidden states [1, n, dim]."""
        return self.decode_all([DecoderRows(tokens, audio, gains, caches)])

    def decode_all(self, streams: Sequence[DecoderRows]) -> Any:
        """The same for several streams in one pass: the hidden states of all, one behind the other."""
        kind = np.asarray if self._in_numpy else partial(mx.array, dtype=mx.int32)
        tokens = joined([kind(stream.tokens) for stream in streams], axis=0)
        audio = joined([self._activations(stream.audio) for stream in streams])
        x = self._activations(self.language_model.embed_tokens(tokens))[None] + audio
        counts = [len(stream.tokens) for stream in streams]
        spans = spans_of([stream.caches for stream in streams], counts)
        return self.language_model(x, _gains_of_rows(streams, counts), spans)

    def _activations(self, array: Any) -> Any:
        if self._in_numpy:
            return np.asarray(array)
        return (array if isinstance(array, mx.array) else mx.array(array)).astype(self._dtype)


def _gains_of_rows(streams: Sequence[DecoderRows], counts: list[int]) -> list[Any]:
    """Each layer's gain, as `DecoderBlock` takes it: of all rows if all streams have the same delay."""
    first = streams[0].gains
    if all(stream.gains is first for stream in streams):
        return first.weights or first
    index = np.repeat(np.arange(len(streams)), counts)
    if isinstance(first[0], np.ndarray):
        layers = zip(*(stream.gains for stream in streams), strict=True)
        return [joined(layer, axis=0)[index] for layer in layers]
    all_layers = mx.stack([mx.concatenate(stream.gains) for stream in streams], axis=1)
    return list(mx.split(mx.take(all_layers, mx.array(index), axis=1), len(first)))


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter of an unquantized model and its shape, by name. Nothing is computed."""
    flat: Any = tree_flatten(VoxtralRealtime(config).parameters())
    return {name: tuple(value.shape) for name, value in flat}
