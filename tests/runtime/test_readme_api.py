"""The Python in the READMEs runs as it stands and says what it should."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from committed import CHECKPOINT, ROOT
from patience import PATIENCE


def examples(document: str) -> list[str]:
    """All Python in a document, each to be run on its own."""
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


ALL = [(document, code) for document in ("README.md", "runtime/README.md") for code in examples(document)]
PROGRAMS = [code for _, code in ALL if "__main__" in code]
EXAMPLES = [(document, code) for document, code in ALL if code not in PROGRAMS]
SAID = {"for word in transcript.words": 4, "with open(": 2, "ThreadPoolExecutor": 3}
"""How many lines an example prints, by what it contains; the others print one."""


@pytest.fixture(autouse=True)
def in_a_folder_with_a_model_and_a_recording(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "tiny").mkdir(parents=True)
    (tmp_path / "out" / "tiny" / "4bit").symlink_to(CHECKPOINT)
    shutil.copy(clip, tmp_path / "talk.flac")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("document", "code"), EXAMPLES)
def test_the_api_as_it_is_shown(
    document: str,
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exec(code, {})
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == next((n for part, n in SAID.items() if part in code), 1)
    if "transcript.words" in code:
        assert [line.split()[-1] for line in lines[1:]] == ["please", "try", "again"]
        del lines[1:]
    assert set(lines) == {"please try again"}


@pytest.mark.slow
@pytest.mark.parametrize("code", PROGRAMS)
def test_programs_as_they_are_shown(code: str) -> None:
    Path("program.py").write_text(code, encoding="utf-8")
    process = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=PATIENCE)
    assert (process.stdout, process.stderr) == ("please try again\n" * 2, "")


def test_every_way_is_shown() -> None:
    shown = "".join(examples("runtime/README.md"))
    for way in (
        "ThreadPoolExecutor",
        "asyncio",
        "initializer=",
        "rate=rate",
        "open(",
        ".stream(",
        ".session(",
        ".feed(",
    ):
        assert way in shown
