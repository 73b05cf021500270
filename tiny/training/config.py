"""Every number of the tiny model: its sizes, its streaming format and the training schedule."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network; the names are those of upstream's params.json."""

    vocab_size: int = 1024
    dim: int = 256
    n_layers: int = 3
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    hidden_dim: int = 384
    sliding_window: int = 250  # positions; 20 s
    ada_rms_norm_t_cond_dim: int = 32

    mel_bins: int = 128
    encoder_dim: int = 192
    encoder_layers: int = 4
    encoder_heads: int = 4
    encoder_head_dim: int = 64
    encoder_hidden_dim: int = 448
    encoder_window: int = 750  # frames of 20 ms
    downsample_factor: int = 4

    rope_theta: float = 1e6
    norm_eps: float = 1e-5


# The streaming format. One position is 80 ms: 1280 samples, 8 mel frames, 4 encoder frames.
POSITION_SECONDS = 0.08
SAMPLES_PER_POSITION = 1280
MELS_PER_POSITION = 8
FRAMES_PER_POSITION = 4
LEFT_PAD = 32  # positions of silence before the audio
DELAY = 6  # positions between hearing and writing if nothing else is asked for: 480 ms
BEHIND = 11  # positions of silence behind the audio, and as many more as the delay
SILENCE = -0.625  # log-mel of digital silence

# Token ids
BOS, PAD, WORD = 1, 32, 33  # <s>, [STREAMING_PAD], [STREAMING_WORD]
FIRST_TEXT = 64  # all ids below are special tokens

# The phones of flite's US English voices, in the order of the phone head's outputs
PHONES = (  # noqa: SIM905
    "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th "
    "uh uw v w y z zh"
).split()
PHONE_DELAY = 6  # encoder frames of 20 ms by which the phone head lags behind the audio

# Every real training recording is also heard at these speeds (resampled).
SPEEDS = (0.86, 0.9, 0.94, 0.97, 1.0, 1.03, 1.06, 1.1, 1.15)


@dataclass(frozen=True)
class Shape:
    """One kind of batch: `sequences` of `positions` per process, drawn with probability `share`."""

    positions: int
    sequences: int
    share: float


@dataclass(frozen=True)
class Delays:
    """The delays a sequence is decoded at: `count` different ones.

    `DELAY` is among them with probability `usual`; the others are drawn by weight.
    """

    count: int = 1
    usual: float = 1.0
    weights: tuple[tuple[int, float], ...] = ()  # (delay in positions, weight)


@dataclass(frozen=True)
class Sound:
    """What a training sequence sounds like; all shares are of the sequences.

    A sequence is made of runs: clips of one kind, at one speed and loudness, with gaps of up to one
    length.
    """

    real: float = 0.75  # share of runs of real speech; the others are synthetic
    right_pad: int = 12  # positions at the end that hold no speech
    filled: float = 0.0  # share that has speech up to the end all the same
    midstream: float = 0.0  # share without BOS and left padding, as from the midst of a stream
    speechless: float = 0.0
    late: float = 0.0  # share whose speech starts up to 4 s later
    lingering: float = 0.0  # share whose noise goes on behind the speech
    new_run: float = 0.0  # chance after each clip that another run begins; 0: one run
    spliced: float = 0.0  # share of runs of real speech that are crops of 1-3 words, close together
    gaps: tuple[tuple[float, float], ...] = ((0.02, 1), (0.1, 1), (0.3, 1), (0.8, 1), (1.2, 1))
    # (longest gap in seconds, weight)
    loudness: float = 0.0  # largest gain of a run, up or down, in log10 of the power
    gain: tuple[float, float] = (-1.6, 0.6)  # of the whole sequence, in log10 of the power
    reverberant: float = 0.0
    warp: float = 0.0  # share by which the mel bins are stretched or squeezed, at most
    masks: float = 1.0  # by how much more of the sound is masked over time
    coloured_noise: float = 0.0  # share whose noise is made as sound instead of drawn as log-mel
    unsteady_noise: float = 0.0  # share of batches whose noise comes and goes


