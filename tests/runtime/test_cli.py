"""`voxrun --audio`: transcripts on stdout, nothing else; one sentence and an exit code for what is wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT, CLIPS

from voxrun.cli import main
from voxrun.results import Result
from voxrun.session import Session

MODEL = ["--model", str(CHECKPOINT)]
FIRST = CLIPS / "prompts" / "please-try-again.flac"
SECOND = CLIPS / "prompts" / "you-entered.flac"


def test_one_transcript_a_line_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MODEL, "--audio", str(FIRST), str(SECOND)]) == 0
    out, err = capsys.readouterr()
    assert out == "please try again\nyou entered\n"
    assert err == ""


def test_a_transcript_with_line_breaks_is_still_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Session, "feed", lambda session, samples: Result())
    monkeypatch.setattr(Session, "finish", lambda session: Result(" press five\nto leave"))
    assert main([*MODEL, "--audio", str(FIRST)]) == 0
    assert capsys.readouterr().out == "press five to leave\n"


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, absent = tmp_path / "notes.wav", tmp_path / "absent.wav"
    bad.write_text("no sound", encoding="utf-8")
    assert main([*MODEL, "--audio", str(FIRST), str(bad), str(absent), str(SECOND)]) == 2
    out, err = capsys.readouterr()
    assert out == "please try again\n\n\nyou entered\n"  # line k is file k
    assert [line.split(": ")[:2] for line in err.splitlines()] == [
        ["voxrun", str(bad)],
        ["voxrun", str(absent)],
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "nowhere"], "nowhere: no such folder, and no repository name like owner/name"),
        (["--model", "a/b", "--registry", "nowhere"], "a/b is not in the registry nowhere"),
        ([*MODEL, "--delay-ms", "100"], "a delay of 100 ms is not possible"),
        ([*MODEL, "--delay-ms", "nan"], "a delay of nan ms is not possible"),
        ([*MODEL, "--temp", "-1"], "a temperature of -1 is not possible"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--audio", str(FIRST)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"voxrun: {complaint}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {"delay_ms": None, "temperature": 0.0}),
        (["--delay-ms", "2400", "--temp", "0.5"], {"delay_ms": 2400.0, "temperature": 0.5}),
    ],
)
def test_options_reach_the_session(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], options: dict[str, float]
) -> None:
    asked = []

    class WatchedSession(Session):
        def __init__(self, *args: Any, **options: Any) -> None:
            asked.append(options)
            super().__init__(*args, **options)

    monkeypatch.setattr("voxrun.transcriber.Session", WatchedSession)
    assert main([*MODEL, "--audio", str(FIRST), *arguments]) == 0
    assert asked == [options]


def test_a_model_from_a_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = tmp_path / "models--team--tiny"
    shutil.copytree(CHECKPOINT, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    for ref in ("main", "v1"):
        (repository / "refs" / ref).write_text("abc", encoding="utf-8")
    chosen = ["--registry", str(tmp_path), "--model", "team/tiny"]
    assert main([*chosen, "--audio", str(FIRST)]) == 0
    assert main([*chosen, "--revision", "v1", "--audio", str(FIRST)]) == 0
    assert main([*chosen, "--revision", "v2", "--audio", str(FIRST)]) == 2
    assert capsys.readouterr().out == "please try again\n" * 2


def test_the_model_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOXRUN_MODEL", str(CHECKPOINT))
    assert main(["--audio", str(FIRST)]) == 0
    assert capsys.readouterr().out == "please try again\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([option])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert "voxrun" in out
    assert err == ""


def test_help_names_every_option_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for word in (
        "--audio",
        "--model",
        "--revision",
        "--registry",
        "--delay-ms",
        "--temp",
        "VOXRUN_MODEL",
        "130",
    ):
        assert word in text


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "voxrun.cli", *map(str, arguments)]


def test_the_process_writes_the_transcript_only(tmp_path: Path) -> None:
    result = subprocess.run(
        command(*MODEL, "--audio", FIRST, tmp_path / "absent.wav"), capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stdout == "please try again\n\n"
    assert result.stderr == f"voxrun: {tmp_path / 'absent.wav'}: cannot be read as audio (no such file)\n"


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        command(*MODEL, "--audio", FIRST, SECOND), stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == ""
