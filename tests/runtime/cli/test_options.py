"""What people type: recordings anywhere, options of other programs, and one line for every mistake."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS

from voxrun import habits
from voxrun.audio.choice import Choice, Raw
from voxrun.cli import bench_options, serve_options
from voxrun.cli.main import main
from voxrun.cli.options import parse, parser

CLIP = CLIPS / "prompts" / "please-try-again.flac"
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXRUN_MODEL", raising=False)
    return tmp_path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    def refused(*words: str) -> str:
        """The line that is said of such a command line, without the name of the program."""
        with pytest.raises(SystemExit) as end:
            parse(words)
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (2, "")
        assert re.fullmatch(r"voxrun: .*\n", err)
        return err.removeprefix("voxrun: ").rstrip("\n")

    return refused


@pytest.mark.parametrize(
    ("line", "recordings"),
    [
        ("", []),
        ("a.m4a b.mp3", ["a.m4a", "b.mp3"]),
        ("a --model X b --stats c", ["a", "b", "c"]),
        ("--model X a --verify=KEY b", ["a", "b"]),
        ("a --audio b c --audio d --model X e", ["a", "b", "c", "d", "e"]),
        ("a --audio=b a", ["a", "b", "a"]),  # one twice is transcribed twice
        ("--audio -dash.flac --model X", ["-dash.flac"]),
        ("--audio --dashes.flac -- --model -1", ["--dashes.flac", "--model", "-1"]),
        ("--model X -", ["-"]),
        ("- --model X", ["-"]),
        ("--audio - --model X", ["-"]),
        ("--model X -- -", ["-"]),
        ("--verify -- a", ["a"]),
    ],
)
def test_recordings_may_stand_anywhere_and_keep_their_order(line: str, recordings: list[str]) -> None:
    assert parse(line.split()).audio == recordings


def test_options_between_recordings_keep_their_values() -> None:
    args = parse("a --temp 1 b --model=X c --output -o.txt --track 2 d --channel 1 --verify".split())  # noqa: SIM905
    assert (args.temp, args.model, args.verify, args.output) == (1, "X", True, "-o.txt")
    assert args.choice == Choice(track=2, channel=1)
    assert str(parse(["a", "--verify=KEY"]).verify) == "KEY"
    assert parse(["-", "--raw", "s16le:8000:2"]).choice == Choice(raw=Raw("s16le", 8000, 2))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--languag", "--languag: no such option; voxrun --help lists all"),
        ("a --workers 4", "--workers: how many recordings are heard at once is --jobs"),
        ("server", "server: no such recording; the server is the command voxrun serve, before all options"),
        ("a --outpt x", "--outpt: no such option; did you mean --output?"),
        ("--regis X a", "--regis: no such option; did you mean --registry?"),  # no abbreviations
        ("--list X", "--list: no such option; did you mean --list-devices?"),
        ("a --DELAY_MS=80", "--DELAY_MS: no such option; did you mean --delay-ms?"),
        ("\N{EM DASH}model X a", "\N{EM DASH}model: no such option; did you mean --model?"),
        ("-x", "-x: no such option; voxrun --help lists all"),
        ("--model", "--model needs a value: --model PATH|REPO"),
        ("--audio --stats", "--audio needs a value: --audio FILE"),
        ("--output --language en", "--output needs a value: --output PATH"),
        ("--stats=yes a", "--stats takes no value"),
        ("a --seed x", "argument --seed: 'x' is not a whole number of 0 or more"),
        ("a --track 0", "argument --track: '0' is not a whole number of 1 or more"),
        ("a --delay-ms x", "argument --delay-ms: 'x' is not a number"),
        (f"a --lines {'1' * 16}", f"argument --lines: '{'1' * 16}' is too long for a number"),
        ("--words", "--words needs a value: --words cue|highlight"),
        ("--format", "--format needs a value: --format txt|json|srt|vtt|tsv"),
        ("--output=", "--output needs a value: --output PATH"),
        ("--verify=", "--verify needs a value: --verify=KEY"),
        ("--channel 1", "--track, --channel and --raw are of a recording: name one, or - for standard input"),
        ("- --raw s16le:16000 --track 1", "--raw and --track: raw samples have no tracks"),
        ("--device 1 a", "--device is a microphone, a a recording: choose one"),
    ],
)
def test_a_mistake_is_one_line(line: str, complaint: str, refused: Refused) -> None:
    assert refused(*line.split()) == complaint


@pytest.mark.parametrize(
    "option", [option for option in parser()._option_string_actions if option != "--audio"]
)
def test_no_value_is_empty(option: str, refused: Refused) -> None:
    """As that of a variable that is not set: `--output "$OUT"`."""
    assert re.match(rf"{option}( needs a value: | takes no value$)", refused("a", f"{option}="))
    if parser()._option_string_actions[option].nargs is None:
        assert refused("a", option, "").startswith(f"{option} needs a value: ")


@pytest.mark.parametrize(
    ("given", "is_told"),
    [
        ("pipe", True),
        ("written", True),
        ("ended", False),
        ("file", True),
        ("empty", False),
        ("/dev/null", False),
    ],
)
def test_sound_in_standard_input_is_not_ignored(
    given: str, is_told: bool, empty_folder: Path, refused: Refused
) -> None:
    """`cat talk.flac | voxrun` would record the room. Without sound there, as cron has it, it is meant so."""
    reader, writer = os.pipe()
    if given == "written":
        os.write(writer, b"RIFF")
    if given in ("written", "ended"):
        os.close(writer)
    (empty_folder / "file").write_bytes(b"RIFF")
    (empty_folder / "empty").touch()
    standard = os.dup(0)
    with (
        (empty_folder / given).open("rb")
        if given in ("file", "empty", "/dev/null")
        else os.fdopen(reader) as file
    ):
        os.dup2(file.fileno(), 0)
    try:
        if is_told:
            assert refused() == "standard input is -: voxrun - (for the microphone: voxrun </dev/null)"
        else:
            assert parse([]).audio == []
        assert parse(["--device", "1"]).device == "1"
        assert parse(["--list-devices"]).list_devices
        assert parse(["-"]).audio == ["-"]
    finally:
        os.dup2(standard, 0)
        os.close(standard)


def test_formats_in_capitals() -> None:
    assert parse(["a", "--format", "SRT"]).format == parse(["a", "--output", "a.SRT"]).format == "srt"


def test_raw_samples_of_an_unknown_codec_are_a_mistake_too(refused: Refused) -> None:
    assert refused("-", "--raw", "s16:16000").startswith("argument --raw: ")


def test_an_unknown_option_that_is_a_file_is_told_apart(empty_folder: Path, refused: Refused) -> None:
    (empty_folder / "-dash.flac").touch()
    assert refused("-dash.flac").endswith(
        "a recording that begins with a dash goes behind --: voxrun -- -dash.flac"
    )


@pytest.mark.parametrize("word", ["talk.flac", "key.pub", "-dash.flac"])
def test_a_word_behind_verify_is_neither_taken_for_a_key_nor_for_a_recording(
    word: str, refused: Refused
) -> None:
    """As a recording, a key would be ignored, and an unsigned model be used."""
    assert refused("--verify", word, "talk.flac") == (
        f"--verify {word}: write --verify={word} if that is its KEY;"
        " a recording goes before --verify, or behind another option"
    )


def test_options_of_other_programs_get_a_sentence(refused: Refused) -> None:
    for option in " ".join(habits.HABITS).split():
        typed = f"-{option}" if len(option) <= 4 else f"--{option}"
        assert refused("talk.flac", typed, "value") == f"{typed}: {habits.advice(option)}"


def test_habits_know_underscores_values_and_capitals(refused: Refused) -> None:
    assert "transcripts is --output" in refused("a", "--output_dir=out")
    assert "cannot translate" in refused("a", "--task", "translate")
    assert "detects the language itself" in refused("--Language", "en", "a")
    assert "MLX computes on the GPU" in refused("a", "--device", "cuda:0")


def test_habits_advise_what_exists_and_hide_nothing() -> None:
    own = set(parser()._option_string_actions)
    for names, advice in habits.HABITS.items():
        assert set(re.findall(r"--[a-z][a-z-]+", advice)) <= own
        assert not {f"{dashes}{name}" for name in names.split() for dashes in ("-", "--")} & own
    names = " ".join(habits.HABITS).split()
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "the name of a recording is empty"),
        ("talks", "talks: is a folder; name the recordings in it, as talks/* does"),
        ("*.flac", "*.flac: no file has a name like this"),
        ("FILE:///tmp/a%20b.mp3", "FILE:///tmp/a%20b.mp3: is an address; write the path, '/tmp/a b.mp3'"),
        (
            "https://host/a?b&c",
            "https://host/a?b&c: is an address; pipe it:"
            " ffmpeg -v error -i 'https://host/a?b&c' -f wav - | voxrun -",
        ),
        ("registry:tiny", "registry:tiny: is a model, not a recording; write --model registry:tiny"),
        (str(CHECKPOINT), f"{CHECKPOINT}: is a model, not a recording; write --model {CHECKPOINT}"),
    ],
)
def test_what_is_no_recording_is_told_before_a_model_is_looked_for(
    name: str, complaint: str, empty_folder: Path, refused: Refused
) -> None:
    (empty_folder / "talks").mkdir()
    assert refused(name) == complaint


def test_among_recordings_it_is_told_in_its_turn(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`voxrun *` in a folder with folders."""
    (empty_folder / "talks").mkdir()
    odd = ["talks", "http://host/a", "[0]"]
    shutil.copy(CLIP, "[1].flac")  # a name like a pattern
    assert main(["--model", str(CHECKPOINT), *odd, "[1].flac"]) == 2
    out, err = capsys.readouterr()
    assert out == "\n\n\nplease try again\n"
    told = [line.split(": ")[1:3] for line in err.splitlines()]
    assert [name for name, _ in told] == odd
    assert ["folder" in told[0][1], "address" in told[1][1], "no file" in told[2][1]] == [True] * 3


