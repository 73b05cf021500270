"""`voxrun bench` from the command line to its files, over the embedded model."""

import getpass
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from committed import CHECKPOINT, CLIPS

from voxrun.bench import measure, reading, timing
from voxrun.bench.artifact import bytes_read
from voxrun.checkpoint.layout import Layout
from voxrun.cli import bench_options
from voxrun.cli.main import main
from voxrun.files import strict
from voxrun.stream.tuning import TUNINGS, from_json

CHAIN = CLIPS / "chains" / "chain-1.flac"
BENCH = ["bench", "--model", str(CHECKPOINT), "--quick"]
Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    def refused(*words: str) -> str:
        """The line that is said of such a command line."""
        with pytest.raises(SystemExit) as end:
            main(["bench", *words])
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (2, "")
        assert re.fullmatch(r"voxrun bench: .*\n", err)
        return err.removeprefix("voxrun bench: ").rstrip("\n")

    return refused


@pytest.fixture
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed of memory is measured with a megabyte, not a gigabyte."""
    monkeypatch.setattr(reading, "BUFFER", 2**20)


@pytest.mark.slow
@pytest.mark.usefixtures("small_reads")
def test_everything_is_measured_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, tuning = tmp_path / "bench.md", tmp_path / "tuning.json"
    files = ["--report", str(report), "--tuning", str(tuning)]
    assert main([*BENCH, "--audio", str(CHAIN), "--bandwidth", "5000", *files]) == 0
    out, err = capsys.readouterr()
    assert {"decoder, 1 row", "decoder, 32 rows", "first token", "proposed tuning"} <= set(
        re.findall(r"^\| (.*?) +\|", out, re.MULTILINE)
    )
    assert err.splitlines()[0] == "voxrun: bench: loading the model"
    text = report.read_text()
    assert "(--bandwidth)" in text
    assert "10.0 s of the recording" in text
    assert "tokens of the recording: 0.4" in text  # passes a token: what look-ahead saves
    for name in (getpass.getuser(), platform.node(), str(CHECKPOINT), str(tmp_path), CHAIN.name):
        assert not re.search(rf"\b{re.escape(name)}\b", text + out)
    proposal = from_json(strict.load(tuning), TUNINGS["CPU"])
    assert proposal.look_ahead[0] == 1
    assert sorted(tmp_path.iterdir()) == [report, tuning]


@pytest.mark.slow
@pytest.mark.usefixtures("small_reads", "mlx_layers")
def test_it_measures_mlxs_own_products_as_on_a_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(timing.QUICK, rows=(1, 4), blocks=(4,), samples=2, audio=1.0)
    monkeypatch.setattr(timing, "QUICK", few)
    assert main([*BENCH, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["results"]
    assert told["machine"]["kernels"] == "MLX's kernels (VOXRUN_KERNELS=none)"
    assert told["primitives"] > 100
    assert told["steps"].keys() == {"1", "4"}
    assert 0 <= max(told["difference"].values()) < TUNINGS["CPU"].rounding["float32"]
    assert told["memory"]["active"] > 8_000_000  # the weights are MLX's arrays


@pytest.mark.slow
def test_a_slow_machine_is_measured_in_part_and_its_figures_are_printed_even_if_the_disk_is_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "QUICK", replace(timing.QUICK, longest=0.0, hearing=0.0, full_window=True))
    monkeypatch.setattr(measure, "memory", lambda: 2**20)
    assert main([*BENCH, "--json", "--report", "/dev/full"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)["results"]
    assert (list(told["steps"]), list(told["blocks"]), told["difference"]) == (["1"], ["4"], {})
    assert [line.split(":")[0] for line in told["left_out"]] == [
        "16 and more positions in the encoder",
        "2 and more rows in the decoder",
        "a full window",
    ]
    assert told["heard"]["seconds"] == measure.SHORTEST
    assert err.splitlines()[-1] == "voxrun: /dev/full: cannot be written (No space left on device)"


def test_the_bytes_of_a_pass_are_those_of_the_weights_that_it_reads() -> None:
    layout = Layout(CHECKPOINT)
    tensors = [tensor for header in layout.headers.values() for tensor in header]
    once_a_session = sum(tensor.nbytes for tensor in tensors if "ada_rms_norm" in tensor.name)
    read = bytes_read(layout)
    assert sum(read.values()) + once_a_session == sum(tensor.nbytes for tensor in tensors)
    assert read["head"] == layout.config.vocab_size * layout.config.decoder.dim * 2  # bfloat16


@pytest.mark.slow
def test_ctrl_c_ends_it_without_a_traceback_or_a_file(tmp_path: Path) -> None:
    report = tmp_path / "bench.md"
    command = [sys.executable, "-m", "voxrun", *BENCH[:-1], "--report", str(report)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        # Not the first pass: in it MLX looks for a compiler by system(3), which ignores Ctrl-C meanwhile.
        while "encoder, 8 positions" not in process.stderr.readline():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        said, out = process.stderr.read(), process.stdout.read()
    assert process.returncode == 130
    assert (out, "Traceback" in said, list(tmp_path.iterdir())) == ("", False, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--report", "absent/bench.md"], "absent/bench.md: cannot be written (No such file or directory)"),
        (["--tuning", "."], ".: cannot be written (Is a directory)"),
        (["--report", "a", "--tuning", "./a"], "a: the report and the tuning would both be written there"),
        (["talk.flac", "--report", "./talk.flac"], "talk.flac: the recording itself would be overwritten"),
    ],
)
def test_a_place_that_cannot_be_written_is_reported_before_anything_is_measured(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talk.flac").touch()
    assert main([*BENCH, *words]) == 2
    assert capsys.readouterr() == ("", f"voxrun: {said}\n")


@pytest.mark.slow
def test_a_closed_standard_output_is_reported_before_anything_is_measured() -> None:
    command = shlex.join([sys.executable, "-m", "voxrun", *BENCH])
    ended = subprocess.run(["sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert re.fullmatch(r"voxrun: standard output is closed.*\n", ended.stderr)


@pytest.mark.parametrize("words", [["--model", "absent/"], [*BENCH[1:], "--audio", "absent.flac"]])
def test_what_is_not_there_is_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"voxrun: absent.*", err.splitlines()[-1])


@pytest.mark.parametrize("gb_s", ["0", "-5", "nan", "inf", "1e300", "1e-300"])
def test_impossible_bandwidths_are_one_sentence(refused: Refused, gb_s: str) -> None:
    said = f"argument --bandwidth: '{gb_s}' is no speed from 0.1 to 1,000,000 GB/s"
    assert refused(f"--bandwidth={gb_s}") == said


def test_impossible_options_are_one_sentence(refused: Refused) -> None:
    assert refused("--audio", "-") == "the recording must be a file, not standard input"
    assert refused("--report", "-").startswith("--report and --tuning need the name of a file:")
    assert refused("--tuning", "-").startswith("--report and --tuning need the name of a file:")
    assert refused("a.flac", "b.flac") == "one recording is enough, not 2"
    assert refused("--quik") == "--quik: no such option; did you mean --quick?"


def test_examples_of_the_help_make_sense() -> None:
    text = bench_options.parser().format_help().partition("examples:")[2]
    examples = re.findall(r"voxrun bench((?: (?! )\S+)*)", text)
    assert len(examples) >= 4
    for example in examples:
        bench_options.parse(example.split())


@pytest.mark.slow
def test_help_does_not_wait_for_the_libraries() -> None:
    script = """
import sys
from voxrun.cli.main import main
try:
    main(["bench", "--help"])
except SystemExit:
    print(*sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "voxrun.cli.bench_options" in loaded
    assert loaded & {"mlx", "mlx.core", "numpy", "voxrun.transcriber"} == set()
