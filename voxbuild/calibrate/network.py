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
        else:
            names = computed(self._load, tuple(f"{module}." for module in modules))
            yield
            computed(self.model.load_weights, [(name, mx.zeros((0,))) for name in names], strict=False)

    def _load(self, modules: tuple[str, ...]) -> list[str]:
        """Read what the names of parameters begin with; return these names."""
        stored = read_folder(self.folder)[1]
        tensors = {n: array.astype(mx.float32) for n, array in stored.items() if n.startswith(modules)}
        del stored  # or MLX would keep the arrays as they were read
        self.model.load_weights(list(tensors.items()), strict=False)
        mx.eval(list(tensors.values()))
        return list(tensors)

    def hear(self, recording: Recording) -> Array:
        """The frames [n, dim] of the padded recording that the encoder's first layer takes."""
        with self.loaded(STEM):
            return computed(self._hear, recording.path)

    def _hear(self, path: Path) -> Array:
        listener, encoder, stems, heard = Listener(self.model), self.model.encoder, list[Array](), 0

        def feed(samples: Array) -> None:
            with one_blas_thread(), np.errstate(all="ignore"):
                frames = listener.frames(samples)
                for first in range(0, len(frames), 2 * BLOCK):
                    block = self.array(frames[first : first + 2 * BLOCK])
                    stems.append(np.array(encoder.stem(block, listener.state))[0])

        feed(np.zeros(self._schedule.left_samples, np.float32))
        for samples in FileSource(path, self.model.config.audio.sampling_rate):
            feed(samples)
            heard += len(samples)
        feed(np.zeros(self._schedule.right_samples(heard) + listener.look_ahead, np.float32))
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
