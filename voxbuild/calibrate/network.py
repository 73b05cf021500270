"""The unquantized network, one layer at a time: mapped on a CPU; on a GPU read when its turn comes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.tensors.second_moments import HEAD
from voxrun.audio.file import FileSource
from voxrun.device import mx, own_kernels
from voxrun.mlx_thread import computed
from voxrun.model.cpu import layers
from voxrun.model.load import load_model, read_folder
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.parallel import one_blas_thread
from voxrun.stream.listener import Listener
from voxrun.stream.schedule import Schedule
from voxrun.stream.tokenizer import Tokenizer

from .parts import BLOCK, DecoderLayer, Head, Part, parts_of
from .recordings import Recording

Array = np.typing.NDArray[Any]
STEM = ("encoder.conv1", "encoder.conv2")


class Network:
    """The model of a folder in parts. All arrays that it gives and takes are NumPy's, float32."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError, WeightsError."""
        self.folder, self._mapped = folder, own_kernels()
        if self._mapped:
            self.model = load_model(folder)
            layers.round_alike(self.model)
        else:
            self.model = VoxtralRealtime(read_folder(folder)[0])
            self.model.compute_in(mx.float32)
        self._tokenizer = Tokenizer(folder)
        config = self.model.config
        self._schedule = Schedule.for_delay(config.audio, self._tokenizer, None)
        self.parts: Sequence[Part] = parts_of(self.model, self._schedule.n_delay)
        self._first_of_decoder = next(part for part in self.parts if isinstance(part, DecoderLayer))

    @contextmanager
    def loaded(self, modules: Sequence[str]) -> Iterator[None]:
        """Meanwhile the parameters of these modules are in memory."""
        if self._mapped:
            yield
            layers.release_pages(self.model)
            return
        stored = read_folder(self.folder)[1]
        wanted = tuple(f"{module}." for module in modules)
        tensors = {n: array.astype(mx.float32) for n, array in stored.items() if n.startswith(wanted)}
        del stored
        self.model.load_weights(list(tensors.items()), strict=False)
        mx.eval(list(tensors.values()))
        yield
        self.model.load_weights([(name, mx.zeros((0,))) for name in tensors], strict=False)

    def hear(self, recording: Recording) -> Array:
        """The frames [n, dim] of the padded recording that the encoder's first layer takes."""
        samples = np.concatenate(list(FileSource(recording.path, self.model.config.audio.sampling_rate)))
        with self.loaded(STEM):
            return computed(self._stem, samples)

    def _stem(self, samples: Array) -> Array:
        listener, encoder = Listener(self.model), self.model.encoder
        right = self._schedule.right_samples(len(samples)) + listener.look_ahead
        with one_blas_thread():
            frames = listener.frames(np.pad(samples, (self._schedule.left_samples, right)))
        blocks = (frames[first : first + 2 * BLOCK] for first in range(0, len(frames), 2 * BLOCK))
        with np.errstate(all="ignore"):
            stems = [np.array(encoder.stem(self.array(block), listener.state))[0] for block in blocks]
        return np.concatenate(stems)

    def array(self, rows: Array) -> Any:
        """Rows [n, dim] as the model takes them, [1, n, dim]."""
        return rows[None] if self._mapped else mx.array(rows)[None]

    def history(self, recording: Recording) -> list[int]:
        """The tokens before each of the recording's own, the prompt included."""
        return self._schedule.prompt(self._tokenizer) + list(recording.tokens[:-1])

    def embedded(self, tokens: Array) -> Array:
        """Tokens [n] -> their embeddings [n, dim]."""
        if self._mapped:
            rows: Array = self.model.language_model.embed_tokens(tokens)
            return rows
        table = read_folder(self.folder)[1][f"{HEAD}.weight"]
        return np.array(table[mx.array(tokens)].astype(mx.float32))

    def enter(self, part: Part, x: Array, recording: Recording, embedded: Any) -> Array:
        """What a part takes [n, dim], of what the part before it has computed.

        `embedded` gives the embeddings of tokens.
        """
        if part is self._first_of_decoder:
            history = np.array(self.history(recording))
            joined: Array = x[: len(history)] + embedded(history)
            return joined
        return x[self._schedule.prompt_length - 1 :] if isinstance(part, Head) else x
