"""What was heard, as a document in the making: results in, the writer's text out."""

from voxrun.stream.results import Result

from .segments import Segmenter
from .writers import Writer


class Document:
    """Pieces of text that, joined, are the writer's document; pure of input and output."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._segmenter = writer, Segmenter()
        self.saying = ""
        """The text of the segment that is being said."""

    def begin(self) -> str:
        """What comes before everything."""
        return self._writer.begin()

    def add(self, result: Result) -> str:
        """What a result brings."""
        segments = self._segmenter.feed(result)
        self.saying = self._segmenter.open + result.partial
        return self._writer.result(result) + "".join(map(self._writer.segment, segments))

    def end(self, seconds: float) -> str:
        """The rest, after `seconds` of sound."""
        return "".join(map(self._writer.segment, self._segmenter.finish())) + self._writer.end(seconds)
