"""Where everything of a project lies: paths only."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A project's folders, all below its root."""

    root: Path

    @property
    def recipes(self) -> Path:
        """Recipes; sources/ and clips/ are below it."""
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
        """The record of what is published of a source."""
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

    def state(self, source: str) -> Path:
        """What stages tell each other about a source: hashes, plans, reference transcripts."""
        return self.out / ".state" / source

    def source_file(self, source: str) -> Path:
        """What fetch found: where the files lie, their sizes and hashes."""
        return self.state(source) / "source.json"

    def proof_file(self, source: str) -> Path:
        """Which weights were read to the end and had the hash that they should have."""
        return self.state(source) / "proof.json"

    def stamps_file(self, artifact: Path) -> Path:
        """The stamps of an artifact's files when, though touched, they had their hashes."""
        return self.state(artifact.parent.name) / f"{artifact.name}.stamps.json"

    def plan_file(self, source: str, recipe: str) -> Path:
        """What convert will do."""
        return self.state(source) / f"{recipe}.plan.json"

    def reference_file(self, source: str, clips: str) -> Path:
        """What the unquantized source hears in a clip set."""
        return self.state(source) / f"{clips}.reference.json"

    def moments_file(self, source: str, clips: str) -> Path:
        """How much each input of each matrix matters, by the unquantized source over a clip set."""
        return self.state(source) / f"{clips}.moments.safetensors"

    def partial(self, source: str, recipe: str) -> Path:
        """Where an artifact is while it is not whole."""
        return self.out / ".partial" / f"{source}--{recipe}"

    def again(self, source: str, recipe: str) -> Path:
        """Where an artifact's weights are made once more, to compare."""
        return self.out / ".partial" / f"{source}--{recipe}.again"
