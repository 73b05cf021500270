"""mlx-audio as a worker: `python -m benchmarks.workers.mlx_audio TASK --model DIR ...`."""

import argparse
from pathlib import Path
from typing import Any

from .common import SHORTEST, Peer, main, noise


class MlxAudio(Peer):
    """mlx-audio as its `generate` drives the model, taken apart."""

    package = "mlx-audio"

    def __init__(self) -> None:
        import mlx_audio.stt.models.voxtral_realtime.audio
        import mlx_audio.stt.utils

        self._api = mlx_audio.stt
        self._cache: Any = None
        self._position = 0

    def load(self, folder: Path) -> None:
        """As `Peer` says."""
        self._model = self._api.utils.load_model(folder)
        self._layers = self._model.encoder.transformer_layers
        self.n_layers = len(self._layers)

    def transcribe(self, path: Path, args: argparse.Namespace) -> dict[str, Any]:
        """As `Peer` says."""
        output = self._model.generate(str(path))
        return {"text": output.text.strip(), "tokens": output.generation_tokens}

    def decode(self, n: int) -> None:
        """As the loop in `generate`: a token is read, then the next step is submitted."""
        import mlx.core as mx

        decoder = self._model.decoder
        if self._cache is None:
            self._begin()
        for _ in range(n):
            embedded = self._audio + decoder.embed_token(int(self._token.item()))
            hidden, self._cache = decoder.forward(embedded[None, :], self._position, self._cache)
            self._token = self._model._next_token_mx(decoder.logits(hidden.squeeze(0)), 0)
            mx.async_eval(self._token)
            self._position += 1
        self._token.item()

    def encode(self, samples: Any, layers: int) -> None:
        """As `Peer` says."""
        import mlx.core as mx

        mx.eval(self._embeddings(samples, layers))

    def _embeddings(self, samples: Any, layers: int) -> Any:
        import mlx.core as mx

        encoder, config = self._model.encoder, self._model.config.audio_encoding_args
        encoder.transformer_layers = self._layers[:layers]
        mel = self._api.models.voxtral_realtime.audio.compute_mel_spectrogram(
            mx.array(samples),
            self._model._ensure_mel_filters(),
            window_size=config.window_size,
            hop_length=config.hop_length,
            global_log_mel_max=config.global_log_mel_max,
        )
        return encoder(mel)

    def _begin(self) -> None:
        import mlx.core as mx

        self._cache = self._model.decoder.make_cache()
        self._audio = self._embeddings(noise(SHORTEST), 0)[0]  # its dtype decides how fast a step is
        mx.eval(self._audio)
        self._token = mx.array(1)


if __name__ == "__main__":
    main(MlxAudio)
