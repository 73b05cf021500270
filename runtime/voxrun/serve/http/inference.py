"""whisper.cpp's endpoint (examples/server): the same form and formats, with words inside the segments."""

import math
from typing import Any

from starlette.routing import BaseRoute, Route

from voxrun.serve.protocols.protocol import timed
from voxrun.serve.service import Service
from voxrun.stream.results import Word
from voxrun.transcripts.typesetting.segments import Segment

from .answers import Answer, SegmentsJson, answer_for, logprob
from .fields import Wish
from .transcriptions import Transcriptions


def routes(service: Service) -> list[BaseRoute]:
    """`/inference`."""
    return [Route("/inference", Transcriptions(service, _answer_for), methods=["POST"])]


class WhisperCppJson(SegmentsJson):
    """whisper.cpp's verbose_json."""

    def segment(self, number: int, segment: Segment) -> dict[str, Any]:
        """OpenAI's segment, and its words with their probabilities."""
        words = [
            {**one, "probability": _probability(word)} for word in segment.words for one in timed((word,))
        ]
        return {**super().segment(number, segment), "words": words}


def _answer_for(wish: Wish) -> type[Answer]:
    kind = answer_for(wish)
    return WhisperCppJson if kind is SegmentsJson else kind


def _probability(word: Word) -> float:
    """That of all tokens of a word together, 0..1."""
    return round(math.exp(sum(map(logprob, word.tokens))), 6)
