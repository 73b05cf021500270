"""The growth benchmark's project, and generated models between tiny's size and the upstream's."""

import copy
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runs import ROOT, Run, process, tell

from voxrun.files.hashes import sha256_of

WEIGHTS = "consolidated.safetensors"


@dataclass(frozen=True)
class Size:
    """The sizes of a generated model between tiny and the upstream."""

    dim: int
    layers: int
    vocabulary: int
    encoder_dim: int
    encoder_layers: int

    def params(self) -> dict[str, Any]:
        """As params.json has them, in the proportions of the upstream."""
        decoder = {"dim": self.dim, "n_layers": self.layers, "hidden_dim": 3 * self.dim, "head_dim": 64}
        decoder |= {"n_heads": self.dim // 64, "n_kv_heads": self.dim // 256, "vocab_size": self.vocabulary}
        encoder = {"dim": self.encoder_dim, "n_layers": self.encoder_layers}
        heads = self.encoder_dim // 64
        encoder |= {"hidden_dim": 4 * self.encoder_dim, "n_heads": heads, "n_kv_heads": heads}
        return tiny_params(decoder, encoder)


SIZES = [Size(512, 8, 8192, 384, 8), Size(1024, 12, 32768, 768, 16), Size(1792, 16, 49152, 1024, 24)]
"""Between tiny and the upstream."""


def tiny_params(decoder: Mapping[str, Any], encoder: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Tiny's params.json with other sizes."""
    params: dict[str, Any] = copy.deepcopy(
        json.loads((ROOT / "tiny/checkpoint/params.json").read_text(encoding="utf-8"))
    )
    params["multimodal"]["whisper_model_args"]["encoder_args"] |= encoder or {}
    return params | dict(decoder)


@dataclass(frozen=True)
class Place:
    """A folder for all that is made, a project in it, and the models that are there already."""

    work: Path
    tiny: Path
    full: Path | None
    """A source of full size."""

    @cached_property
    def project(self) -> Path:
        """Our recipes, and one for each number of shards."""
        folder = self.work / "project"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("recipes", "model_cards"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "dodo.py", folder)
        (folder / "tiny").symlink_to(ROOT / "tiny")
        self._warm_up(folder)
        return folder

    def _warm_up(self, folder: Path) -> None:
        """Kernels are compiled and kept."""
        process(*doit("4bit", "tiny"), cwd=folder)
        process(*doit("8bit", "tiny"), cwd=folder)

    def source(self, name: str, params: Mapping[str, Any]) -> Path:
        """A checkpoint of random weights, a source of the project: made once."""
        folder = self.work / name
        if not (folder / WEIGHTS).exists():
            tell(f"making {name}")
            (self.work / "like").mkdir(parents=True, exist_ok=True)
            (self.work / "like/params.json").write_text(json.dumps(params), encoding="utf-8")
            make = ROOT / "benchmarks/make_checkpoint.py"
            made = process(sys.executable, make, folder, "--like", self.work / "like")
            if made.error:
                sys.exit(f"{folder}: {made.error}")
        return folder

    def describe(self, name: str, folder: Path) -> None:
        """Make a checkpoint a source of the project."""
        path = self.project / f"recipes/sources/{name}.yaml"
        if not path.exists():
            files = [{"name": WEIGHTS, "sha256": sha256_of(folder / WEIGHTS)}]
            files += [{"name": "params.json"}, {"name": "tekken.json"}]
            described = {"name": name, "model": name, "summary": "Random weights.", "path": str(folder)}
            described |= {"files": files, "license": "apache-2.0", "languages": ["en"]}
            path.write_text(json.dumps(described), encoding="utf-8")  # which is YAML, too

    def recipe(self, name: str, shards: Mapping[str, Any]) -> None:
        """8bit with shards of another size."""
        text = (self.project / "recipes/8bit.yaml").read_text(encoding="utf-8")
        text = text.replace("name: 8bit", f"name: {name}") + f"shards: {json.dumps(shards)}\n"
        (self.project / f"recipes/{name}.yaml").write_text(text, encoding="utf-8")

    def convert(self, recipe: str, source: str) -> Run:
        """`doit convert` from nothing; the artifact stays in the project."""
        shutil.rmtree(self.project / "out", ignore_errors=True)
        (self.project / ".doit.db.json").unlink(missing_ok=True)
        run = process(*doit(recipe, source), cwd=self.project)
        return Run({f"convert_{key}": value for key, value in run.figures.items()}, run.error)

    def artifact(self, recipe: str, source: str) -> Path:
        """What `convert` left."""
        return self.project / "out" / source / recipe


def doit(recipe: str, source: str) -> tuple[str, ...]:
    """The command that converts."""
    return sys.executable, "-m", "doit", "convert", f"recipe={recipe}", f"source={source}"
