"""The model's front end: log-mel of 16 kHz audio, as upstream computes it."""

from functools import cache

import numpy as np

WINDOW, HOP, BINS, RATE = 400, 160, 128, 16_000
FLOOR = 1.5 - 8  # log10 of the power; upstream fixes the global maximum at 1.5


@cache
def filter_bank() -> np.ndarray:
    """Slaney mel filters, float32 [128, 201], 0-8000 Hz."""
    from mistral_common.audio import mel_filter_bank

    bank = mel_filter_bank(
        num_frequency_bins=WINDOW // 2 + 1,
        num_mel_bins=BINS,
        min_frequency=0.0,
        max_frequency=RATE / 2,
        sampling_rate=RATE,
    )
    return np.asarray(bank, np.float32).T


def logmel(samples: np.ndarray) -> np.ndarray:
    """Float samples [n] to float32 [128, n // 160]; one frame is 10 ms, silence is -0.625."""
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    padded = np.pad(samples.astype(np.float32), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames[: len(samples) // HOP] * window)) ** 2
    mel = filter_bank() @ power.T
    level = np.maximum(np.log10(np.maximum(mel, 1e-10)), FLOOR)
    return ((level + 4) / 4).astype(np.float32)
