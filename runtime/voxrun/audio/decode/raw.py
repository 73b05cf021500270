"""How samples without a header are to be read."""

import re
from dataclasses import dataclass
from typing import Any

from voxrun.errors import AudioError
from voxrun.messages import shown

RAW_CODECS = {
    **{name: name for name in ("u8", "s8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be")},
    **{name: name for name in ("f32le", "f32be", "f64le", "f64be")},
    **{name: name for name in ("alaw", "mulaw", "g722", "gsm")},
    "ulaw": "mulaw",
}
"""Codecs of samples without a header, and FFmpeg's names of them."""
MOST_CHANNELS = 64
NUMBER = r"[0-9]{1,9}"


@dataclass(frozen=True)
class Raw:
    """Samples without a header."""

    codec: str
    """One of RAW_CODECS."""
    rate: int
    """Samples a second."""
    channels: int = 1

    @classmethod
    def parse(cls, text: Any) -> "Raw":
        """CODEC:RATE[:CHANNELS], such as s16le:16000 or mulaw:8000. Raises AudioError."""
        if not isinstance(text, str):
            raise AudioError(f"raw must be text such as 's16le:16000', not {shown(text)}")
        codec, *numbers = text.lower().split(":")
        if codec not in RAW_CODECS:
            raise AudioError(f"{shown(codec)} is no codec of raw samples; these are: {', '.join(RAW_CODECS)}")
        if len(numbers) not in (1, 2) or not all(re.fullmatch(NUMBER, each) for each in numbers):
            raise AudioError(
                f"{shown(text)}: raw samples are given as CODEC:RATE[:CHANNELS], such as s16le:16000"
            )
        raw = cls(RAW_CODECS[codec], *map(int, numbers))
        if not 1 <= raw.channels <= MOST_CHANNELS:
            raise AudioError(f"{shown(text)}: a recording has 1 to {MOST_CHANNELS} channels")
        return raw
