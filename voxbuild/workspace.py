"""The paths of a project's files."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A project's folders, all below its root."""

    root: Path

    @property
    def recipes(self) -> Path:
        """Recipes, with sources/ and clips/ in it."""
        return self.root / "recipes"

    @property
    def clips(self) -> Path:
        """Definitions of clip sets."""
        return self.recipes / "clips"

    @property
    def cards(self) -> Path:
        """Templates of model cards."""
        return self.root / "model_cards"

    def siblings_file(self, source: str) -> Path:
        """The record of a source's published artifacts."""
        return self.cards / "siblings" / f"{source}.json"

    @property
    def out(self) -> Path:
        """Everything that is built."""
        return self.root / "out"

    @property
    def registry(self) -> Path:
        """The local registry, in the Hub cache's layout."""
        return self.out / "registry"

    def artifact(self, source: str, recipe: str) -> Path:
        """A finished artifact's folder."""
        return self.out / source / recipe

    def artifacts(self, source: str) -> list[Path]:
        """The folders of all finished artifacts and views over a source."""
        return sorted(path for path in (self.out / source).glob("*") if path.is_dir())

    def state(self, source: str) -> Path:
        """Files that stages write for each other about a source: hashes, plans, reference transcripts."""
        return self.out / ".state" / source

    @property
    def found(self) -> Path:
        """Definitions of sources that were named by their place, not by a YAML file in recipes/."""
        return self.out / ".sources"

    @property
    def found_clips(self) -> Path:
        """The same of clip sets."""
        return self.found / "clips"

    def source_file(self, source: str) -> Path:
        """The fetched files: their folder, sizes and hashes."""
        return self.state(source) / "source.json"

    def proof_file(self, source: str) -> Path:
        """The stamp of the weights when their pinned hash was verified."""
        return self.state(source) / "proof.json"

    def stamps_file(self, artifact: Path) -> Path:
        """The stamps of an artifact's files when their hashes were last verified."""
        return self.state(artifact.parent.name) / f"{artifact.name}.stamps.json"

    def plan_file(self, source: str, recipe: str) -> Path:
        """The plan of a conversion."""
        return self.state(source) / f"{recipe}.plan.json"

    def reference_file(self, source: str, clips: str) -> Path:
        """The unquantized source's transcripts of a clip set."""
        return self.state(source) / f"{clips}.reference.json"

    def unquantized(self, source: str) -> Path:
        """The converted, unquantized weights of a source that voxrun cannot read itself."""
        return self.state(source) / "unquantized"

    def moments_file(self, source: str, clips: str, kind: str = "diagonal") -> Path:
        """The moments of every matrix's inputs (`methods.Kind`), from the unquantized source over clips."""
        name = "moments" if kind == "diagonal" else "second-moments"
        return self.state(source) / f"{clips}.{name}.safetensors"

    def tokens_file(self, source: str, clips: str) -> Path:
        """What the unquantized source writes for the recordings that calibrate, token by token."""
        return self.state(source) / f"{clips}.tokens.json"

    def sensitivity_file(self, source: str, measurement: str) -> Path:
        """How much the output changes if one matrix is quantized: see `plan.costs.measurement_of`."""
        return self.state(source) / f"{measurement}.sensitivity.json"

    def records(self, source: str) -> Path:
        """The folder of what a source and its artifacts heard, clip by clip: see `evaluate.records`."""
        return self.state(source) / "heard"

    def heard_file(self, source: str, variant: str) -> Path:
        """What a view was heard to say, and with which files, so that it is not repeated."""
        return self.state(source) / f"{variant}.heard.json"

    def evaluation_file(self, source: str) -> Path:
        """Figures and texts of a source and its artifacts, by delay and clip set."""
        return self.out / source / "evaluation.json"

    def evaluation_page(self, source: str) -> Path:
        """The same as a page to read."""
        return self.out / source / "evaluation.html"

    def partial(self, source: str, recipe: str) -> Path:
        """The folder of an artifact that is being built."""
        return self.out / ".partial" / f"{source}--{recipe}"

    def again(self, source: str, recipe: str) -> Path:
        """The folder in which `doit reproduce` converts an artifact again."""
        return self.out / ".partial" / f"{source}--{recipe}.again"
