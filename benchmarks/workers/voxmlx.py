"""voxmlx as a worker: `python -m benchmarks.workers.voxmlx TASK --model DIR ...`."""

import argparse
from pathlib import Path
from typing import Any

from .common import SHORTEST, Peer, main, noise


class Voxmlx(Peer):
    """voxmlx as its `transcribe` and its `generate` drive it, taken apart."""

    package = "voxmlx"

    def __init__(self) -> None:
        import voxmlx
        import voxmlx.audio
        import voxmlx.cache

        self._api = voxmlx
        self._caches: Any = None

    def load(self, folder: Path) -> None:
        """As `Peer` says."""
        self._model, self._tokenizer, self._config = self._api.load_model(str(folder))
        self._layers = self._model.encoder.layers
        self.n_layers = len(self._layers)

    def transcribe(self, path: Path, args: argparse.Namespace) -> dict[str, Any]:
        """As `Peer` says."""
        prompt, delay = self._api._build_prompt_tokens(self._tokenizer)
        tokens = self._api.generate(
            self._model, str(path), prompt, n_delay_tokens=delay, eos_token_id=self._tokenizer.eos_id
        )
        policy = self._api.SpecialTokenPolicy.IGNORE
        text = self._tokenizer.decode(tokens, special_token_policy=policy)
        return {"text": text.strip(), "tokens": len(tokens)}

    def decode(self, n: int) -> None:
        """As the loop in `generate`: the next step is submitted before the last one's token is read."""
        import mlx.core as mx

        if self._caches is None:
            self._begin()
        for _ in range(n):
            following = self._step(self._token)
            mx.async_eval(following)
            self._token.item()
            self._token = following
        self._token.item()

    def encode(self, samples: Any, layers: int) -> None:
        """As `Peer` says."""
        import mlx.core as mx

        mx.eval(self._embeddings(samples, layers))

    def _embeddings(self, samples: Any, layers: int) -> Any:
        self._model.encoder.layers = self._layers[:layers]
        return self._model.encode(self._api.audio.log_mel_spectrogram(samples))

    def _begin(self) -> None:
        import mlx.core as mx

        count = len(self._model.language_model.layers)
        self._caches = [self._api.cache.RotatingKVCache(8192) for _ in range(count)]
        self._time = self._model.time_embedding(mx.array([6], dtype=mx.float32))
        self._audio = self._embeddings(noise(SHORTEST), 0)[0]  # its dtype decides how fast a step is
        mx.eval(self._audio)
        self._token = mx.array(1)

    def _step(self, token: Any) -> Any:
        import mlx.core as mx

        embedded = self._model.language_model.embed(token.reshape(1, 1))[0, 0]
        x = (self._audio + embedded)[None, None, :]
        logits = self._model.decode(x, self._time, mask=None, cache=self._caches)
        return mx.argmax(logits[0, -1:], axis=-1).squeeze()


if __name__ == "__main__":
    main(Voxmlx)
