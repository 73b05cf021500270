"""Stage `transcripts`: the packaged transcripts, normalised: lower case, digits spelled out."""

import gzip
import json
import re
from pathlib import Path

from tiny.training import recordings
from tiny.training.workspace import Workspace, written_whole

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

# Tones, foreign words, and prompts whose recording says something else than the transcript.
SKIPPED = set(
    """ascending-2tone descending-2tone beep beeperr tt-monkeys confbridge-join confbridge-leave
    demo-instruct demo-abouttotry demo-moreinfo demo-nogo demo-thanks demo-congrats
    demo-enterkeywords spy-dahdi spy-h323 spy-iax2 spy-iax spy-jingle spy-mgcp spy-misdn spy-nbs
    spy-sip spy-skinny spy-unistim spy-usbradio spy-zap conf-adminmenu-162 conf-adminmenu-menu8
    letters/exclaimation-point privacy-unident vm-login vm-newuser basic-pbx-ivr-main""".split()  # noqa: SIM905
)
CORRECTED = {
    "confbridge-binaural-off": "three d audio disabled",
    "confbridge-binaural-on": "three d audio enabled",
}
REPLACED = {  # before the text is split into words: signs, abbreviations, misspellings
    "&": " and ",
    "*": " star ",
    "#": " pound ",
    "a.m.": "a m",
    "p.m.": "p m",
    "o'clock": "oclock",
    "umute": "unmute",
    "represenatives": "representatives",
    "fourtieth": "fortieth",
    "indentified": "identified",
    "witheld": "withheld",
}


def output(work: Workspace) -> Path:
    """All usable transcripts."""
    return work.path("transcripts.json")


def run(work: Workspace) -> str:
    """Write {key: text} of every usable prompt."""
    source = work.needs(work.unpacked, "recordings") / recordings.TRANSCRIPTS
    recorded = set(recordings.keys(work))
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        texts = {key: text for key, text in map(parse, lines) if key in recorded and text}
    with written_whole(output(work)) as path:
        path.write_text(json.dumps(texts, indent=1), encoding="utf-8")
    words = [word for text in texts.values() for word in text.split()]
    return f"{len(texts)} prompts, {len(words)} words, {len(set(words))} different"


def load(work: Workspace) -> dict[str, str]:
    """{key: text}, the held-out clips included: ask `Split.training` which may be trained on."""
    path = work.needs(output(work), "transcripts")
    return json.loads(path.read_text(encoding="utf-8"))


def parse(line: str) -> tuple[str, str]:
    """A line `key: transcript` as key and normalised text; the text is empty if it is unusable."""
    key, _, text = (part.strip() for part in line.partition(":"))
    if not key or key.startswith((";", "silence/")) or key in SKIPPED:
        return key, ""
    return key, CORRECTED.get(key) or normalise(text)


def normalise(text: str) -> str:
    """Lower case words of a-z and apostrophes, one space between them."""
    text = re.sub(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>", " ", text).lower()
    for old, new in REPLACED.items():
        text = text.replace(old, new)
    text = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text)
    text = re.sub(r"[^a-z' ]", " ", text)
    return " ".join(word.strip("'") for word in text.split() if word.strip("'"))
