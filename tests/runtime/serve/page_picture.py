"""Makes docs/page.png: the page while it hears. python tests/runtime/serve/page_picture.py"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from browser import browser
from committed import CHECKPOINT, CLIPS, ROOT
from playwright.sync_api import Page
from served import PLAIN, served

from voxrun.transcriber import Transcriber

SPOKEN = (
    ("confbridge-only-one", 0.3),
    ("conf-now-unmuted", 2.2),
    ("vm-rec-name", 0.4),
    ("vm-tempgreeting", 2.2),
    ("vm-rec-unv", 1.0),
)
"""Clips, and the seconds of silence after each."""


def recording(path: Path) -> None:
    """What the microphone hears."""
    pieces = [np.zeros(8000, np.int16)]
    for name, pause in SPOKEN:
        samples, rate = soundfile.read(CLIPS / "prompts" / f"{name}.flac", dtype="int16")
        pieces += [samples, np.zeros(int(rate * pause), np.int16)]
    soundfile.write(path, np.concatenate(pieces), rate)


def take(page: Page) -> None:
    """Take pictures of the last paragraph until one has a draft and a level."""
    draft = page.locator("article p:nth-of-type(3) .draft")
    draft.wait_for(timeout=40_000)
    for _ in range(100):
        before = draft.inner_text()
        page.screenshot(path=ROOT / "docs" / "page.png")
        level = int(page.get_by_role("meter").get_attribute("aria-valuenow") or 0)
        if before == draft.inner_text() != "" and level > 30:
            return
    raise SystemExit("no picture has both a draft and a level; try again on an idle machine")


def main() -> None:
    """Record, and take the picture."""
    with TemporaryDirectory() as folder:
        microphone = Path(folder) / "spoken.wav"
        recording(microphone)
        with served(Transcriber.load(CHECKPOINT), PLAIN) as server, browser(microphone) as chromium:
            context = chromium.new_context(
                viewport={"width": 880, "height": 620}, device_scale_factor=1.5, permissions=["microphone"]
            )
            page = context.new_page()
            page.goto(server.url)
            page.get_by_role("button", name="Record").click()
            take(page)
            context.close()


if __name__ == "__main__":
    main()
