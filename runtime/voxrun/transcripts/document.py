"""From the results of a session to the text of a document."""

from voxrun.stream.results import Result

from .segments import Segmenter
from .writer import Writer


class Document:
    """The pieces of text that, joined, are a writer's document; it does no input or output."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._segmenter = writer, Segmenter(writer.layout)
        self.saying = ""
        """The text of the segment in progress."""

    def begin(self) -> str:
        """The document's beginning."""
        return self._writer.begin()

    def add(self, result: Result) -> str:
        """What a result adds."""
        segments = self._segmenter.feed(result)
        self.saying = self._segmenter.open + result.partial
        text = self._writer.result(result) + "".join(map(self._writer.segment, segments))
        return text + self._writer.upcoming(*self._segmenter.next_start)

    def end(self, seconds: float) -> str:
        """The rest, after `seconds` of sound."""
        return "".join(map(self._writer.segment, self._segmenter.finish())) + self._writer.end(seconds)