@dataclass(frozen=True)
class History:
    """How the text the decoder reads is corrupted, so that it copes with its own mistakes."""

    random: float = 0.10  # share of the text tokens
    dropped: float = 0.0  # share of the words
    own: float = 0.0  # share of the text tokens replaced by the model's guess, every second step
    shifted: float = 0.0  # share of the words one or two positions early or late


@dataclass(frozen=True)
class Lesson:
    """How sequences are written from a share `begin` of the steps on."""

    begin: float
    history: History
    delays: Delays


@dataclass(frozen=True)
class Phase:
    """One training run: a cosine from `peak_rate` to almost zero, after a linear warm-up.

    Its result is the running average of the weights, whose newest value counts 1 - `average`.
    `phone_weight` is the weight of the phone loss, falling linearly from its first to its second
    value.
    """

    name: str
    start: tuple[str, ...]  # the phases whose mean weights it starts from; (): random weights
    alignment: str  # whose word and phone times: "dtw" or "viterbi"
    steps: int
    warmup: int
    optimizer: str  # "adamw", or "muon": Muon on the matrices, AdamW on the rest
    peak_rate: float
    shapes: tuple[Shape, ...]
    pad_weight: float  # of [STREAMING_PAD] in the cross-entropy
    phone_weight: tuple[float, float]
    sound: Sound
    history: History = History()
    delays: Delays = Delays()
    early_pad_weights: tuple[tuple[int, float], ...] = ()  # (delay, weight) in place of pad_weight
    cosine_steps: int | None = None  # of the whole cosine, where the phase stops before its end
    processes: int = 1
    bfloat16: bool = False  # autocast: fast where the CPU has AMX, slow where it has not
    seed: int = 0
    weight_decay: float = 0.03
    encoder_rate: float = 1.0  # of the encoder's parameters, relative to the others'
    dropout: float = 0.1  # decoder
    encoder_dropout: float = 0.0
    average: float = 0.0
    lessons: tuple[Lesson, ...] = ()  # in place of `history` and `delays`, in order

    def at(self, progress: float) -> "Phase":
        """The phase as it is after this share of its steps."""
        begun = [lesson for lesson in self.lessons if lesson.begin <= progress]
        if not begun:
            return self
        return replace(self, history=begun[-1].history, delays=begun[-1].delays)


# First edition: one delay, sequences from the start of a stream.

A = Phase(
    name="a",
    start=(),
    alignment="dtw",
    steps=1270,
    warmup=150,
    optimizer="adamw",
    peak_rate=1.5e-3,
    shapes=(Shape(176, 12, 0.85), Shape(272, 6, 0.15)),
    pad_weight=0.25,
    phone_weight=(0.55, 0.05),
    sound=Sound(real=0.68, right_pad=17),
    bfloat16=True,
)
B = replace(
    A,
    name="b",
    start=("a",),
    steps=485,
    warmup=40,
    peak_rate=9e-4,
    shapes=(Shape(176, 8, 0.85), Shape(272, 4, 0.15)),
    phone_weight=(0.15, 0.15),
    sound=Sound(right_pad=17),
)
C = Phase(
    name="c",
    start=("b",),
    alignment="viterbi",
    steps=2958,
    warmup=100,
    optimizer="muon",
    peak_rate=2e-3,
    shapes=(Shape(128, 5, 0.32), Shape(176, 4, 0.46), Shape(272, 2, 0.15), Shape(432, 1, 0.07)),
    pad_weight=0.5,
    phone_weight=(0.35, 0.05),
    sound=Sound(),
    history=History(dropped=0.03, own=0.4),
    processes=2,
    bfloat16=True,
)

# Second edition: all delays, sequences from anywhere in a stream.

