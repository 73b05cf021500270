"""What benchmarks/build.py measures: `cp`, `dd`, voxbuild and its peers, each a fresh process.

Before each run nothing waits to be written to the disk, and the source is in the page cache; or nothing of it
is, where that is asked for. The output is removed afterwards. Time is from the start of the process to its
end, memory the most that was resident, as the operating system tells it.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from runs import ROOT, Run, tell

from voxbuild.convert.views import CONFIG, small_files
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import MLX_AUDIO_LOADER
from voxbuild.sources.fetch import Proofs, fetch
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of

SOURCE = "full"
WEIGHTS = "consolidated.safetensors"
READ_THROUGH = 2**24
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of ru_maxrss, in bytes."""
COMMIT = "0" * 40


@dataclass(frozen=True)
class Place:
    """The source, a folder for everything that is made, and an output that every contestant makes anew."""

    source: Path
    work: Path
    is_cold: bool = False
    """Whether runs find nothing of the source in the page cache."""

    @property
    def cold(self) -> "Place":
        """The same, with nothing of the source in the page cache."""
        return replace(self, is_cold=True)

    @property
    def out(self) -> Path:
        """What a run writes."""
        return self.work / "out"

    def clear(self) -> None:
        """No output is there."""
        if self.out.is_file():
            self.out.unlink()
        shutil.rmtree(self.out, ignore_errors=True)

    def know_the_source(self) -> None:
        """Leave what a build leaves that has read the source to its end."""
        work = Workspace(self.work)
        source = read_book(work.recipes).source(SOURCE)
        fetched = fetch(source, work.recipes / "sources", lambda done: None)
        Proofs(work.proof_file(SOURCE), fetched, SOURCE).add(WEIGHTS, fetched.files[WEIGHTS].sha256)

    def run(self, *command: object, before: Callable[[], object] = tuple, **environment: str) -> Run:
        """One process; nothing is there but what `before` makes, and the disk is at rest."""
        self.clear()
        before()
        os.sync()
        (_forget if self.is_cold else _warm)(self.source / WEIGHTS)
        with tempfile.TemporaryFile() as said:
            begun = time.perf_counter()
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.work,
                env=os.environ | environment,
                stdout=said,
                stderr=said,
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        self.clear()
        if process.returncode:
            return Run({}, f"{lines[-1][:200] if lines else 'failed'} (exit code {process.returncode})")
        peak = usage.ru_maxrss * PEAK_UNIT
        return Run({"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": peak})


def _warm(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(READ_THROUGH):
            pass


def _forget(path: Path) -> None:
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


CAN_FORGET = hasattr(os, "posix_fadvise")


def cp(place: Place) -> Run:
    """The yardstick."""
    return place.run("cp", place.source / WEIGHTS, place.out)  # a file where the others make a folder


def dd(place: Place, *recipes: str, direct: bool = False) -> Run:
    """The limit with the hash known: read the source, then write and flush as many bytes as the artifacts
    have; if `direct`, past the page cache, as voxbuild does where the system can.
    """
    source, block = shlex.quote(str(place.source / WEIGHTS)), 2**22
    past = "oflag=direct " if direct else ""
    commands = [f"dd if={source} of=/dev/null bs={block}", f"mkdir {shlex.quote(str(place.out))}"]
    for recipe in recipes:
        count, out = -(-artifact_bytes(place, recipe) // block), shlex.quote(str(place.out / recipe))
        commands.append(f"dd if={source} of={out} bs={block} count={count} {past}conv=fsync")
    return place.run("sh", "-ec", "; ".join(commands))


def artifact_bytes(place: Place, recipe: str) -> int:
    """The size of an artifact's weights."""
    params = json.loads((place.source / "params.json").read_text(encoding="utf-8"))
    with Checkpoint(place.source / WEIGHTS) as file:
        header = list(file.tensors.values())
    return make_plan(read_book(place.work / "recipes").recipe(recipe), header, params).nbytes


def voxbuild(place: Place, recipe: str, known: bool = False, source: str = SOURCE) -> Run:
    """As people call it: fetch, plan and convert, nothing known of the source but its pinned hash.

    If `known`, a build before had read the source, as it is now, and found that hash to be true.
    """
    (place.work / ".doit.db.json").unlink(missing_ok=True)
    command = (sys.executable, "-m", "doit", "convert", f"recipe={recipe}", f"source={source}")
    return place.run(*command, before=place.know_the_source if known else tuple)


def voxmlx(place: Place, python: Path) -> Run:
    """voxmlx-convert, from the Hub's cache: a folder it does not take."""
    options = ("--hf-path", "bench/full", "--mlx-path", place.out, "-q", "--bits", 4, "--group-size", 64)
    convert = python.with_name("voxmlx-convert")
    return place.run(convert, *options, HF_HOME=str(place.work / "hf"), HF_HUB_OFFLINE="1")


def mlx_audio(place: Place, python: Path) -> Run:
    """mlx-audio's convert, from a folder with a config.json of its kind."""
    options = ("--hf-path", place.work / "mlx-audio", "--mlx-path", place.out, "--model-domain", "stt")
    bits = ("-q", "--q-bits", 4, "--q-group-size", 64)
    return place.run(python, "-m", "mlx_audio.convert", *options, *bits, HF_HUB_OFFLINE="1")


PEERS: dict[str, Callable[[Place, Path], Run]] = {"voxmlx": voxmlx, "mlx-audio": mlx_audio}


def prepare(place: Place) -> None:
    """A project over the source; the source as a repository in the Hub's cache, and as mlx-audio wants it."""
    shutil.rmtree(place.work, ignore_errors=True)
    place.work.mkdir(parents=True)
    for name in ("recipes", "model_cards"):
        shutil.copytree(ROOT / name, place.work / name)
    shutil.copy(ROOT / "dodo.py", place.work)
    (place.work / "tiny").symlink_to(ROOT / "tiny")
    tell("hashing the source")
    digest = sha256_of(place.source / WEIGHTS)
    described = {
        "name": SOURCE,
        "model": "Full",
        "summary": "Random weights of the upstream's sizes.",
        "path": str(place.source),
        "files": [{"name": WEIGHTS, "sha256": digest}, {"name": "params.json"}, {"name": "tekken.json"}],
        "license": "apache-2.0",
        "languages": ["en"],
    }
    (place.work / f"recipes/sources/{SOURCE}.yaml").write_text(yaml.safe_dump(described))
    repository = place.work / "hf/hub/models--bench--full"
    _link(place.source, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)
    _link(place.source, place.work / "mlx-audio")
    params = json.loads((place.source / "params.json").read_text(encoding="utf-8"))
    config = small_files(MLX_AUDIO_LOADER, params)[CONFIG]
    (place.work / "mlx-audio" / CONFIG).write_text(json.dumps(config))


def _link(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
