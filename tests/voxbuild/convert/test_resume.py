"""A build that was stopped in any way resumes: finished shards are kept, and the bytes are the same."""

import contextlib
import errno
import os
import random
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from artifacts import contents
from projects import doit, make_project, use_random_source
from small_sources import header_of, params_of, write_checkpoint

from voxbuild import stages
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.convert import conversion, shard_writer
from voxbuild.errors import CheckpointError, ConvertError, SourceError
from voxbuild.files import read_json
from voxbuild.folders import whole_folder
from voxbuild.recipes.book import read_book
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of

SHARDS = "shards: {max_size: 1MB}\n"
KILLS = 10


def make_sharded_project(folder, params):
    """A project over a random source, unpinned, whose 4-bit artifact has several shards."""
    project = make_project(folder, recipes=("4bit",), clips=1)
    use_random_source(project, params=params)
    recipe = project / "recipes/4bit.yaml"
    recipe.write_text(recipe.read_text() + SHARDS)
    return project


class Build:
    """The conversion of such a project, within this process."""

    def __init__(self, folder, pinned=True):
        self.project = make_sharded_project(folder, params_of(dim=256, hidden=1024, layers=6))
        self.weights = self.project / "source/consolidated.safetensors"
        if pinned:
            self.pin()
        self.work = Workspace(self.project)
        self.fetch()

    def pin(self):
        source = self.project / "recipes/sources/tiny.yaml"
        pinned = f"{{name: consolidated.safetensors, sha256: {sha256_of(self.weights)}}}"
        source.write_text(source.read_text().replace("{name: consolidated.safetensors}", pinned))

    def fetch(self):
        read_book.cache_clear()
        book = read_book(self.work.recipes)
        self.source, self.recipe = book.source("tiny"), book.recipe("4bit")
        self.variant = Variant(self.work, book, self.source, self.recipe)
        stages.fetch(self.work, self.source)

    def convert(self):
        return stages.convert(self.variant)["weights"]

    def artifact(self):
        return contents(self.work.artifact("tiny", "4bit"))

    @property
    def partial(self):
        return self.work.partial("tiny", "4bit")

    def leftovers(self):
        return sorted(path.name for path in self.partial.parent.iterdir())


@pytest.fixture
def build(tmp_path):
    return Build(tmp_path / "project")


@pytest.fixture
def written(monkeypatch):
    """The shards that are written, one name each time."""
    names = []

    class Spy(shard_writer.CheckpointWriter):
        def __init__(self, path, *rest, **options):
            names.append(path.name.removesuffix(".unfinished"))
            super().__init__(path, *rest, **options)

    monkeypatch.setattr(shard_writer, "CheckpointWriter", Spy)
    return names


def stop_in_shard(monkeypatch, number, error):
    """Let writing the shard of this number (from 1) fail half way."""
    writers = []

    class Failing(shard_writer.CheckpointWriter):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            writers.append(self)
            self.calls = 0

        def write(self, *data):
            self.calls += 1
            if len(writers) == number and self.calls > 1:
                raise error
            super().write(*data)

    monkeypatch.setattr(shard_writer, "CheckpointWriter", Failing)


