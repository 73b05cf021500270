"""What is measured, as plain data: `dataclasses.asdict` of it is what --json prints.

Times are in seconds, sizes in bytes.
"""

from dataclasses import dataclass, field

from .bandwidths import Bandwidth


@dataclass(frozen=True)
class Spread:
    """A time that was measured several times."""

    median: float
    least: float
    most: float
    samples: int


@dataclass(frozen=True)
class Machine:
    """What computes. Nothing here names a user, a host or a path."""

    kind: str
    """Of `voxrun.device.device_kind`."""
    name: str
    """What MLX calls it."""
    kernels: str
    cores: int
    memory: int
    system: str
    versions: dict[str, str]
    limits: dict[str, int]
    """Of memory, as MLX tells them; none on a CPU."""


@dataclass(frozen=True)
class Weights:
    """A model's files, by their headers."""

    sha256: str
    """Of all weight files, one behind the other."""
    stored: str
    """How they are quantized, and what is computed with them."""
    dtype: str
    """Of activations."""
    total: int
    decoder: int
    """Read for each pass of the decoder, the head apart."""
    head: int
    """Read for each pass, too: the embedding of all tokens."""
    encoder: int
    """Read for each pass of the encoder, the adapter included."""
    encoder_products: int
    """Multiplications in the encoder's and the adapter's matrices for each position."""
    window_entry: int
    """Keys and values of a position in the decoder's caches."""
    window: int
    """Positions in a full window."""


@dataclass(frozen=True)
class Loading:
    """From the folder to a model that is ready."""

    seconds: float
    resident: int | None
    """None where the system does not tell it."""
    active: int
    """MLX's."""


@dataclass(frozen=True)
class Memory:
    """At the end of all."""

    peak_resident: int
    active: int
    peak: int
    cache: int


@dataclass(frozen=True)
class Heard:
    """A signal transcribed, from samples to words."""

    is_speech: bool
    """Whether it was a recording of the user's; else it was noise."""
    seconds: float
    """Its length."""
    padded: float
    """With the silence that is put around it, which is computed too."""
    wall: float
    tokens: int
    passes: int
    kinds: str
    """Of the tokens, in order: `p` a pad, `w` the mark behind which a word is written, `t` text."""

    @property
    def factor(self) -> float:
        """Seconds for each second of audio."""
        return self.wall / self.seconds

    @property
    def padded_factor(self) -> float:
        """The same with the silence around it, which counts for much in short audio."""
        return self.wall / self.padded


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    machine: Machine
    weights: Weights
    loading: Loading
    bandwidth: Bandwidth
    """Of memory; the limits are computed from it."""
    read: Bandwidth
    """As it was measured here."""
    position: float
    """Seconds of audio for each position."""
    steps: dict[int, Spread]
    """A pass of the decoder near the start of a stream, by its rows: from embeddings to tokens."""
    full: dict[int, Spread]
    """The same behind a full window."""
    blocks: dict[int, Spread]
    """A pass of the encoder, by its positions."""
    difference: dict[int, float]
    """How far logits of a row alone and of the same row among so many are apart, at most: a share of the
    largest logit, or of 10 if that is below 10, as `voxrun.stream.tuning.Tuning.rounding` has it."""
    first_token: Spread
    """From the audio of the first token to the token."""
    heard: Heard
    memory: Memory
    primitives: int | None
    """Of MLX's graph in a pass of one row; None where our kernels compute."""
    left_out: list[str] = field(default_factory=list)
    """What was not measured, and why."""
