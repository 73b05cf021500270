"""What a transcription's response holds, a class for each kind of response_format."""

import math
import zlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from voxrun.serve.protocols.protocol import timed
from voxrun.stream.results import Result, Token
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcripts.typesetting.segments import Segment, Segmenter
from voxrun.transcripts.writer import Document, Recording
from voxrun.transcripts.writers import WRITERS

from .fields import Wish
from .hearing import Hearing

Fields = dict[str, Any]
WRITTEN = {"text": "txt", "srt": "srt", "vtt": "vtt"}
"""response_format -> the format of `voxrun --format`."""


class Answer(ABC):
    """Collects results; at the end it is the body of a response."""

    alternatives: ClassVar[int] = 0
    """How many of the likeliest tokens it needs at each position."""

    def __init__(self, wish: Wish, hearing: Hearing) -> None:
        self.wish, self.hearing = wish, hearing

    @abstractmethod
    def add(self, result: Result) -> None:
        """The next result of the session."""

    @abstractmethod
    def end(self) -> str | Fields:
        """The body: text, or an object."""


class Written(Answer):
    """A document as `voxrun` writes it into a file."""

    def __init__(self, wish: Wish, hearing: Hearing) -> None:
        super().__init__(wish, hearing)
        writer = WRITERS[WRITTEN[wish.format]](Recording(wish.name, "", 0.0))
        self._document = Document(writer)
        self._pieces = [self._document.begin()]

    def add(self, result: Result) -> None:
        """The next result of the session."""
        self._pieces.append(self._document.add(result))

    def end(self) -> str:
        """The document."""
        return "".join([*self._pieces, self._document.end(self.hearing.seconds)])


class Json(Answer):
    """OpenAI's json: the text."""

    def __init__(self, wish: Wish, hearing: Hearing) -> None:
        super().__init__(wish, hearing)
        self._texts, self._logprobs = list[str](), list[Fields]()

    def add(self, result: Result) -> None:
        """The next result of the session."""
        self._texts.append(result.text)
        if self.wish.logprobs:
            self._logprobs += logprobs(result, self.hearing.transcriber.tokenizer)

    @property
    def text(self) -> str:
        """The transcript so far."""
        return "".join(self._texts).strip()

    def end(self) -> Fields:
        """The object."""
        fields: Fields = {"text": self.text}
        if self.wish.logprobs:
            fields["logprobs"] = self._logprobs
        fields["usage"] = {"type": "duration", "seconds": round(self.hearing.seconds, 3)}
        return {**fields, **warnings(self.hearing)}


class LogprobsJson(Json):
    """The same with the log probability of each token."""

    alternatives = 1


class VerboseJson(Json):
    """OpenAI's verbose_json: segments, words, or both."""

    def __init__(self, wish: Wish, hearing: Hearing) -> None:
        super().__init__(wish, hearing)
        self._segmenter = Segmenter()
        self.segments = list[Fields]()
        """Those that are final."""
        self._words = list[Fields]()

    def add(self, result: Result) -> None:
        """The next result of the session."""
        super().add(result)
        if self.wish.words:
            self._words += timed(result.words)
        if self.wish.segments:
            self._take(self._segmenter.feed(result))

    def end(self) -> Fields:
        """The object."""
        fields: Fields = {
            "task": "transcribe",
            "language": self.wish.language,
            "duration": round(self.hearing.seconds, 3),
            **super().end(),
        }
        if self.wish.segments:
            self._take(self._segmenter.finish())
            fields["segments"] = self.segments
        if self.wish.words:
            fields["words"] = self._words
        return fields

    def segment(self, number: int, segment: Segment) -> Fields:
        """A segment with what Whisper tells of one; this model has no probability of silence."""
        tokens = [token for word in segment.words for token in word.tokens]
        return {
            "id": number,
            "seek": 0,
            "start": round(segment.start, 3),
            "end": round(segment.end, 3),
            "text": segment.text,
            "tokens": [token.id for token in tokens],
            "temperature": self.wish.temperature,
            "avg_logprob": round(mean_logprob(tokens), 6),
            "compression_ratio": round(compression_ratio(segment.text), 3),
            "no_speech_prob": 0.0,
        }

    def _take(self, segments: list[Segment]) -> None:
        for each in segments:
            self.segments.append(self.segment(len(self.segments), each))


class SegmentsJson(VerboseJson):
    """The same with segments, whose mean log probability is told."""

    alternatives = 1


def answer_for(wish: Wish) -> type[Answer]:
    """The class that has what a form asks for."""
    if wish.format == "verbose_json":
        return SegmentsJson if wish.segments else VerboseJson
    if wish.format == "json" or wish.stream:
        return LogprobsJson if wish.logprobs else Json
    return Written


def warnings(hearing: Hearing) -> Fields:
    """What is wrong with the recording, if anything is."""
    return {"warnings": hearing.warnings} if hearing.warnings else {}


def logprobs(result: Result, tokenizer: Tokenizer) -> list[Fields]:
    """The text tokens of a result with their log probabilities."""
    return [
        {
            "token": token.alternatives[0].text,
            "bytes": list(tokenizer.text_bytes(token.id)),
            "logprob": round(logprob(token), 6),
        }
        for token in result.tokens
        if tokenizer.is_text(token.id)
    ]


def logprob(token: Token) -> float:
    """Of the likeliest token at a position, which is the one that was picked unless it was sampled."""
    return math.log(max(token.alternatives[0].probability, 1e-30))


def mean_logprob(tokens: list[Token]) -> float:
    """Over tokens; 0 without any."""
    return sum(map(logprob, tokens)) / max(1, len(tokens))


def compression_ratio(text: str) -> float:
    """Bytes of a text over those of its zlib form: high for text that repeats itself, as in Whisper."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
