"""Sources and clip sets: where checkpoints and recordings come from."""

from typing import Annotated, Literal

import pydantic

from .gates import Gates
from .schema import FileName, FilePath, Strict

Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]
Repo = Annotated[str, pydantic.Field(pattern=r"^[\w.-]+/[\w.-]+$")]


class HubFiles(Strict):
    """A repository at one commit."""

    repo: Repo
    revision: Commit


class SourceFile(Strict):
    """One file of a source; size and hash are checked where they are given."""

    name: FilePath
    size: int | None = None
    sha256: Sha256 | None = None


class Source(Strict):
    """A pinned upstream checkpoint: on the Hub, or in a folder relative to this file."""

    name: FileName
    model: FileName
    """How artifacts are called after it."""
    summary: str
    hub: HubFiles | None = None
    path: str | None = None
    files: Annotated[tuple[SourceFile, ...], pydantic.Field(min_length=1)]
    weights: FilePath = "consolidated.safetensors"
    params: FilePath = "params.json"
    tokenizer: FilePath = "tekken.json"
    license: str
    languages: tuple[str, ...]
    attribution: str | None = None
    gates: Gates = Gates()
    """Limits for any artifact made from it; a recipe may only be stricter."""
    clips: tuple[FileName, ...] = ()
    """Clip sets that its artifacts are validated with, beside the recipe's."""

    @pydantic.model_validator(mode="after")
    def _in_one_place(self) -> "Source":
        if (self.hub is None) == (self.path is None):
            raise ValueError("a source says either `hub:` or `path:`")
        names = {file.name for file in self.files}
        for needed in (self.weights, self.params, self.tokenizer):
            if needed not in names:
                raise ValueError(f"`files:` does not list {needed}")
        return self


class FleursFiles(Strict):
    """A split of a language of FLEURS on the Hub: a TSV of transcripts and a tar of recordings."""

    repo: Repo
    revision: Commit
    language: FileName
    split: Literal["train", "dev", "test"] = "test"
    limit: Annotated[int, pydantic.Field(gt=0)] | None = None


class ClipSet(Strict):
    """Recordings with transcripts: a folder with a transcripts.tsv, or a corpus on the Hub."""

    name: FileName
    summary: str
    folder: str | None = None
    fleurs: FleursFiles | None = None
    language: str
    license: str
    attribution: str

    @pydantic.model_validator(mode="after")
    def _in_one_place(self) -> "ClipSet":
        if (self.folder is None) == (self.fleurs is None):
            raise ValueError("a clip set says either `folder:` or `fleurs:`")
        return self

    @property
    def recordings(self) -> tuple[str, ...]:
        """What two sets have in common if they may share recordings; splits of a corpus share none."""
        if self.fleurs:
            return self.fleurs.repo, self.fleurs.language, self.fleurs.split
        return (str(self.folder),)
