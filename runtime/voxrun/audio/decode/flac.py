"""FLAC: the times of its frames by their own numbers; FFmpeg's times count what it could not decode.

Source: RFC 9639, section 9.1 (frame header).
"""


class FrameTimes:
    """The time of each frame of one stream."""

    def __init__(self) -> None:
        self._block: int | None = None  # samples of every frame but the last, where frames are numbered

    def of(self, packet: bytes, samples: int, rate: int) -> float | None:
        """Seconds at which a frame with so many samples begins; None if its header does not tell."""
        number = _coded_number(packet[4:11])
        if number is None or packet[0] != 0xFF or packet[1] & 0xFC != 0xF8:
            return None
        if packet[1] & 1:  # frames of varying length count samples
            return number / rate
        self._block = self._block or samples
        return number * self._block / rate


def _coded_number(data: bytes) -> int | None:
    """A number in the extended UTF-8 of FLAC: up to 36 bits in up to 7 bytes."""
    if not data:
        return None
    first = data[0]
    length = 8 - (first ^ 0xFF).bit_length()  # ones at the top
    if length == 0:
        return first
    if length == 1 or length > 7 or len(data) < length:
        return None
    number = first & (0x7F >> length)
    for byte in data[1:length]:
        number = number << 6 | byte & 0x3F
    return number
