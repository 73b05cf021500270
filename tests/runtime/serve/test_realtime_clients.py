"""Genuine clients, unpatched, of OpenAI's sessions: its own library, LiveKit's and pipecat's plugins."""

import asyncio
import base64
from collections.abc import Awaitable
from typing import Any, TypeVar

import numpy as np
import pytest
import soundfile
import soxr
from committed import CLIPS
from patience import PATIENCE
from served import Served

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"
"""With the same text at 24 kHz and back."""
pytestmark = pytest.mark.slow
T = TypeVar("T")


def pcm(silence: float = 0.0) -> np.ndarray:
    """The clip and seconds of silence, as 16-bit samples at 24 kHz."""
    samples, native = soundfile.read(CLIP, dtype="float32")
    samples = soxr.resample(np.append(samples, np.zeros(round(silence * native), np.float32)), native, 24000)
    return (samples * 32767).round().astype("<i2")


def run(awaitable: Awaitable[T]) -> T:
    async def within_time() -> T:
        return await asyncio.wait_for(awaitable, PATIENCE)

    return asyncio.run(within_time())


@pytest.mark.parametrize(
    "turn_detection", [None, {"type": "server_vad", "silence_duration_ms": 400}, {"type": "semantic_vad"}]
)
@pytest.mark.parametrize("said_in_the_address", [True, False])
def test_the_library_of_openai(server: Served, turn_detection: Any, said_in_the_address: bool) -> None:
    openai = pytest.importorskip("openai")

    async def transcribed() -> list[str]:
        client = openai.AsyncOpenAI(api_key="any", base_url=f"{server.url}/v1")
        query = {"intent": "transcription"} if said_in_the_address else {}
        transcripts, text = [], ""
        async with client.realtime.connect(extra_query=query) as connection:
            await connection.session.update(
                session={
                    "type": "transcription",
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcm", "rate": 24000},
                            "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                            "noise_reduction": {"type": "near_field"},
                            "turn_detection": turn_detection,
                        }
                    },
                }
            )
            samples = pcm(2.0 if turn_detection else 0.0)
            for start in range(0, len(samples), 2400):
                audio = base64.b64encode(samples[start : start + 2400].tobytes()).decode()
                await connection.input_audio_buffer.append(audio=audio)
            if turn_detection is None:
                await connection.input_audio_buffer.commit()
            async for event in connection:
                assert event.type != "error", event
                assert event.event_id
                if event.type == "session.updated":
                    assert event.session.type == "transcription"
                    assert event.session.audio.input.transcription.model == "gpt-4o-transcribe"
                elif event.type == "conversation.item.input_audio_transcription.delta":
                    text += event.delta
                elif event.type == "conversation.item.input_audio_transcription.completed":
                    assert event.usage.type == "tokens"
                    assert event.words[-1]["end"] > 1  # fields of ours come through
                    transcripts.append(event.transcript)
                    break
        assert text == "".join(transcripts)
        return transcripts

    assert run(transcribed()) == [server.transcriber.transcribe(CLIP).text]


def test_livekits_plugin(server: Served) -> None:
    """With its defaults: server_vad, 350 ms of silence."""
    plugin = pytest.importorskip("livekit.plugins.openai")
    from livekit import rtc
    from livekit.agents import stt
    from livekit.agents.utils import http_context

    async def transcribed() -> list[str]:
        async with http_context.open():
            recognizer = plugin.STT(
                base_url=f"{server.url}/v1", api_key="any", model="gpt-4o-transcribe", use_realtime=True
            )
            stream, samples = recognizer.stream(), pcm(2.0)
            for start in range(0, len(samples), 1200):
                data = samples[start : start + 1200].tobytes()
                stream.push_frame(rtc.AudioFrame(data, 24000, 1, len(data) // 2))
            stream.flush()
            kinds, finals = list[Any](), list[str]()
            async for event in stream:
                kinds.append(event.type)
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append(event.alternatives[0].text)
                if event.type == stt.SpeechEventType.RECOGNITION_USAGE:
                    assert event.recognition_usage.audio_duration > 1
                    break
            await stream.aclose()
            await recognizer.aclose()
        assert kinds[0] == stt.SpeechEventType.START_OF_SPEECH
        assert stt.SpeechEventType.END_OF_SPEECH in kinds
        return finals

    assert run(transcribed()) == [server.transcriber.transcribe(CLIP).text]


@pytest.mark.parametrize("turn_detection", [False, {"type": "server_vad"}])
def test_pipecats_service(server: Served, turn_detection: Any) -> None:
    """With a local detection of turns, which commits, and with the server's."""
    service = pytest.importorskip("pipecat.services.openai.stt")
    from pipecat.frames.frames import (
        InputAudioRawFrame,
        TranscriptionFrame,
        VADUserStartedSpeakingFrame,
        VADUserStoppedSpeakingFrame,
    )
    from pipecat.tests.utils import SleepFrame, run_test

    samples = pcm(2.0)
    audio = [samples[start : start + 1200].tobytes() for start in range(0, len(samples), 1200)]
    frames: list[Any] = [SleepFrame(0.5), *(InputAudioRawFrame(each, 24000, 1) for each in audio)]
    if not turn_detection:
        frames = [VADUserStartedSpeakingFrame(), *frames, VADUserStoppedSpeakingFrame()]
    speech = service.OpenAIRealtimeSTTService(
        api_key="any", base_url=f"{server.ws}/v1/realtime", turn_detection=turn_detection, sample_rate=24000
    )
    down, _ = run(run_test(speech, frames_to_send=[*frames, SleepFrame(2)]))
    texts = [frame.text for frame in down if isinstance(frame, TranscriptionFrame)]
    assert texts == [server.transcriber.transcribe(CLIP).text]