def test_finished_shards_are_kept_and_the_interrupted_one_is_rewritten(build, tmp_path, monkeypatch, written):
    undisturbed = Build(tmp_path / "other")
    undisturbed.convert()
    count = len(written)
    assert count >= 4
    del written[:]
    with monkeypatch.context() as patch:
        stop_in_shard(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build.convert()
    assert build.leftovers() == ["tiny--4bit", "tiny--4bit.journal.json"]
    assert sorted(contents(build.partial)) == written[:2]
    del written[:]
    build.convert()
    assert len(written) == count - 2
    assert build.artifact() == undisturbed.artifact()
    assert build.leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        lambda path: path.unlink(),
    ],
    ids=["cut", "changed", "gone"],
)
def test_a_shard_that_differs_from_the_journal_is_rewritten(build, tmp_path, monkeypatch, written, damage):
    undisturbed = Build(tmp_path / "other")
    undisturbed.convert()
    with monkeypatch.context() as patch:
        stop_in_shard(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build.convert()
    first = sorted(contents(build.partial))[0]
    damage(build.partial / first)
    del written[:]
    build.convert()
    assert first in written
    assert build.artifact() == undisturbed.artifact()


def test_shards_of_another_source_or_plan_are_not_reused(build, monkeypatch, written):
    with monkeypatch.context() as patch:
        stop_in_shard(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build.convert()
    write_checkpoint(build.weights, header_of(params_of(dim=256, hidden=1024, layers=6)))  # a new file
    build.fetch()
    del written[:]
    build.convert()
    assert len(written) == len(set(written)) >= 4
    assert (
        Manifest.load(build.work.artifact("tiny", "4bit")).damaged(build.work.artifact("tiny", "4bit")) == []
    )


def test_a_full_disk_is_reported_and_finished_shards_are_kept(build, monkeypatch, written):
    with monkeypatch.context() as patch:
        stop_in_shard(patch, 3, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(ConvertError, match="the disk is full; make room and run it again"):
            build.convert()
    with monkeypatch.context() as patch, pytest.raises(ConvertError, match="of memory"):
        patch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0))
        build.convert()
    assert sorted(contents(build.partial)) == written[:2]
    assert read_json(build.partial.with_name("tiny--4bit.journal.json"))["shards"].keys() == set(written[:2])


def test_a_read_error_is_reported_with_its_offset(build, monkeypatch):
    def failing(descriptor, buffers, start):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(CheckpointError, match=r"at byte [\d,]+: Input/output error; run it again"):
        build.convert()


def test_a_source_that_changes_during_conversion_is_reported(build, monkeypatch, written):
    original = shard_writer.CheckpointWriter.finish

    def touching(writer):
        os.utime(build.weights)
        return original(writer)

    monkeypatch.setattr(shard_writer.CheckpointWriter, "finish", touching)
    with pytest.raises(CheckpointError, match=r"safetensors: it changed while it was read; run it again"):
        build.convert()
    assert not build.work.artifact("tiny", "4bit").exists()
    assert build.leftovers() == []


def flip(path):
    """Another value in the last tensor."""
    with path.open("r+b") as file:
        file.seek(-2, 2)
        value = file.read(1)
        file.seek(-2, 2)
        file.write(bytes([value[0] ^ 1]))


def test_a_flipped_bit_in_pinned_weights_is_found_while_converting(build):
    flip(build.weights)
    build.fetch()
    with pytest.raises(SourceError, match=r"consolidated\.safetensors: sha256 \w+ instead of \w+: damaged"):
        build.convert()
    assert not build.work.artifact("tiny", "4bit").exists()
    assert build.leftovers() == []
    flip(build.weights)
    build.fetch()
    build.convert()


def test_a_verified_source_is_not_hashed_again(build, monkeypatch):
    hashing = []

    class Spy(conversion.Passes):
        def __init__(self, source, hashed, marks):
            super().__init__(source, hashed, marks)
            hashing.append(bool(hashed))

    monkeypatch.setattr(conversion, "Passes", Spy)
    build.convert()
    build.convert()
    assert hashing == [True, False]
    os.utime(build.weights)
    build.fetch()
    build.convert()
    assert hashing == [True, False, True]


@pytest.mark.slow
def test_a_file_in_another_order_is_verified_before_it_is_converted(tmp_path):
    plain, odd = Build(tmp_path / "plain"), Build(tmp_path / "odd", pinned=False)
    plain.convert()
    header = header_of(params_of(dim=256, hidden=1024, layers=6))
    write_checkpoint(odd.weights, header[::-1])
    odd.pin()
    odd.fetch()
    odd.convert()
    shards = [name for name in plain.artifact() if name.startswith("model-")]
    assert {name: plain.artifact()[name] for name in shards} == {
        name: odd.artifact()[name] for name in shards
    }
    flip(odd.weights)
    odd.fetch()
    with pytest.raises(SourceError, match="instead of"):
        odd.convert()


@pytest.fixture
def undisturbed(tmp_path):
    """A project of medium size after an uninterrupted build, and its artifact."""
    params = params_of(dim=512, hidden=2048, layers=8, vocabulary=8192)
    project = make_sharded_project(tmp_path / "project", params)
    assert doit(project, "convert").returncode == 0
    return project, contents(project / "out/tiny/4bit")


def written_so_far(project):
    """Bytes in the folder of an unfinished artifact; files that are being moved do not count."""
    with contextlib.suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in (project / "out/.partial").rglob("*"))
    return 0


