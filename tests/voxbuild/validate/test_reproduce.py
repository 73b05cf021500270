"""doit reproduce makes the same weights again, or names what differs, and leaves no files."""

import os
import shutil
import signal
import subprocess

import pytest
from artifacts import contents
from patience import until
from projects import FAILED, doit, doit_command

from voxbuild.artifact.lock import LOCK
from voxbuild.artifact.manifest import Manifest, file_entry
from voxbuild.files import read_json, write_json
from voxbuild.tensors.checkpoint import Checkpoint

pytestmark = pytest.mark.slow

GATE = "language_model.layers.0.mlp.gate_proj.weight"


def rows(process):
    """File -> (size, verdict) of the printed table."""
    cells = [line.split("|")[1:4] for line in process.stdout.splitlines() if line.startswith("| ")]
    return {name.strip(): (size.strip(), verdict.strip()) for name, size, verdict in cells[1:]}


def restamped(folder, *names):
    """Let the manifest tell of these files as they are now."""
    manifest = Manifest.load(folder)
    for name in names:
        manifest.files[name] = file_entry(folder / name)
    manifest.save(folder)


def test_every_file_is_reproduced_with_equal_bytes(converted):
    def built():
        files = contents(converted / "out")
        return {name: data for name, data in files.items() if not name.startswith(".locks")}

    before = built()
    process = doit(converted, "reproduce", "recipe=4bit")
    assert process.returncode == 0, process.stdout
    files = Manifest.load(converted / "out/tiny/4bit").files
    assert rows(process) == {n: (f"{e.size:,}", "same") for n, e in files.items()}
    assert built() == before
    assert not list((converted / "out/.partial").iterdir())


def test_other_weights_are_named_by_their_tensors(project):
    folder = project / "out/tiny/4bit"
    with Checkpoint(folder / "model.safetensors") as checkpoint:
        start = checkpoint.tensors[GATE].start
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[start] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    restamped(folder, "model.safetensors")
    process = doit(project, "reproduce", "recipe=4bit")
    assert process.returncode in FAILED
    verdicts = {name: verdict for name, (_, verdict) in rows(process).items() if name in contents(folder)}
    assert verdicts.pop("model.safetensors") == "DIFFERS"
    assert set(verdicts.values()) == {"same"}
    assert f"| {GATE} " in process.stdout
    assert "1 of 5 files are not the same" in process.stdout
    assert "Traceback" not in process.stdout
    assert not list((project / "out/.partial").iterdir())


def test_other_tools_are_named(project):
    folder = project / "out/tiny/4bit"
    lock = read_json(folder / LOCK)
    lock["tools"]["mlx"] = "0.1"
    write_json(folder / LOCK, lock)
    restamped(folder, LOCK)
    process = doit(project, "reproduce", "recipe=4bit")
    assert process.returncode in FAILED
    assert rows(process)[LOCK][1] == "DIFFERS"
    assert "tools: mlx was 0.1, is " in process.stdout


def test_an_artifact_that_is_not_built_is_reported(project):
    shutil.rmtree(project / "out/tiny/4bit")
    process = doit(project, "reproduce", "recipe=4bit")
    assert process.returncode in FAILED
    assert "not built; run `doit build recipe=4bit source=tiny` first" in process.stdout


def test_an_error_leaves_nothing(project):
    (project / "out/tiny/4bit/model.safetensors").write_bytes(b"short")
    restamped(project / "out/tiny/4bit", "model.safetensors")
    process = doit(project, "reproduce", "recipe=4bit")
    assert process.returncode in FAILED
    assert "not a safetensors file" in process.stdout
    assert not list((project / "out/.partial").iterdir())


SLOW = """
import time
import voxbuild.convert.shards

def slowly(*arguments, convert_all=voxbuild.convert.shards.convert_all):
    convert_all(*arguments)
    time.sleep(3600)

voxbuild.convert.shards.convert_all = slowly
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_artifact_and_nothing_else(project, number):
    before = contents(project / "out/tiny")
    with (project / "dodo.py").open("a") as dodo:
        dodo.write(SLOW)
    with subprocess.Popen(
        doit_command("reproduce", "recipe=4bit"),
        cwd=project,
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: list((project / "out").glob(".partial/*/again/*.safetensors")), process)
        process.send_signal(number)
        said = process.communicate()[1]
        assert process.returncode != 0
    assert said.strip().startswith("interrupted: ")
    assert not list((project / "out/.partial").iterdir())
    assert contents(project / "out/tiny") == before
