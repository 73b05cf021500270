"""Log-mel spectrogram of a stream (contract step 3): chunks of any size give the same frames."""

import numpy as np
from mistral_common.audio import mel_filter_bank
from numpy.lib.stride_tricks import sliding_window_view

from voxrun.arrays import FloatArray
from voxrun.checkpoint.config import AudioConfig

DYNAMIC_RANGE = 8.0
"""Decades below the model's fixed global maximum."""


def look_beyond(audio: AudioConfig) -> int:
    """Samples beyond its hop that the last frame of a position needs (40 upstream)."""
    return audio.window_size // 2 - audio.hop_length


class LogMel:
    """Centred frames of a stream that is preceded by silence.

    Frame j covers samples [hop*j - window/2, hop*j + window/2) and is returned once its last sample was fed.
    Arithmetic is float64 up to the logarithm: a float32 DFT would be off by 5.7e-4.
    """

    def __init__(self, audio: AudioConfig) -> None:
        self._audio = audio
        n = audio.window_size
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)  # periodic Hann
        bank = mel_filter_bank(
            num_frequency_bins=n // 2 + 1,
            num_mel_bins=audio.num_mel_bins,
            min_frequency=0.0,
            max_frequency=audio.sampling_rate / 2,
            sampling_rate=audio.sampling_rate,
        )
        self._bank = np.asarray(bank, dtype=np.float64)
        self._pending = np.zeros(n // 2, np.float32)

    @property
    def look_ahead(self) -> int:
        """The same for this stream."""
        return look_beyond(self._audio)

    def frames(self, n: int) -> int:
        """Frames that are complete after n samples."""
        return max(0, (n - self._audio.window_size // 2) // self._audio.hop_length + 1)

    def feed(self, samples: FloatArray) -> FloatArray:
        """Take samples [n]; return the frames that are now complete [frames, mel bins]."""
        window, hop = self._audio.window_size, self._audio.hop_length
        signal = np.concatenate([self._pending, samples])
        frames = max(0, (len(signal) - window) // hop + 1)
        self._pending = signal[frames * hop :]
        if not frames:
            return np.zeros((0, self._audio.num_mel_bins), np.float32)
        return self._log_mel(sliding_window_view(signal, window)[::hop][:frames])

    def _log_mel(self, frames: np.typing.NDArray[np.float32]) -> FloatArray:
        power = np.abs(np.fft.rfft(frames * self._window)) ** 2
        log = np.log10(np.maximum(power @ self._bank, 1e-10))
        floor = self._audio.global_log_mel_max - DYNAMIC_RANGE
        scaled: FloatArray = ((np.maximum(log, floor) + 4.0) / 4.0).astype(np.float32)
        return scaled
