"""`voxrun --audio`: transcripts on stdout, nothing else; one sentence and an exit code for what is wrong."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS

from voxrun.cli import main as main_module
from voxrun.cli.main import main
from voxrun.cli.options import parser
from voxrun.cli.signals import Interruption
from voxrun.model import description
from voxrun.stream.results import Result
from voxrun.stream.session import Session

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
    bad, absent, long = (str(tmp_path / name) for name in ("notes.wav", "absent.wav", "long" * 100))
    Path(bad).write_text("no sound", encoding="utf-8")
    assert main([*MODEL, "--audio", str(FIRST), bad, absent, long, str(SECOND)]) == 2
    out, err = capsys.readouterr()
    assert out == "please try again\n\n\n\nyou entered\n"  # line k is file k
    complaints = [line.split(": ")[:2] for line in err.splitlines()]
    assert complaints == [["voxrun", name] for name in (bad, absent, long)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "nowhere"], "nowhere: no such folder, and no repository name like owner/name"),
        (["--model", "x" * 300], f"{'x' * 300}: no such folder, and no repository name like owner/name"),
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


DEFAULTS = {
    "delay_ms": None,
    "temperature": 0.0,
    "seed": 0,
    "alternatives": 0,
    "unstick": False,
    "live": False,
}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--delay-ms", "2400"], {"delay_ms": 2400.0}),
        (["--temp", "0.5", "--seed", "7"], {"temperature": 0.5, "seed": 7}),
        (["--alternatives", "3", "--format", "json"], {"alternatives": 3}),
        (["--unstick"], {"unstick": True}),
    ],
)
def test_options_reach_the_session(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], options: dict[str, Any]
) -> None:
    asked = []

    class WatchedSession(Session):
        def __init__(self, *args: Any, **options: Any) -> None:
            asked.append(options)
            super().__init__(*args, **options)

    monkeypatch.setattr("voxrun.transcriber.Session", WatchedSession)
    assert main([*MODEL, "--audio", str(FIRST), *arguments]) == 0
    assert asked == [DEFAULTS | options]


def test_a_model_from_a_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = tmp_path / "models--team--tiny"
    shutil.copytree(CHECKPOINT, repository / "snapshots" / ("abcd" * 10))
    (repository / "refs").mkdir()
    for ref in ("main", "v1"):
        (repository / "refs" / ref).write_text("abcd" * 10, encoding="utf-8")
    chosen = ["--registry", str(tmp_path), "--model", "team/tiny"]
    assert main([*chosen, "--audio", str(FIRST)]) == 0
    assert main([*chosen, "--revision", "v1", "--audio", str(FIRST)]) == 0
    assert main([*chosen, "--revision", "v2", "--audio", str(FIRST)]) == 2
    assert main(["--registry", str(tmp_path), "--model", "registry:tiny@v1", "--audio", str(FIRST)]) == 0
    assert capsys.readouterr().out == "please try again\n" * 3


def test_the_model_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOXRUN_MODEL", str(CHECKPOINT))
    assert main(["--audio", str(FIRST)]) == 0
    assert capsys.readouterr().out == "please try again\n"


def test_subtitles_of_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MODEL, "--audio", str(FIRST), "--format", "vtt"]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(
        r"WEBVTT\n\n00:00:00\.000 --> 00:00:01\.\d{3}\nplease try again\n\n",
        out,
    )


def test_lines_and_words_as_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MODEL, "--audio", str(FIRST)]) == 0
    said = capsys.readouterr().out.split()
    assert (
        main([*MODEL, "--audio", str(FIRST), "--format", "vtt", "--line-length", "10", "--lines", "1"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()[3::3]
    assert " ".join(lines).split() == said
    assert len(lines) > 1
    assert all(len(line) <= 10 or " " not in line for line in lines)
    assert main([*MODEL, "--audio", str(FIRST), "--format", "tsv", "--words", "cue"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split("\t")[2] for row in rows] == said
    assert main([*MODEL, "--audio", str(FIRST), "--timestamps"]) == 0
    times, _, text = capsys.readouterr().out.partition("] ")
    assert (times[:18], text.split()) == ("[00:00:00.000 --> ", said)


def test_json_is_a_line_a_recording_the_bad_ones_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.wav")
    assert main([*MODEL, "--audio", str(FIRST), absent, "--format", "json", "--alternatives", "2"]) == 2
    heard, failed = map(json.loads, capsys.readouterr().out.splitlines())
    assert (heard["file"], heard["text"]) == (str(FIRST), "please try again")
    assert (heard["model"], heard["delay_ms"], heard["seconds"]) == (str(CHECKPOINT), 480, 1.245)
    words = heard["segments"][0]["words"]
    assert [word["text"] for word in words] == ["please", "try", "again"]
    for word in words:
        for token in word["tokens"]:
            best, other = token["alternatives"]
            assert best["id"] == token["id"]
            assert 1 >= best["probability"] >= other["probability"] >= 0
    assert failed == {"file": absent, "error": f"{absent}: cannot be read as audio (no such file)"}


def test_a_folder_gets_a_file_for_each_good_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "bad.wav", tmp_path / "out"
    bad.write_text("no sound", encoding="utf-8")
    files = [str(FIRST), str(bad), str(SECOND)]
    assert main([*MODEL, "--audio", *files, "--format", "srt", "--output", str(out)]) == 2
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in out.iterdir()) == ["please-try-again.srt", "you-entered.srt"]
    assert (out / "you-entered.srt").read_text(encoding="utf-8").endswith("you entered\n\n")


def test_a_model_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    command = ["--model", str(tmp_path / "nope"), str(FIRST), str(SECOND)]
    for target in ("new/", "new", "new/below/"):
        assert main([*command, "--output", f"{tmp_path}/{target}"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_bad_place_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "please-try-again.txt").mkdir()
    assert main([*MODEL, "--audio", str(FIRST), str(SECOND), "--output", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"voxrun: {tmp_path}/please-try-again.txt: cannot be written (Is a directory)\n"
    assert (tmp_path / "you-entered.txt").read_text(encoding="utf-8") == "you entered\n"


def test_a_recording_of_the_longest_name(tmp_path: Path) -> None:
    name = "録" * 83 + ".flac"
    shutil.copy(FIRST, tmp_path / name)
    for target in (f"{tmp_path}/out/", f"{tmp_path}/{'話' * 83}.json"):
        command = [*MODEL, "--audio", str(tmp_path / name), "--output", target, "--format", "json"]
        assert main(command) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["録" * 83 + ".json"]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_format_follows_from_the_name(tmp_path: Path) -> None:
    openings = [
        ("a.vtt", "WEBVTT"),
        ("a.srt", "1\n"),
        ("A.SRT", "1\n"),
        ("a.json", '{"file"'),
        ("a.md", "please"),
    ]
    for name, opening in openings:
        assert main([*MODEL, "--audio", str(FIRST), "--output", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(opening)


def test_a_damaged_recording_leaves_an_older_transcript_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = np.zeros(16000 * 12, np.float32)
    samples[-1] = np.nan  # found out when most of it is transcribed
    soundfile.write(tmp_path / "talk.wav", samples, 16000, subtype="FLOAT")
    (tmp_path / "talk.srt").write_text("old", encoding="utf-8")
    assert main([*MODEL, "--audio", str(tmp_path / "talk.wav"), "--output", str(tmp_path / "talk.srt")]) == 2
    assert (tmp_path / "talk.srt").read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_stats_are_printed_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MODEL, "--audio", str(FIRST), str(SECOND), "--stats"]) == 0
    out, err = capsys.readouterr()
    assert out == "please try again\nyou entered\n"
    figures = dict(line.split(maxsplit=1) for line in err.splitlines()[1:])
    assert list(figures) == ["model", "device", "load", "audio", "wall", "decode", "memory"]
    assert figures["model"] == f"{CHECKPOINT}, not quantized, computed in float32, delay 480 ms"
    assert re.fullmatch(r"CPU .+, \d+ cores, voxrun's kernels", figures["device"])
    assert figures["audio"] == "2.22 s"
    assert "real-time factor" in figures["wall"]
    decoded = r"(\d+) tokens in (\d+) passes \(([\d.]+) a token\), [\d.]+ ms a token, encoder and all"
    told = re.fullmatch(decoded, figures["decode"])
    assert told and float(told[3]) == round(int(told[2]) / int(told[1]), 2)
    assert re.fullmatch(r"\d+ MB resident at most, \d+ MB of it MLX's", figures["memory"])


def test_stats_tell_quantization_and_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SimpleNamespace(quantization={"bits": 4, "group_size": 64, "head": {"bits": 6}, "norm": False})
    model: Any = SimpleNamespace(config=config, dtype="mlx.core.bfloat16")
    kinds = "4-bit affine in groups of 64 and 6-bit affine in groups of 64"
    assert description.weights(model) == f"{kinds}, computed in bfloat16"
    monkeypatch.setenv("VOXRUN_KERNELS", "none")
    assert description.device().endswith("cores, MLX's kernels (VOXRUN_KERNELS=none)")
    monkeypatch.setattr(description, "on_cpu", lambda: False)
    assert re.fullmatch("GPU .+, MLX's kernels", description.device())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--audio", "-", "a.wav"], "standard input cannot be one of several"),
        (["--audio", "a.wav", "--device", "1"], "choose one"),
        (["--audio", "a.wav", "--alternatives", "2"], "--format json only"),
        (["--audio", "a.wav", "--alternatives", "-1"], "'-1' is not a whole number of 0 or more"),
        (["--audio", "a.wav", "b.wav", "--format", "srt"], "several recordings as srt need --output FOLDER"),
        (
            ["--audio", "a.wav", "b.wav", "--format", "srt", "--output", "-"],
            "several recordings as srt need --output FOLDER",
        ),
        (["--audio", "a.wav", "b.wav", "--format", "tsv"], "several recordings as tsv need --output FOLDER"),
        (["--audio", "a.wav", "b.wav", "--timestamps"], "several recordings as txt with times need --output"),
        (["--audio", "a.wav", "--format", "docx"], "invalid choice"),
        (
            ["--audio", "a.wav", "--line-length", "42"],
            "--line-length belongs to --format srt or vtt, not txt",
        ),
        (["--format", "json", "--lines", "1"], "--lines belongs to --format srt or vtt, not json"),
        (
            ["--format", "json", "--words", "cue"],
            "--words cue belongs to --format srt or vtt or tsv, not json",
        ),
        (["--output", "a.srt", "--words", "highlight"], "--words highlight belongs to --format vtt, not srt"),
        (["--output", "a.vtt", "--timestamps"], "--timestamps belongs to --format txt, not vtt"),
        (["--output", "a.srt", "--words", "cue", "--lines", "1"], "--words cue has one word in a cue"),
        (["--output", "a.srt", "--lines", "0"], "'0' is not a whole number of 1 or more"),
        (["--output", "a.srt", "--line-length", "wide"], "'wide' is not a whole number of 1 or more"),
    ],
)
def test_invalid_options_are_refused_before_the_model_is_loaded(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--model", "nowhere", *arguments])
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MODEL, "--audio", str(FIRST), "--output", "nowhere/a.txt"]) == 2
    complaint = "voxrun: nowhere/a.txt: cannot be written (No such file or directory)\n"
    assert capsys.readouterr().err == complaint


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([option])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert "voxrun" in out
    assert err == ""


def test_help_names_every_option_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for word in [*parser()._option_string_actions, "VOXRUN_MODEL", "VOXRUN_REGISTRY", "130", "143"]:
        assert word in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 100
    assert len(text.split()) <= 700  # three minutes' reading, of 240 words a minute


@pytest.mark.parametrize("words", [["talk.flac"], ["bench"]])
def test_a_lack_of_memory_is_one_sentence(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("voxrun.cli.run.run", fail)
    monkeypatch.setattr("voxrun.cli.bench._bench", fail)
    monkeypatch.setattr("sys.argv", ["voxrun", *words])
    assert main_module._main(Interruption()) == 2
    assert re.fullmatch(r"voxrun: not enough memory: .*\n", capsys.readouterr().err)
