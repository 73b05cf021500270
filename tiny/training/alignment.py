"""When each word and phone of a recording is spoken: the record both alignment stages write."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tiny.training.speech import TimedPhone, TimedWord, Utterance
from tiny.training.split import refuse_held_out
from tiny.training.workspace import written_whole


@dataclass(frozen=True)
class Alignment:
    """Times in seconds. Before the first phone ends and after the last there is silence."""

    words: list[TimedWord]
    phones: list[TimedPhone]
    start: float  # of speech
    end: float

    def faster(self, speed: float) -> "Alignment":
        """The same recording played `speed` times faster."""
        return Alignment(
            [(word, start / speed, end / speed) for word, start, end in self.words],
            [(phone, end / speed) for phone, end in self.phones],
            self.start / speed,
            self.end / speed,
        )


def of_utterance(utterance: Utterance) -> Alignment:
    """The exact alignment of synthetic speech."""
    words = utterance.words
    return Alignment(words, utterance.phones, words[0][1], words[-1][2])


def save(path: Path, alignments: dict[str, Alignment]) -> None:
    """Write {recording key: alignment} as JSON; held-out keys are refused."""
    refuse_held_out(alignments)
    with written_whole(path) as part:
        content = {key: asdict(alignment) for key, alignment in alignments.items()}
        part.write_text(json.dumps(content), encoding="utf-8")


def load(path: Path) -> dict[str, Alignment]:
    """Read {recording key: alignment}; held-out keys are refused."""
    alignments = json.loads(path.read_text(encoding="utf-8"))
    refuse_held_out(alignments)
    return {key: Alignment(**fields) for key, fields in alignments.items()}
