"""Mistral's protocol, spoken by its genuine client, and by hand where the client cannot."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import soundfile
from committed import CLIPS
from served import Served

pytest.importorskip("mistralai")
from mistralai.client import Mistral
from mistralai.client.models import AudioFormat
from mistralai.extra.realtime import UnknownRealtimeEvent

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"


async def pieces(data: bytes, size: int = 3200) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def transcribed(server: Served, data: bytes, **options: Any) -> list[Any]:
    """All events of a stream, as the genuine client hears them."""
    client = Mistral(api_key="any", server_url=server.url)
    stream = client.audio.realtime.transcribe_stream(pieces(data), "voxtral-mini", **options)
    return [event async for event in stream]


def encoded(samples: np.ndarray, encoding: str) -> bytes:
    match encoding:
        case "pcm_s16le":
            return samples.tobytes()
        case "pcm_s32le":
            return (samples.astype("<i4") << 16).tobytes()
        case "pcm_f16le":
            return (samples / 32768).astype("<f2").tobytes()
        case "pcm_f32le":
            return (samples / 32768).astype("<f4").tobytes()
    raise AssertionError


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_s32le", "pcm_f32le"])
def test_the_genuine_client_has_the_text_that_a_file_has(server: Served, encoding: str) -> None:
    samples, rate = soundfile.read(CLIP, dtype="int16")
    audio_format = AudioFormat(encoding=encoding, sample_rate=rate)
    events = asyncio.run(transcribed(server, encoded(samples, encoding), audio_format=audio_format))
    expected = server.transcriber.transcribe(CLIP)
    done = events[-1]
    print([event.type for event in events], rate, done)
    assert not [event for event in events if isinstance(event, UnknownRealtimeEvent)]
    assert done.type == "transcription.done"
    assert done.text == expected.text
