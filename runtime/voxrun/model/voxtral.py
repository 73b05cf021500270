"""The whole network; where audio and weights come from is not its concern."""

from typing import Any

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx, nn, tree_flatten

from .cache import KVCache
from .decoder import LanguageModel
from .encoder import Adapter, Encoder, EncoderState


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

    @property
    def config(self) -> ModelConfig:
        """The sizes."""
        return self._config

    @property
    def dtype(self) -> mx.Dtype:
        """The type of activations."""
        return self._dtype

    def compute_in(self, dtype: mx.Dtype) -> None:
        """Compute activations in `dtype`; floating parameters, scales included, are converted to it."""
        self.set_dtype(dtype)
        self._dtype = dtype

    def encoder_state(self) -> EncoderState:
        """The state at the start of a stream."""
        return EncoderState(self._config, self._dtype)

    def decoder_caches(self) -> list[KVCache]:
        """The decoder's empty caches, one a layer."""
        decoder = self._config.decoder
        return [KVCache(decoder.sliding_window) for _ in range(decoder.n_layers)]

    def encode(self, mel: mx.array, state: EncoderState) -> mx.array:
        """Mel [n, bins], n a multiple of `mel_per_position`, not 0 -> embeddings [1, positions, dim]."""
        embeddings = self.adapter(self.encoder(mel[None].astype(self._dtype), state))
        # Evaluated here: MLX's streams belong to threads, and a session may move between them.
        mx.eval(embeddings, state.mel_tail, state.conv_tail)
        return embeddings

    def gains(self, n_delay: int) -> list[mx.array]:
        """The delay's gain for each decoder layer; n_delay in positions."""
        return self.language_model.gains(n_delay, self._config.decoder.dim, self._dtype)

    def decode(
        self, tokens: mx.array, audio: mx.array, gains: list[mx.array], caches: list[KVCache]
    ) -> mx.array:
        """Tokens [n] and audio embeddings [1, n, dim] at the same positions -> hidden states [1, n, dim]."""
        embedded = self.language_model.embed_tokens(tokens)[None].astype(self._dtype)
        return self.language_model(embedded + audio, gains, caches)


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter of an unquantized model and its shape, by name. Nothing is computed."""
    flat: Any = tree_flatten(VoxtralRealtime(config).parameters())
    return {name: tuple(value.shape) for name, value in flat}
