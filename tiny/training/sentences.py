"""Stage `sentences`: texts for the synthetic voices, drawn from the words of the training prompts.

None of them equals the text of a held-out clip.
"""

import json
import random
import re
from pathlib import Path

from tiny.training import transcripts
from tiny.training.split import load_split, refuse_held_out
from tiny.training.transcripts import DIGITS
from tiny.training.workspace import Workspace, written_whole

DRAWN = 4200
LONGEST = 24  # words
TEENS = ("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen").split()  # noqa: SIM905
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
DAYS = "sunday monday tuesday wednesday thursday friday saturday".split()  # noqa: SIM905
MONTHS = (  # noqa: SIM905
    "january february march april may june july august september october november december"
).split()
ORDINALS = (  # noqa: SIM905
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
).split()
LETTERS = list("abcdefghijklmnopqrstuvwxyz")
CARRIERS = (
    "extension",
    "you entered",
    "the number is",
    "message from extension",
    "the person at extension",
    "message from phone number",
    "you have",
    "conference number",
    "your number is",
)
MENU = re.compile(
    r"(?:press|dial) (?:star|pound|zero|one|two|three|four|five|six|seven|eight|nine) "
    r"(?:to|for) ([a-z' ]+?)(?= press| dial| or |$)"
)


def output(work: Workspace) -> Path:
    """The list of texts."""
    return work.path("sentences.json")


def run(work: Workspace) -> str:
    """Write the list of texts, random ones first, then every word of the prompts three times."""
    known = transcripts.load(work)
    split = load_split()
    training = {key: known[key] for key in split.training(sorted(known))}
    forbidden = {known[key] for key in split.held_out}
    texts = draw(training, forbidden)
    with written_whole(output(work)) as path:
        path.write_text(json.dumps(texts, indent=0), encoding="utf-8")
    return f"{len(texts)} sentences"


def load(work: Workspace) -> list[str]:
    """Read the list of texts."""
    return json.loads(work.needs(output(work), "sentences").read_text(encoding="utf-8"))


def draw(training: dict[str, str], forbidden: set[str], seed: int = 7) -> list[str]:
    """`DRAWN` random sentences not in `forbidden`, then the coverage of all words."""
    refuse_held_out(training)
    rng = random.Random(seed)
    author = Author(training, rng)
    texts: list[str] = []
    while len(texts) < DRAWN:
        text = author.sentence()
        if text not in forbidden and len(text.split()) <= LONGEST:
            texts.append(text)
    words = author.words * 3
    rng.shuffle(words)
    fours = (" ".join(words[i : i + 4]) for i in range(0, len(words), 4))
    return texts + [text for text in fours if text not in forbidden]


def number(n: int) -> str:
    """0 <= n < 1,000,000 in words, without hyphens or `and`."""
    if n < 10:
        return DIGITS[n]
    if n < 20:
        return TEENS[n - 10]
    if n < 100:
        return f"{TENS[n // 10 - 2]} {number(n % 10) if n % 10 else ''}".strip()
    size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    return f"{number(n // size)} {name} {number(n % size) if n % size else ''}".strip()


class Author:
    """Writes random sentences in the manner of the prompts."""

    def __init__(self, training: dict[str, str], rng: random.Random) -> None:
        self.rng = rng
        self.texts = sorted(set(training.values()))
        self.words = sorted({word for text in self.texts for word in text.split()})
        self.phonetic = [text for key, text in training.items() if key.startswith("phonetic/")]
        actions = {action for text in self.texts for action in MENU.findall(text)}
        self.actions = sorted(a for a in actions if len(a.split()) <= 9)
        self.kinds = (  # share of the sentences, what they are
            (0.30, self.prompt),
            (0.06, self.menu_line),
            (0.08, lambda: f"{self.key_press()} {self.key_press()}"),
            (0.10, lambda: self.digits(3, 8)),
            (0.04, lambda: f"{rng.choice(CARRIERS)} {self.digits(2, 6)}"),
            (0.05, self.random_number),
            (0.05, lambda: self.some(LETTERS, 2, 6)),
            (0.03, lambda: self.some(self.phonetic, 2, 5)),
            (0.05, self.date),
            (0.04, self.message_count),
            (0.10, self.crop),
            (0.10, lambda: self.some(self.words, 3, 7)),
        )

    def sentence(self) -> str:
        """A sentence of a random kind."""
        shares, writers = zip(*self.kinds, strict=True)
        return self.rng.choices(writers, shares)[0]()

    def some(self, words: list[str], fewest: int, most: int) -> str:
        """Random words of a list, with repetition."""
        count = self.rng.randint(fewest, most)
        return " ".join(self.rng.choice(words) for _ in range(count))

    def prompt(self) -> str:
        """The text of a training prompt."""
        return self.rng.choice(self.texts)

    def digits(self, fewest: int, most: int) -> str:
        """A string of digits."""
        return self.some(DIGITS, fewest, most)

    def key_press(self) -> str:
        """What a key does: press five to leave a message."""
        verb = self.rng.choice(["press", "press", "dial"])
        key = self.rng.choice([*DIGITS, "star", "pound"])
        return f"{verb} {key} to {self.rng.choice(self.actions)}"

    def menu_line(self) -> str:
        """What a key does, or the action alone."""
        return self.rng.choice(self.actions) if self.rng.random() < 0.3 else self.key_press()

    def random_number(self) -> str:
        """A number of two, three, or four to five digits."""
        low, high = self.rng.choice([(10, 99), (100, 999), (1000, 99999)])
        return number(self.rng.randint(low, high))

    def date(self) -> str:
        """A day of the week and of the year, with or without a time."""
        rng = self.rng
        day = rng.choice(ORDINALS)
        if rng.random() < 0.3:
            day = f"{rng.choice(['twenty', 'thirty'])} {rng.choice(ORDINALS[:9])}"
        date = f"{rng.choice(DAYS)} {rng.choice(MONTHS)} {day}"
        return f"{date} at {self.time()}" if rng.random() < 0.6 else date

    def time(self) -> str:
        """A time of day."""
        minutes = self.rng.choice(["oclock", number(self.rng.randint(10, 59))])
        return f"{number(self.rng.randint(1, 12))} {minutes} {self.rng.choice(['a m', 'p m'])}"

    def message_count(self) -> str:
        """How many messages there are."""
        count = self.rng.choice(["no", number(self.rng.randint(1, 30))])
        kind = self.rng.choice(["new", "old", "urgent"])
        return f"you have {count} {kind} {self.rng.choice(['messages', 'message'])}"

    def crop(self) -> str:
        """Two to eight words in a row of a training prompt, fewer at its end."""
        words = self.prompt().split()
        start = self.rng.randrange(len(words))
        return " ".join(words[start : start + self.rng.randint(2, 8)])
