"""Sessions as users have them: the first token, and a whole transcription."""

import time
from pathlib import Path

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.audio.file import FileSource
from voxrun.stream.schedule import Schedule
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

from .proposal import PAD, TEXT, WORD
from .results import Heard, Spread
from .timing import Effort, timed

SYLLABLES = 4.0
"""A second, as speech has them."""


def noise(seconds: float, rate: int) -> FloatArray:
    """Noise, samples [n], as loud as speech and with its rhythm: neither silence nor words."""
    n = round(seconds * rate)
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * SYLLABLES / rate * np.arange(n))
    sound: FloatArray = (0.05 * swell * np.random.default_rng(0).standard_normal(n)).astype(np.float32)
    return sound


def recording(path: Path, rate: int, seconds: float) -> FloatArray:
    """The first seconds of a recording, as samples [n]. Raises AudioError."""
    blocks, wanted = [], round(seconds * rate)
    for block in FileSource(path, rate):
        blocks.append(block)
        if sum(map(len, blocks)) >= wanted:
            break
    return np.concatenate(blocks)[:wanted]


def first_token(transcriber: Transcriber, signal: FloatArray, effort: Effort) -> Spread:
    """From the audio that the first token needs to the token, in a new session."""
    audio = transcriber.model.config.audio
    schedule = Schedule.for_delay(audio, transcriber.tokenizer, None)
    needed = (2 + schedule.n_delay) * audio.samples_per_position  # one more for the mel frames' overlap
    sessions: list[Session] = []

    def work() -> None:
        session = transcriber.session(live=True)
        sessions.append(session)
        session.feed(np.resize(signal, needed))
        assert session.n_tokens, "a token was due"

    def drop() -> None:
        while sessions:
            sessions.pop().cancel()

    spread = timed(work, effort, prepare=drop)
    drop()
    return spread


def hear(transcriber: Transcriber, samples: FloatArray, is_speech: bool) -> Heard:
    """Transcribe samples [n]; live, so that no token ends it early."""
    session = transcriber.session(live=True)
    audio = transcriber.model.config.audio
    prompt = Schedule.for_delay(audio, transcriber.tokenizer, None).prompt_length
    begun = time.perf_counter()
    results = [session.feed(samples), session.finish()]
    wall = time.perf_counter() - begun
    ids = [token.id for result in results for token in result.tokens]
    return Heard(
        is_speech=is_speech,
        seconds=len(samples) / transcriber.rate,
        padded=(prompt + session.n_tokens) / audio.frame_rate,
        wall=wall,
        tokens=session.n_tokens,
        passes=session.n_passes,
        kinds=kinds_of(ids, transcriber.tokenizer),
    )


def kinds_of(ids: list[int], tokenizer: Tokenizer) -> str:
    """The kinds of tokens, as `Heard.kinds` has them; an end-of-stream token is a pause."""
    kinds = {tokenizer.pad: PAD, tokenizer.eos: PAD, tokenizer.word: WORD}
    return "".join(kinds.get(id, TEXT) for id in ids)