def test_a_model_among_recordings_is_never_one_of_them(refused: Refused) -> None:
    assert "is a model, not a recording" in refused("talk.flac", str(CHECKPOINT))


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (
            "talk.flac",
            "--model talk.flac: is a file, not the folder of a model;"
            " a recording needs no option: voxrun talk.flac",
        ),
        ("m.safetensors", "--model m.safetensors: is a file; name the model's folder, ."),
        ("large-v3", "--model large-v3: is a Whisper model; voxrun runs Voxtral-Mini-4B-Realtime only"),
        ("mlx-community/whisper-tiny", None),
        ("base.en", None),
    ],
)
def test_what_is_no_model_gets_a_sentence(
    model: str, complaint: str | None, empty_folder: Path, refused: Refused
) -> None:
    for name in ("talk.flac", "m.safetensors"):
        (empty_folder / name).touch()
    told = refused("--model", model)
    assert told == complaint if complaint else "is a Whisper model" in told


def test_a_folder_named_like_a_whisper_model_is_a_model(empty_folder: Path) -> None:
    (empty_folder / "base").mkdir()
    assert parse(["--model", "base"]).model == "base"


def test_the_choice_reaches_the_recording(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = soundfile.read(CLIP)[0]
    soundfile.write("two.wav", np.stack([np.zeros_like(said), said], axis=1), 16000)
    Path("two.raw").write_bytes((said * 32767).astype("<i2").tobytes())
    model = ["--model", str(CHECKPOINT)]
    assert main([*model, "two.wav", "--channel", "2"]) == 0
    assert main([*model, "two.raw", "--raw", "s16le:16000"]) == 0
    assert main([*model, str(CLIP), "--track", "2"]) == 2
    assert capsys.readouterr().out == "please try again\n" * 2 + "\n"


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_help_fits_the_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)


def test_examples_of_the_help_make_sense(empty_folder: Path) -> None:
    examples = re.findall(r"voxrun((?: (?! )\S+)*)", parser().format_help().partition("examples:")[2])
    assert len(examples) >= 6
    for example in examples:
        words = example.replace("*.flac", "a.flac b.flac").split()
        if words[:1] == ["serve"]:
            serve_options.parse(words[1:])
        elif words[:1] == ["bench"]:
            bench_options.parse(words[1:])
        else:
            parse(words)
