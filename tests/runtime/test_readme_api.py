"""The Python in the READMEs runs as it stands and says what it should."""

import re
import shutil
from pathlib import Path

import pytest
from committed import CHECKPOINT, ROOT


@pytest.mark.parametrize("document", ["README.md", "runtime/README.md"])
def test_the_api_as_it_is_shown(
    document: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "out" / "tiny").mkdir(parents=True)
    (tmp_path / "out" / "tiny" / "4bit").symlink_to(CHECKPOINT)
    shutil.copy(clip, tmp_path / "talk.flac")
    monkeypatch.chdir(tmp_path)
    exec(code[1], {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "please try again"
    if document == "runtime/README.md":
        assert [line.split()[-1] for line in lines[1:4]] == ["please", "try", "again"]
        assert lines[4].strip() == "please try again"
