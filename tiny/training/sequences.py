"""Training sequences: random chains of clips, of word-aligned crops and of pauses.

A sequence begins as a stream does, behind the left padding, or as from the midst of one.
"""

import random
from dataclasses import dataclass

import numpy as np

from tiny.training.config import LEFT_PAD, MELS_PER_POSITION, SILENCE, SPEEDS, Sound
from tiny.training.dataset import FPS, PHONE_IDS, Dataset, Take

MARGIN = 12  # mel frames of a clip kept around its speech, at most
SHORTEST = 150  # mel frames of a sequence that is not filled
FIRST_PAUSE, LATEST = 60, 400  # mel frames before the first clip, at most; those of late speech
BEHIND_SPEECH = 40  # mel frames of noise behind the last clip, at most
MOST_DIGITS = 10  # clips in a string of digits
SPLICED_GAP = 6  # mel frames between the crops of a spliced run, at most
MODES = {"digits": 0.16, "letters": 0.05, "phonetic": 0.03, "numbers": 0.06, "prompts": 0.70}


@dataclass(frozen=True)
class Piece:
    """A clip or a crop: `mel` [128, frames], `phones` [frames], words as (end in s, tokens)."""

    mel: np.ndarray
    phones: np.ndarray
    words: list[tuple[float, list[int]]]

    @property
    def frames(self) -> int:
        """Length of the piece in mel frames."""
        return self.mel.shape[1]


@dataclass
class Run:
    """Clips of one kind: `gap` is the longest in mel frames, `gain` in log10 of the power.

    A `spliced` run is made of crops of 1-3 words, so that what is heard says more than what was
    said before.
    """

    real: bool
    mode: str
    speed: int
    gap: int
    gain: float
    spliced: bool
    clips: int = 0


@dataclass(frozen=True)
class Sequence:
    """`mel` float32 [128, 8 n], `phones` [8 n], `words` as (end in s behind `start`, tokens).

    Sound fills the mel frames `start` to `end`; the rest is digital silence. `midstream` sequences
    have no left padding: their `start` is 0.
    """

    mel: np.ndarray
    phones: np.ndarray
    words: list[tuple[float, list[int]]]
    start: int
    end: int

    @property
    def midstream(self) -> bool:
        """Whether the sequence starts in the midst of a stream."""
        return self.start == 0

    @property
    def positions(self) -> int:
        """Length of the sequence in positions."""
        return self.mel.shape[1] // MELS_PER_POSITION


