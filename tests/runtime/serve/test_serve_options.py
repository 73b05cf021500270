"""What people type behind `voxrun serve`."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from committed import CHECKPOINT

from voxrun import habits
from voxrun.cli.keys import keys_of
from voxrun.cli.main import main
from voxrun.cli.serve_options import parse, parser, settings
from voxrun.errors import VoxrunError
from voxrun.serve.settings import Limits, Settings

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("VOXRUN_MODEL", "VOXRUN_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    def refused(*words: str) -> str:
        """The line that is said of such a command line, without the name of the program."""
        with pytest.raises(SystemExit) as end:
            main(["serve", *words])
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (2, "")
        assert re.fullmatch(r"voxrun serve: .*\n", err)
        return err.removeprefix("voxrun serve: ").rstrip("\n")

    return refused


def test_without_options_the_settings_are_the_defaults() -> None:
    args = parse([])
    assert args.model == "mlx-community/Voxtral-Mini-4B-Realtime-6bit"
    assert settings(args, CHECKPOINT, "tiny", ()) == Settings(CHECKPOINT, "tiny")


def test_options_reach_the_settings() -> None:
    words = "--host :: --port 0 --allow-origin https://A.b/ --allow-origin * --delay-ms 960 --idle-unload 5"
    limits = "--grace 0 --max-sessions 2 --max-waiting 1.5 --max-upload 0.5 --idle-timeout 9"
    chosen = settings(parse([*words.split(), *limits.split()]), CHECKPOINT, "tiny", ("key",))
    assert chosen == Settings(
        *(CHECKPOINT, "tiny", "::", 0, ("key",), ("https://a.b", "*"), 960.0, 5.0, 0.0),
        Limits(sessions=2, waiting_seconds=1.5, upload_bytes=2**19, idle_seconds=9.0),
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--port 65536", "argument --port: '65536' is not a port, a number from 0 to 65535"),
        ("--port -1", "argument --port: '-1' is not a port, a number from 0 to 65535"),
        (
            "--allow-origin a.b",
            "argument --allow-origin: 'a.b' is not an origin, such as https://app.example.org",
        ),
        ("--max-upload nan", "argument --max-upload: 'nan' is not a number above 0"),
        ("--idle-unload 0", "argument --idle-unload: '0' is not a number above 0"),
        ("--grace -1", "argument --grace: '-1' is not a number of 0 or more"),
        ("--grace inf", "argument --grace: 'inf' is not a number of 0 or more"),
        ("--api-key", "--api-key needs a value: --api-key KEY"),
        ("--prot 1", "--prot: no such option; did you mean --port?"),
        ("--device gpu", "--device: MLX computes on the GPU if there is one, else on the CPU; leave it out"),
        ("--jobs 2", "--jobs: one process serves all sessions, in one pass of the model; leave it out"),
        (
            "--host 127.0.0.1:9000",
            "argument --host: '127.0.0.1:9000' is more than a name; write --host 127.0.0.1 --port 9000",
        ),
        ("--host http://[::1]/", "argument --host: 'http://[::1]/' is more than a name; write --host ::1"),
        ("--form x", "--form: no such option; voxrun serve --help lists all"),
        ("--output x", "--output: no such option; voxrun serve --help lists all"),
        (
            "--model large-v3",
            "--model large-v3: is a Whisper model; voxrun runs Voxtral-Mini-4B-Realtime only",
        ),
        ("--workers 2", "--workers: one process serves all sessions, in one pass of the model; leave it out"),
        ("--language en", "--language: the model detects the language itself; leave it out"),
    ],
)
def test_a_mistake_is_one_line(line: str, complaint: str, refused: Refused) -> None:
    assert refused(*line.split()) == complaint


@pytest.mark.parametrize(
    "origin", ["https://a.b/c", "https://u@a.b", "//a.b", "https://a.b:x", "null", "https://["]
)
def test_what_is_no_origin_is_told(origin: str, refused: Refused) -> None:
    assert "is not an origin" in refused("--allow-origin", origin)


def test_a_bad_key_is_told_and_not_shown(refused: Refused) -> None:
    assert "secret" not in refused("--api-key", "secret word")


def test_a_recording_behind_serve_gets_a_sentence(refused: Refused) -> None:
    assert refused("talk.flac").endswith("for a recording that is called serve: voxrun ./serve")


def test_options_of_other_servers_get_a_sentence_that_names_real_options(refused: Refused) -> None:
    own = set(parser()._option_string_actions)
    for names, advice in habits.SERVER_HABITS.items():
        assert set(re.findall(r"--[a-z][a-z-]+", advice)) <= own
        for name in names.split():
            typed = f"-{name}" if len(name) <= 2 else f"--{name}"
            assert typed not in own
            assert refused(typed, "value") == f"{typed}: {advice}"
    names = " ".join(habits.SERVER_HABITS).split()
    assert len(names) == len(set(names))


def test_keys_come_from_all_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# of Ada\nb\n\n  c  \n", encoding="utf-8")
    monkeypatch.setenv("VOXRUN_API_KEY", "v")
    assert keys_of("a", tmp_path / "keys") == ("a", "v", "b", "c")
    monkeypatch.delenv("VOXRUN_API_KEY")
    assert keys_of(None, None) == ()


@pytest.mark.parametrize("content", [b"", b"# none\n", b"a\nsecret word\n", b"\xff\xfe", None])
def test_a_file_without_keys_protects_nothing_and_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(VoxrunError, match="keys") as refused:
        keys_of(None, tmp_path / "keys")
    assert "secret" not in str(refused.value)


def test_an_empty_variable_protects_nothing_and_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRUN_API_KEY", "")
    with pytest.raises(VoxrunError, match="VOXRUN_API_KEY: has no key"):
        keys_of("a", None)


@pytest.mark.parametrize("columns", ["40", "80"])
def test_the_help_fits_the_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= int(columns)


def test_examples_of_the_help_make_sense() -> None:
    examples = re.findall(r"voxrun serve((?: (?! )\S+)*)", parser().format_help().partition("examples:")[2])
    assert len(examples) >= 3
    for example in examples:
        parse(example.split())
