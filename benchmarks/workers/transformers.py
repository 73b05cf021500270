"""transformers as a worker: `python -m benchmarks.workers.transformers transcribe --model DIR ...`."""

import argparse
from pathlib import Path
from typing import Any

from .common import RATE, Peer, main


class Transformers(Peer):
    """transformers as its documentation drives the model: everything comes from the folder."""

    package = "transformers"
    backend = "torch"

    def __init__(self) -> None:
        import transformers

        self._api = transformers

    def load(self, folder: Path) -> None:
        """As `Peer` says."""
        self._processor = self._api.AutoProcessor.from_pretrained(folder)
        kind = self._api.VoxtralRealtimeForConditionalGeneration
        self._model, told = kind.from_pretrained(folder, output_loading_info=True)
        if any(told.values()):
            raise ValueError(f"from_pretrained tells of {told}")

    def transcribe(self, path: Path, args: argparse.Namespace) -> dict[str, Any]:
        """As `Peer` says."""
        import soundfile

        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate != RATE:
            import soxr

            samples = soxr.resample(samples, rate, RATE)
        inputs = self._processor(samples.mean(axis=1), return_tensors="pt")
        inputs = inputs.to(self._model.device, dtype=self._model.dtype)
        tokens = self._model.generate(**inputs)
        text = self._processor.batch_decode(tokens, skip_special_tokens=True)[0]
        return {"text": text.strip(), "tokens": tokens.shape[1]}

    def about(self) -> dict[str, Any]:
        """The device."""
        import torch

        return {"device": "gpu" if torch.cuda.is_available() else "cpu"}


if __name__ == "__main__":
    main(Transformers)
