"""Every number of the tiny model: its sizes, its streaming format and the training schedule."""

from dataclasses import dataclass


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
    sliding_window: int = 8192  # positions
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
MELS_PER_POSITION = 8
FRAMES_PER_POSITION = 4
LEFT_PAD = 32  # positions of silence before the audio
DELAY = 6  # positions between hearing and writing: 480 ms
RIGHT_PAD = 17  # positions of silence behind the audio
PROMPT = LEFT_PAD + DELAY + 1  # BOS and the pads; the first free position is PROMPT - 1
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
class Phase:
    """One training run: a cosine from `peak_rate` to almost zero, after a linear warm-up.

    `phone_weight` is the weight of the phone loss, falling linearly from its first to its second
    value. The last four shares corrupt the history the decoder reads; see `augment.py`.
    """

    name: str
    start: str | None  # the phase whose weights it starts from; None: random
    alignment: str  # whose word and phone times: "dtw" or "viterbi"
    steps: int
    warmup: int
    optimizer: str  # "adamw", or "muon": Muon on the matrices, AdamW on the rest
    peak_rate: float
    shapes: tuple[Shape, ...]
    right_pad: int  # positions at the end of a sequence that hold no speech
    processes: int
    real_share: float  # of the sequences; the others are synthetic speech
    pad_weight: float  # of [STREAMING_PAD] in the cross-entropy
    phone_weight: tuple[float, float]
    random_history: float = 0.10
    dropped_history: float = 0.0
    own_history: float = 0.0
    weight_decay: float = 0.03
    dropout: float = 0.1  # decoder only


PHASES = (
    Phase(
        name="a",
        start=None,
        alignment="dtw",
        steps=1270,
        warmup=150,
        optimizer="adamw",
        peak_rate=1.5e-3,
        shapes=(Shape(176, 12, 0.85), Shape(272, 6, 0.15)),
        right_pad=17,
        processes=1,
        real_share=0.68,
        pad_weight=0.25,
        phone_weight=(0.55, 0.05),
    ),
    Phase(
        name="b",
        start="a",
        alignment="dtw",
        steps=485,
        warmup=40,
        optimizer="adamw",
        peak_rate=9e-4,
        shapes=(Shape(176, 8, 0.85), Shape(272, 4, 0.15)),
        right_pad=17,
        processes=1,
        real_share=0.75,
        pad_weight=0.25,
        phone_weight=(0.15, 0.15),
    ),
    Phase(
        name="c",
        start="b",
        alignment="viterbi",
        steps=2958,
        warmup=100,
        optimizer="muon",
        peak_rate=2e-3,
        shapes=(
            Shape(128, 5, 0.32),
            Shape(176, 4, 0.46),
            Shape(272, 2, 0.15),
            Shape(432, 1, 0.07),
        ),
        right_pad=12,
        processes=2,
        real_share=0.75,
        pad_weight=0.5,
        phone_weight=(0.35, 0.05),
        dropped_history=0.03,
        own_history=0.4,
    ),
)
