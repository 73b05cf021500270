"""The Python in the READMEs runs as it stands and says what it should."""

import re
import shutil
from pathlib import Path

import pytest
from committed import CHECKPOINT, ROOT


def examples(document: str) -> list[str]:
    """All Python in a document, each to be run on its own."""
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


EXAMPLES = [
    (document, code) for document in ("README.md", "runtime/README.md") for code in examples(document)
]
SAID = {"for word in transcript.words": 4, "with open(": 2, "ThreadPoolExecutor": 3}
"""How many lines an example prints, by what it contains; the others print one."""


@pytest.mark.parametrize(("document", "code"), EXAMPLES)
def test_the_api_as_it_is_shown(
    document: str,
    code: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "out" / "tiny").mkdir(parents=True)
    (tmp_path / "out" / "tiny" / "4bit").symlink_to(CHECKPOINT)
    shutil.copy(clip, tmp_path / "talk.flac")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == next((n for part, n in SAID.items() if part in code), 1)
    if "transcript.words" in code:
        assert [line.split()[-1] for line in lines[1:]] == ["please", "try", "again"]
        del lines[1:]
    assert set(lines) == {"please try again"}


def test_every_way_is_shown() -> None:
    shown = "".join(examples("runtime/README.md"))
    for way in ("ThreadPoolExecutor", "asyncio", "rate=rate", "open(", ".stream(", ".session(", ".feed("):
        assert way in shown
