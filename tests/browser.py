"""A Chromium that is installed, with a recording as its microphone where a page hears."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import PATIENCE
from playwright.sync_api import Browser, Page, expect, sync_playwright

expect.set_options(timeout=PATIENCE * 1000)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OF_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
INSECURE_NAME = "voxrun.test"
"""A name of this machine that browsers do not take for one: pages from there are not secure."""


def executable() -> str | None:
    """CHROME_BIN, or what is found by its name; None if there is none."""
    found = filter(None, [os.environ.get("CHROME_BIN"), *map(shutil.which, NAMES)])
    return next(found, str(OF_MACOS) if OF_MACOS.exists() else None)


def new_page(browser: Browser, **options: Any) -> Page:
    """A page in a context of its own, which waits for as long as any machine takes."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE * 1000)
    return context.new_page()


@contextmanager
def browser(microphone: Path | None = None) -> Iterator[Browser]:
    """`microphone`: a WAV file, which is played once from the moment on at which a page opens it."""
    options = [f"--host-resolver-rules=MAP {INSECURE_NAME} 127.0.0.1"]
    if microphone:
        options += [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        ]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable(), args=options)
        yield running
        running.close()
