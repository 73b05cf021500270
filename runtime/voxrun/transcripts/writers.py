"""All formats. A new one is a class that derives from `Writer`, and its line in WRITERS."""

from .json_ import Json
from .subtitles import Srt, Vtt
from .text import Text, Tsv
from .writer import Writer

WRITERS: dict[str, type[Writer]] = {"txt": Text, "json": Json, "srt": Srt, "vtt": Vtt, "tsv": Tsv}
"""By the value of --format, which is also the suffix of the files."""
