"""The time in the caller's audio of a position in the stream."""

from collections import deque


class FrameClock:
    """Counts samples, so that times never drift; the silence that a flush inserts takes no time."""

    def __init__(self, rate: int, samples_per_position: int) -> None:
        self._rate, self._per_position = rate, samples_per_position
        self._silences: deque[tuple[int, int]] = deque()  # (where in the stream, samples), not yet passed
        self._passed = 0  # samples of silence before those
        self.fed = 0
        """Samples of the stream: the caller's and the silence of flushes."""
        self.audio = 0
        """Samples of the caller's audio."""

    def hear(self, n: int) -> None:
        """The caller fed n samples."""
        self.fed += n
        self.audio += n

    def insert_silence(self, n: int) -> None:
        """A flush fed n samples."""
        self._silences.append((self.fed, n))
        self.fed += n

    def end_of(self, index: int) -> float:
        """Seconds of the caller's audio at which the speech of the index-th generated token ended.

        Indices must not decrease from call to call.
        """
        at = (index + 1) * self._per_position
        while self._silences and sum(self._silences[0]) <= at:
            self._passed += self._silences.popleft()[1]
        inside = max(0, at - self._silences[0][0]) if self._silences else 0
        return min(at - self._passed - inside, self.audio) / self._rate
