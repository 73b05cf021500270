"""What was heard, kept in files: nothing is heard twice, and a killed run goes on where it was.

A record is found by what determines it (weights, recording, delay, the source's scores, versions, device),
never by a name: a recipe or clip set with another name hears nothing again.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.artifact.tools import runtime_versions, tool_versions
from voxbuild.folders import locked
from voxrun.device import device_name
from voxrun.files.hashes import sha256_of

from .jobs import Job, Model, Reference, Result

SHORT = 32
"""Characters of a sha256 in the names of files."""


def environment() -> dict[str, str]:
    """The versions and the device that results depend on."""
    return tool_versions() | runtime_versions() | {"device": device_name()}


def files_of(folder: Path, weights: str) -> list[Path]:
    """The files of a records' folder that are about the model with this digest."""
    return sorted(folder.glob(f"{weights[:SHORT]}-*"))


class Records:
    """The results in a folder: a file for each model and delay, a line for each clip.

    A line is written at once, so a killed process loses only the clips that it is hearing. One that is torn
    or damaged does not have its hash, and is left out. Several processes may use the folder.
    """

    def __init__(self, folder: Path, setting: Mapping[str, str] | None = None) -> None:
        """`setting`: what computes, if it is not this process."""
        self._folder = folder
        self._setting = _digest(dict(setting or environment()))
        self._read: dict[Path, dict[str, dict[str, Any]]] = {}

    @classmethod
    def of_all_settings(cls, folder: Path, model: Model, delay_ms: float) -> list["Records"]:
        """Those in which something of a model is kept, whatever computed it; this process's own first."""
        own = cls(folder)
        found = sorted(folder.glob(f"{own._start(model, delay_ms)}*.jsonl"))
        settings = [path.stem.removeprefix(own._start(model, delay_ms)) for path in found]
        return [own, *(cls._of(folder, each) for each in settings if each != own._setting[:SHORT])]

    @classmethod
    def _of(cls, folder: Path, setting: str) -> "Records":
        records = cls(folder)
        records._setting = setting
        return records

    def get(self, job: Job) -> Result | None:
        """What was heard; None: nothing, or the source's scores are not there as they were written.

        The scores of a job without a reference are left in their file, see `reference`.
        """
        stored = self._lines(job).get(key(job))
        if stored is None or (job.reference is None and self._scores(job, stored) is None):
            return None
        return _result(stored)

    def reference(self, job: Job) -> Reference:
        """What a job of the source, which is known, gives other models to compare with."""
        stored = self._lines(job)[key(job)]
        return Reference(tuple(stored["tokens"]), self._scores_file(job), stored["scores"])

    def add(self, job: Job, result: Result) -> Result:
        """Keep a result; it is returned as `get` would."""
        stored = _plain(result)
        if result.scores is not None:
            stored["scores"] = result.scores.save(self._scores_file(job))
        self._append(self._file(job), json.dumps({key(job): stored}, sort_keys=True))
        self._lines(job)[key(job)] = stored
        return replace(result, scores=None)

    def _append(self, path: Path, line: str) -> None:
        """Without a sync, which a killed process does not need; after a loss of power hashes tell."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / ".lock", lambda: None), path.open("a+b") as file:
            if file.tell() and not _ends_whole(path):
                file.write(b"\n")  # after the torn line of a killed process
            file.write(f"{_sum(line)} {line}\n".encode())

    def _lines(self, job: Job) -> dict[str, dict[str, Any]]:
        path = self._file(job)
        if path not in self._read:
            self._read[path] = dict(entry for line in _whole_lines(path) for entry in line.items())
        return self._read[path]

    def _scores(self, job: Job, stored: Mapping[str, Any]) -> Path | None:
        path = self._scores_file(job)
        return path if path.is_file() and sha256_of(path) == stored["scores"] else None

    def _file(self, job: Job) -> Path:
        return self._folder / f"{self._name(job.model, job.delay_ms)}.jsonl"

    def _scores_file(self, job: Job) -> Path:
        return self._folder / self._name(job.model, job.delay_ms) / f"{job.sha256[:SHORT]}.npz"

    def _name(self, model: Model, delay_ms: float) -> str:
        return f"{self._start(model, delay_ms)}{self._setting[:SHORT]}"

    def _start(self, model: Model, delay_ms: float) -> str:
        return f"{model.digest[:SHORT]}-{delay_ms:g}ms-"


def key(job: Job) -> str:
    """What its result is found by, within one setting."""
    given = job.reference and [job.reference.digest, job.reference.tokens]
    return _digest([job.model.digest, job.sha256, job.delay_ms, given])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _sum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:SHORT]


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"


def _whole_lines(path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """The lines that have their hash."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        known, _, content = line.partition(" ")
        if known == _sum(content):
            yield json.loads(content)


def _plain(result: Result) -> dict[str, Any]:
    """As JSON; the positions' figures as bytes, to the bit."""
    stored: dict[str, Any] = {"text": result.text, "tokens": result.tokens, "seconds": result.seconds}
    if result.kl is not None and result.same is not None:
        stored["kl"] = base64.b64encode(result.kl.astype("<f4").tobytes()).decode()
        stored["same"] = base64.b64encode(result.same.astype(np.uint8).tobytes()).decode()
    return stored


def _result(stored: Mapping[str, Any]) -> Result:
    kl = same = None
    if "kl" in stored:
        kl = np.frombuffer(base64.b64decode(stored["kl"]), "<f4")
        same = np.frombuffer(base64.b64decode(stored["same"]), np.uint8).astype(bool)
    return Result(stored["text"], tuple(stored["tokens"]), stored["seconds"], kl, same)