D = Phase(
    name="d",
    start=("c",),
    alignment="viterbi",
    steps=740,
    cosine_steps=1180,
    warmup=40,
    optimizer="muon",
    peak_rate=1.5e-3,
    shapes=(
        Shape(128, 5, 0.28),
        Shape(176, 4, 0.40),
        Shape(272, 2, 0.20),
        Shape(432, 1, 0.09),
        Shape(750, 1, 0.03),
    ),
    pad_weight=0.5,
    phone_weight=(0.1, 0.1),
    sound=Sound(
        real=0.78,
        filled=0.3,
        midstream=0.25,
        late=0.06,
        lingering=0.3,
        new_run=0.12,
        gaps=((0.02, 2), (0.1, 3), (0.3, 4), (0.8, 4), (1.2, 4), (3.0, 1.2), (6.0, 0.4)),
        loudness=0.35,
        gain=(-2.1, 0.7),
        reverberant=0.2,
        unsteady_noise=0.4,
    ),
    history=History(dropped=0.03, own=0.4),
    delays=Delays(
        count=3,
        usual=0.75,
        weights=(
            *((1, 2.0), (2, 1.5), (3, 2.0), (4, 0.7), (5, 0.7), (7, 0.6), (8, 0.8), (9, 0.8)),
            *((10, 0.8), (11, 0.6), (12, 2.2), (13, 0.6), (14, 0.6), (15, 1.8), (30, 4.0)),
        ),
    ),
    seed=2,
    encoder_rate=0.5,
    encoder_dropout=0.05,
    average=0.98,
)
E = replace(
    D,
    name="e",
    start=("d",),
    steps=378,
    cosine_steps=None,
    peak_rate=4e-4,
    history=replace(D.history, shifted=0.12),
    early_pad_weights=((1, 1.0), (2, 0.8), (3, 0.7)),
    seed=3,
)
F = replace(
    E,
    name="f",
    start=("e",),
    steps=211,
    peak_rate=3e-4,
    sound=replace(E.sound, speechless=0.1, coloured_noise=0.75),
    seed=4,
)
G = replace(
    F,
    name="g",
    start=("e", "f"),
    steps=638,
    peak_rate=3.5e-4,
    history=History(random=0.03, dropped=0.02, own=0.4, shifted=0.15),
    seed=5,
)

# Third edition: one run from random weights, on a GPU, in TF32. All delays count alike in its end.

ALL_ALIKE = Delays(
    count=4,
    usual=0.0,
    weights=(
        *((1, 1.6), (2, 1.2), (3, 1.2), (4, 0.8), (5, 0.8), (6, 1.6), (7, 0.8), (8, 0.8)),
        *((9, 0.8), (10, 0.8), (11, 0.8), (12, 1.6), (13, 0.8), (14, 0.8), (15, 1.6), (30, 2.5)),
    ),
)
H = Phase(
    name="h",
    start=(),
    alignment="viterbi",
    steps=4598,
    warmup=300,
    optimizer="muon",
    peak_rate=2.5e-3,
    shapes=(
        Shape(128, 56, 0.24),
        Shape(176, 40, 0.36),
        Shape(272, 26, 0.22),
        Shape(432, 16, 0.13),
        Shape(750, 9, 0.05),
    ),
    pad_weight=0.5,
    early_pad_weights=E.early_pad_weights,
    phone_weight=(0.5, 0.05),
    sound=replace(F.sound, real=0.75, spliced=0.15),
    lessons=(
        Lesson(
            0.0,
            History(random=0.10, dropped=0.03, own=0.4, shifted=0.15),
            replace(ALL_ALIKE, usual=0.75),
        ),
        Lesson(0.25, History(random=0.10, dropped=0.03, own=0.4, shifted=0.15), ALL_ALIKE),
        Lesson(0.67, History(random=0.03, dropped=0.02, own=0.4, shifted=0.10), ALL_ALIKE),
    ),
    seed=8,
    encoder_dropout=0.05,
    average=0.999,
)
PHASES = (A, B, C, D, E, F, G, H)