class Composer:
    """Draws training sequences from a data set."""

    def __init__(self, dataset: Dataset, sound: Sound, seed: int) -> None:
        self.rng = random.Random(seed)
        self.sound = sound
        self.synthetic = dataset.synthetic
        real = dataset.real
        self.pools = {
            "digits": [real[f"digits/{n}"] for n in range(10) if f"digits/{n}" in real],
            "letters": [x for key, x in real.items() if _is_letter(key)],
            "phonetic": [x for key, x in real.items() if key.startswith("phonetic/")],
            "numbers": [x for key, x in real.items() if key.startswith("digits/")],
        }
        special = ("digits/", "letters/", "phonetic/")
        self.long = [takes for takes in real.values() if len(takes[0].words) >= 3]
        self.other = [takes for key, takes in real.items() if not key.startswith(special)]
        self.all = list(real.values())

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return self.rng.random() < share

    def sequence(self, positions: int) -> Sequence:
        """A sequence of so many positions."""
        rng, sound = self.rng, self.sound
        midstream = self.chance(sound.midstream)
        start = 0 if midstream else LEFT_PAD * MELS_PER_POSITION
        filled = midstream or self.chance(sound.filled)
        most = (positions - (0 if filled else sound.right_pad)) * MELS_PER_POSITION
        room = most if self.chance(0.6) else rng.randint(start + SHORTEST, most)
        placed = [] if self.chance(sound.speechless) else self.chain(start, room)
        end = room
        if placed and not self.chance(sound.lingering):
            last, piece = placed[-1]
            end = min(most, last + piece.frames + rng.randint(0, BEHIND_SPEECH))
        return lay_out(placed, positions, start, end)

    def chain(self, start: int, room: int) -> list[tuple[int, Piece]]:
        """Pieces with their first mel frame, all of them between the frames `start` and `room`."""
        rng = self.rng
        end = start + rng.randint(0, FIRST_PAUSE)
        if self.chance(self.sound.late):
            end += rng.randint(0, LATEST)
        run = self.draw_run()
        placed: list[tuple[int, Piece]] = []
        while True:
            piece = self.louder(self.piece(self.take(run), run, room - end), run)
            begin = end + (rng.randint(0, run.gap) if placed else 0)
            end = begin + piece.frames
            if end > room:
                return placed
            placed.append((begin, piece))
            run.clips += 1
            if self.over(run):
                if not self.sound.new_run:
                    return placed
                run = self.draw_run()

    def draw_run(self) -> Run:
        """A new run of clips, its properties drawn."""
        rng, sound = self.rng, self.sound
        gaps, weights = zip(*sound.gaps, strict=True)
        real = self.chance(sound.real)
        spliced = real and self.chance(sound.spliced)
        gap = int(rng.choices(gaps, weights)[0] * FPS)
        return Run(
            real=real,
            mode="prompts" if spliced else rng.choices(list(MODES), list(MODES.values()))[0],
            speed=rng.randrange(len(SPEEDS)),
            gap=SPLICED_GAP if spliced else gap,
            gain=rng.uniform(-sound.loudness, sound.loudness),
            spliced=spliced,
        )

    def over(self, run: Run) -> bool:
        """Whether the run ends: a string of digits when it is long enough, each now and then."""
        digits = run.real and run.mode == "digits"
        return (digits and run.clips >= MOST_DIGITS) or self.chance(self.sound.new_run)

    def take(self, run: Run) -> Take:
        """The next take of a run; neighbours differ a little in speed."""
        if not run.real:
            return self.rng.choice(self.synthetic)
        takes = self.draw(run.mode, first=run.clips == 0)
        speed = run.speed + self.rng.choice((-1, 0, 0, 1))
        return takes[min(len(SPEEDS) - 1, max(0, speed))]

    def draw(self, mode: str, first: bool) -> list[Take]:
        """The takes of a recording; a string of digits may have a prompt before it."""
        rng = self.rng
        if mode == "digits" and first and rng.random() < 0.3:
            mode = "prompts"
        if self.pools.get(mode):
            return rng.choice(self.pools[mode])
        if rng.random() < 0.55:
            return rng.choice(self.long)
        return rng.choice(self.other if rng.random() < 0.75 else self.all)

    def piece(self, take: Take, run: Run, room: int) -> Piece:
        """The whole clip, or 1-8 of its words where it is too long, and now and then anyway."""
        rng, words = self.rng, take.words
        count = len(words)
        whole = not run.spliced and rng.random() >= 0.35 and take.mel.shape[1] <= room
        if whole or count < 3:
            return self.crop(take, 0, count)
        first = rng.randrange(count)
        return self.crop(take, first, min(count, first + rng.randint(1, 3 if run.spliced else 8)))

    def crop(self, take: Take, first: int, last: int) -> Piece:
        """Words first..last-1, with a random margin where the clip begins or ends."""
        rng, words = self.rng, take.words
        if first:
            start = int(words[first - 1].end * FPS)
        else:
            start = max(0, int(take.start * FPS) - rng.randint(0, MARGIN))
        if last < len(words):
            end = int(words[last - 1].end * FPS)
        else:
            end = min(take.mel.shape[1], int(take.end * FPS) + rng.randint(2, MARGIN))
        ends = [(word.end - start / FPS, word.tokens) for word in words[first:last]]
        return Piece(take.mel[:, start:end], take.phones[start:end], ends)

    def louder(self, piece: Piece, run: Run) -> Piece:
        """The piece as loud as its run, give or take a little."""
        if not self.sound.loudness:
            return piece
        gain = run.gain + self.rng.uniform(-0.3, 0.3) * self.sound.loudness
        mel = np.maximum(piece.mel.astype(np.float32) + gain / 4, SILENCE)  # a log-mel unit is 4
        return Piece(mel, piece.phones, piece.words)


def lay_out(placed: list[tuple[int, Piece]], positions: int, start: int, end: int) -> Sequence:
    """Put the pieces into a sequence whose sound lasts from the mel frames `start` to `end`."""
    length = positions * MELS_PER_POSITION
    mel = np.full((128, length), SILENCE, np.float32)
    phones = np.full(length, PHONE_IDS["pau"], np.uint8)
    words = []
    for first, piece in placed:
        span = slice(first, first + piece.frames)
        mel[:, span], phones[span] = piece.mel, piece.phones
        words += [((first - start) / FPS + at, tokens) for at, tokens in piece.words]
    return Sequence(mel, phones, words, start, end)


def _is_letter(key: str) -> bool:
    return key.startswith("letters/") and len(key) == len("letters/a")
