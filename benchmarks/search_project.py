"""The project in which `search.py` builds: generated recipes, and clip sets that calibrate."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import yaml
from runs import ROOT

SOURCE, GROUP = "tiny", 64
SETS = ("prompts", "digits", "chains")
"""The clip sets that validate."""
OURS, MORE = "calibration", "more"
"""The clip sets that calibrate: the committed one, and the same with `calibration-5min` of tiny's line."""


@dataclass(frozen=True)
class Method:
    """How a variant is quantized."""

    search: str
    sequential: bool = False
    allocated: bool = False
    """Whether each matrix has its own bits, at the size of a uniform variant."""

    @property
    def calibrated(self) -> bool:
        """Whether it needs recordings."""
        return self.search in ("activation", "gptq") or self.allocated


METHODS = {
    "none": Method("none"),
    "mse": Method("mse"),
    "activation": Method("activation"),
    "gptq": Method("gptq"),
    "sequential": Method("gptq", sequential=True),
    "allocation": Method("gptq", allocated=True),
    "allocation, sequential": Method("gptq", sequential=True, allocated=True),
}


@dataclass(frozen=True)
class Trial:
    """A variant: bits (of an allocation: at the size of so many), a method, and what it is calibrated on."""

    bits: float
    method: str
    clips: str = OURS

    @property
    def name(self) -> str:
        """Its recipe's."""
        return f"{self.bits:g}bit-{self.method}-{self.clips}".replace(", ", "-").replace(".", "-")

    @property
    def audio(self) -> str | None:
        """The clip set that it is calibrated on, if it is."""
        return self.clips if METHODS[self.method].calibrated else None

    @property
    def recipe(self) -> str:
        """Its YAML."""
        method = METHODS[self.method]
        quantize = {
            "mode": "affine",
            "bits": {"average": self.bits} if method.allocated else int(self.bits),
            "group_size": GROUP,
            **({"group_sizes": [GROUP, 2 * GROUP]} if method.allocated else {}),
            "search": method.search,
            **({"sequential": True} if method.sequential else {}),
        }
        return yaml.safe_dump(
            {
                "name": self.name,
                "summary": "For a benchmark.",
                "source": SOURCE,
                "quantize": quantize,
                **({"calibrate": self.audio} if self.audio else {}),
                "validate": {"clips": list(SETS), "gates": {}},
                "publish": {"repo": "nobody/{model}-{recipe}"},
                "card": "voxtral.md.j2",
            },
            sort_keys=False,
        )


class BuildError(Exception):
    """What doit said of a build that failed."""


class Project:
    """A project in a folder, over the repository's own clips and models."""

    def __init__(self, folder: Path) -> None:
        (folder / "recipes/clips").mkdir(parents=True)
        for name in ("tiny", "model_cards", "recipes/sources", "dodo.py", "doit.cfg"):
            (folder / name).symlink_to(ROOT / name)
        for clips in (ROOT / "recipes/clips").glob("*.yaml"):
            (folder / "recipes/clips" / clips.name).symlink_to(clips)
        self.folder = folder
        self.measured = dict[tuple[str, str, str], float]()
        """Task, search and audio -> the seconds that it took."""

    def add(self, trial: Trial) -> None:
        """Write a variant's recipe."""
        (self.folder / "recipes" / f"{trial.name}.yaml").write_text(trial.recipe)

    def add_clips(self, name: str, recordings: Sequence[Path], noise: int | None = None) -> None:
        """Write a clip set of recordings; `noise`: with white noise of this seed, at -40 dB of full scale."""
        folder = self.folder / "recordings" / name
        folder.mkdir(parents=True)
        lines = []
        for number, path in enumerate(recordings):
            text = dict(read_texts(path.parent))[path.name]
            lines.append(f"{path.name}\t{text}\n")
            if noise is None:
                shutil.copyfile(path, folder / path.name)
            else:
                write_noisy(path, folder / path.name, noise + number)
        (folder / "transcripts.tsv").write_text("".join(lines), encoding="utf-8")
        about = (ROOT / f"recipes/clips/{OURS}.yaml").read_text(encoding="utf-8")
        facts = yaml.safe_load(about) | {"name": name, "folder": f"../../recordings/{name}"}
        (self.folder / f"recipes/clips/{name}.yaml").write_text(yaml.safe_dump(facts))

    def build(self, trial: Trial) -> float:
        """Convert a variant, after what is measured once for several; the seconds that converting took.

        Raises BuildError.
        """
        method = METHODS[trial.method]
        if method.allocated and trial.clips != OURS:
            self._freeze(trial)
        for task in ("calibrate", "measure") if method.allocated and trial.clips == OURS else ("calibrate",):
            if trial.audio and (task, method.search, trial.audio) not in self.measured:
                self.measured[task, method.search, trial.audio] = self._doit(task, trial)
        return self._doit("convert", trial)

    def _freeze(self, trial: Trial) -> None:
        """Give an allocation the bits that were measured over the committed clips; measuring takes long."""
        ours, file = replace(trial, clips=OURS), self.folder / f"{trial.name}.frozen.yaml"
        self.add(ours)
        self._doit("allocate", ours, f"out={file}")
        frozen = yaml.safe_load(file.read_text(encoding="utf-8"))
        recipe = yaml.safe_load(trial.recipe) | {"quantize": frozen["quantize"]}
        (self.folder / "recipes" / f"{trial.name}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))

    def _doit(self, task: str, trial: Trial, *more: str) -> float:
        command = [sys.executable, "-m", "doit", task, f"recipe={trial.name}", *more]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise BuildError(said[-1] if said else f"doit {task} failed")
        return time.perf_counter() - start

    def artifact(self, trial: Trial) -> Path:
        """The folder of a variant that was converted."""
        return self.folder / "out" / SOURCE / trial.name


def read_texts(folder: Path) -> list[tuple[str, str]]:
    """File and text of each recording of a folder."""
    lines = (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    return [(name, text) for name, _, text in (line.partition("\t") for line in lines)]


def recordings_of(folder: Path) -> list[Path]:
    """The recordings of a folder, in the order of its transcripts."""
    return [folder / name for name, _ in read_texts(folder)]


def write_noisy(path: Path, to: Path, seed: int) -> None:
    """A recording with white noise at -40 dB of full scale."""
    samples, rate = soundfile.read(path)
    noisy = samples + np.random.default_rng(seed).normal(0, 10 ** (-40 / 20), len(samples))
    soundfile.write(to, np.clip(noisy, -1, 1), rate, "PCM_16")
