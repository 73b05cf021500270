"""Speech-to-text plugins of frameworks for voice agents, unpatched, over Mistral's protocol."""

import asyncio
from typing import Any

import pytest
from patience import PATIENCE
from served import Served
from talk import CLIP, OTHER, heard

MODEL = "voxtral-mini-transcribe-realtime-2602"
PIECE = 1600

pytestmark = pytest.mark.slow


def test_livekit_has_a_final_transcript_for_each_turn(server: Served) -> None:
    plugin = pytest.importorskip("livekit.plugins.mistralai")
    from livekit import rtc
    from livekit.agents import stt, vad
    from mistralai.client import Mistral

    class Quiet(vad.VAD):
        """Detects nothing: the test says when a turn is over."""

        def __init__(self) -> None:
            super().__init__(capabilities=vad.VADCapabilities(update_interval=1))

        def stream(self) -> vad.VADStream:
            return QuietStream(self)

    class QuietStream(vad.VADStream):
        async def _main_task(self) -> None:
            async for _ in self._input_ch:
                pass

    async def transcripts() -> list[str]:
        client = Mistral(api_key="any", server_url=server.url)
        speech = plugin.STT(client=client, model=MODEL, vad=Quiet())
        stream, finals = speech.stream(), []

        async def listen() -> None:
            async for event in stream:
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append(event.alternatives[0].text)

        listening = asyncio.create_task(listen())
        for number, clip in enumerate((CLIP, OTHER), 1):
            samples = heard(clip)
            for start in range(0, len(samples), PIECE):
                piece = samples[start : start + PIECE]
                stream.push_frame(rtc.AudioFrame(piece.tobytes(), 16000, 1, len(piece)))
            stream.flush()
            while len(finals) < number:
                await asyncio.sleep(0.01)
        stream.end_input()
        await listening
        await stream.aclose()
        await speech.aclose()
        return finals

    first, second, *rest = asyncio.run(asyncio.wait_for(transcripts(), PATIENCE))
    assert first == server.transcriber.transcribe(CLIP).text
    assert second
    assert not any(rest)


def test_pipecat_has_a_final_transcript_for_each_turn(server: Served) -> None:
    mistral = pytest.importorskip("pipecat.services.mistral.stt")
    from pipecat.frames.frames import (
        InputAudioRawFrame,
        TranscriptionFrame,
        VADUserStartedSpeakingFrame,
        VADUserStoppedSpeakingFrame,
    )
    from pipecat.tests.utils import SleepFrame, run_test

    frames: list[Any] = []
    for clip in (CLIP, OTHER):
        samples = heard(clip)
        frames.append(VADUserStartedSpeakingFrame())
        for start in range(0, len(samples), PIECE):
            frames.append(InputAudioRawFrame(samples[start : start + PIECE].tobytes(), 16000, 1))
        frames += [VADUserStoppedSpeakingFrame(), SleepFrame(4)]
    service = mistral.MistralSTTService(api_key="any", base_url=server.url, sample_rate=16000)
    down, _ = asyncio.run(run_test(service, frames_to_send=frames))
    first, second = (frame.text for frame in down if isinstance(frame, TranscriptionFrame))
    assert first == server.transcriber.transcribe(CLIP).text
    assert second