KILLED_AT = """
import os, signal
from pathlib import Path
from voxbuild.tensors.writer import CheckpointWriter

def append(*arguments, append=CheckpointWriter._append):
    append(*arguments)
    written = sum(path.stat().st_size for path in Path("out/.partial").rglob("*"))
    if written >= int(os.environ.get("AT", 1e12)):
        os.kill(os.getpid(), signal.SIGKILL)

CheckpointWriter._append = append
"""
"""For dodo.py: kill -9 when so many bytes are written."""


def killed(project, at):
    """Convert, and be killed when so many bytes are written; whether that came before the end."""
    return doit(project, "convert", AT=str(int(at))).returncode == -signal.SIGKILL


@pytest.mark.slow
def test_kill_9_at_any_moment_then_the_same_command_gives_the_same_bytes(undisturbed):
    project, expected = undisturbed
    with (project / "dodo.py").open("a") as dodo:
        dodo.write(KILLED_AT)
    artifact, journal = project / "out/tiny/4bit", project / "out/.partial/tiny--4bit.journal.json"
    chance, kills, resumable = random.Random(4), 0, 0
    whole = sum(map(len, expected.values()))
    shutil.rmtree(artifact)
    while kills < KILLS:
        kills += killed(project, chance.uniform(written_so_far(project), whole))
        resumable += journal.exists()
        if artifact.exists():
            assert contents(artifact) == expected
            shutil.rmtree(artifact)
    assert resumable > KILLS / 4, "the kills came before anything was whole"
    last = doit(project, "convert")
    assert last.returncode == 0, last.stdout
    assert contents(artifact) == expected
    assert not any((project / "out/.partial").iterdir())


def test_a_journal_that_a_killed_run_left_unfinished_is_deleted(build):
    torn = build.work.partial("tiny", "4bit").with_name(".tiny--4bit.journal.json.123.partial")
    torn.parent.mkdir(parents=True, exist_ok=True)
    torn.write_text("{")
    build.convert()
    assert not torn.exists()


def test_two_processes_do_not_build_the_same_artifact_at_once(build, monkeypatch):
    said = []

    class SecondBuild(shard_writer.CheckpointWriter):
        def finish(self):
            with pytest.raises(
                ConvertError, match="tiny--4bit: another process is writing it; wait until it is finished"
            ):
                build.convert()
            said.append(True)
            return super().finish()

    monkeypatch.setattr(shard_writer, "CheckpointWriter", SecondBuild)
    build.convert()
    assert len(said) >= 4
    assert build.leftovers() == []


def test_a_write_error_names_the_file(build, monkeypatch):
    def failing(descriptor):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="File too large") as caught:
        build.convert()
    assert Path(caught.value.filename).name.endswith(".safetensors.unfinished")


def test_kill_9_between_the_two_renames_loses_nothing(build):
    build.convert()
    before, folder = build.artifact(), build.work.artifact("tiny", "4bit")
    folder.rename(build.partial.with_name("tiny--4bit.old"))
    with pytest.raises(KeyboardInterrupt), whole_folder(folder, build.partial):
        raise KeyboardInterrupt
    assert build.artifact() == before


def test_ctrl_c_between_the_two_renames_puts_the_old_artifact_back(build, monkeypatch):
    build.convert()
    before, rename = build.artifact(), Path.rename

    def interrupted(path, target):
        if path == build.partial:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build.convert()
    assert build.artifact() == before


def test_a_tokenizer_that_changes_during_conversion_is_reported(build, monkeypatch):
    original = shard_writer.CheckpointWriter.finish

    def touching(writer):
        os.utime(build.project / "source/tekken.json")
        return original(writer)

    monkeypatch.setattr(shard_writer.CheckpointWriter, "finish", touching)
    with pytest.raises(SourceError, match=r"tekken\.json of tiny: changed during the build; run it again"):
        build.convert()
    assert not build.work.artifact("tiny", "4bit").exists()


def test_short_reads_are_completed(build, monkeypatch):
    digest, original = build.convert(), os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: original(file, [buffers[0][:1000]], at))
    assert build.convert() == digest
