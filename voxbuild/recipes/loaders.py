"""Other programs that load this model, and the files and quantizations each can read. A new one is one row.

Sizes are named as in `voxrun.checkpoint.config_formats`: `decoder.ada_dim`. A path is the keys from the root
of a JSON file, joined by dots.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.config_formats import MLX_AUDIO as MLX_AUDIO_FORMAT
from voxrun.checkpoint.config_formats import TRANSFORMERS as TRANSFORMERS_FORMAT
from voxrun.checkpoint.config_formats import Format
from voxrun.checkpoint.dialects import MLX_AUDIO, TRANSFORMERS, VOXMLX, Dialect


@dataclass(frozen=True)
class JsonFile:
    """A small file that a loader needs."""

    constants: Mapping[str, Any] = field(default_factory=dict)
    """Path -> value."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Path -> name of the size there."""

    def content(self, sizes: Mapping[str, Any]) -> dict[str, Any]:
        """The file's content for a model of these sizes."""
        content: dict[str, Any] = {}
        for path, value in {**self.constants, **{p: sizes[name] for p, name in self.sizes.items()}}.items():
            *parents, key = path.split(".")
            place = content
            for parent in parents:
                place = place.setdefault(parent, {})
            place[key] = value
        return content


@dataclass(frozen=True)
class Loader:
    """A program, what it can read, and how to use it."""

    name: str
    dialect: Dialect
    usage: str
    """Python code that transcribes a file with the weights in `{repo}`."""
    note: str | None = None
    """What a user of it must know; stands under `usage` in a model card."""
    library: str = "mlx"
    """The Hub's `library_name`."""
    modes: tuple[str, ...] = ()
    """Quantization modes that it reads; empty: nothing may be quantized."""
    uniform: bool = False
    """True if every matrix whose rows are whole groups must be quantized, all with the same settings."""
    default_groups: bool = False
    """True if the rows of every quantized matrix must be whole groups of the recipe's default size."""
    plain: tuple[str, ...] = ()
    """Modules with one of these in their paths, in its own naming, cannot be quantized."""
    assumed: Mapping[str, Any] = field(default_factory=dict)
    """Sizes that are fixed in its code, whatever a file says."""
    window: int | None = None
    """Positions of the decoder's window, if they are fixed in its code. A model of a longer window cannot
    be read. One of a shorter window can, and is computed rightly up to the end of its own."""
    format: Format | None = None
    """The layout of its config.json; None: it reads the artifact's."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of config.json: path -> value."""
    files: Mapping[str, JsonFile] = field(default_factory=dict)
    """Further files, by name."""

    @property
    def reads_the_artifact(self) -> bool:
        """Whether it reads the artifact itself and needs no view."""
        return self.format is None

    def limit(self, config: ModelConfig) -> str | None:
        """How far into a stream it computes what a model of these sizes does; None: to the end."""
        own = config.decoder.sliding_window
        if self.window is None or own >= self.window:
            return None
        seconds = own / config.audio.frame_rate
        return (
            f"it is right up to position {own} ({seconds:.0f} s): decoder.sliding_window is {own},"
            f" its code has a fixed {self.window}"
        )

    def config_file(self, sizes: Mapping[str, Any]) -> JsonFile:
        """config.json without its quantization."""
        assert self.format is not None
        places = {self.format.path(size): size for size in sizes if size not in self.assumed}
        return JsonFile({**self.format.fixed, **self.constants}, places)


def sizes_of(config: ModelConfig) -> dict[str, Any]:
    """All sizes of a model by name."""
    sections: dict[str, Any] = {"audio": config.audio, "encoder": config.encoder, "decoder": config.decoder}
    sizes = {f"{s}.{f.name}": getattr(part, f.name) for s, part in sections.items() for f in fields(part)}
    return sizes | {
        "adapter.downsample_factor": config.downsample_factor,
        "decoder.vocab_size": config.vocab_size,
        "decoder.ada_dim": config.ada_dim,
    }


_BIASES = {"encoder.use_biases": True, "decoder.use_biases": False}
_TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11}  # in every tekken vocabulary

VOXMLX_LOADER = Loader(
    "voxmlx",
    VOXMLX,
    usage="""\
from voxmlx import transcribe

print(transcribe("talk.flac", model_path="{repo}"))""",
    note="voxmlx's decoder looks back 8192 positions (11 minutes), whatever `sliding_window` says. If the"
    " model's own window is shorter, voxmlx transcribes recordings longer than that worse than voxrun does.",
    modes=("affine",),
    uniform=True,
    assumed=_BIASES
    | {
        "audio.sampling_rate": 16000,
        "audio.hop_length": 160,
        "audio.window_size": 400,
        "audio.global_log_mel_max": 1.5,
        "encoder.norm_eps": 1e-5,
        "decoder.norm_eps": 1e-5,
    },
    window=8192,
)

MLX_AUDIO_LOADER = Loader(
    "mlx-audio",
    MLX_AUDIO,
    usage="""\
from mlx_audio.stt.utils import load

print(load("{repo}").generate("talk.flac").text)""",
    library="mlx-audio",
    modes=("affine", "mxfp4", "mxfp8", "nvfp4"),
    default_groups=True,
    plain=("norm", "ada_rms_norm", "conv_layers"),  # its `model_quant_predicate`
    assumed=_BIASES,
    format=MLX_AUDIO_FORMAT,
    constants={"model_type": "voxtral_realtime"},
)

TRANSFORMERS_LOADER = Loader(
    "transformers",
    TRANSFORMERS,
    usage="""\
import soundfile
from transformers import AutoProcessor, VoxtralRealtimeForConditionalGeneration

processor = AutoProcessor.from_pretrained("{repo}")
model = VoxtralRealtimeForConditionalGeneration.from_pretrained("{repo}")
samples, rate = soundfile.read("talk.flac")  # mono, 16 kHz
inputs = processor(samples, return_tensors="pt").to(model.device, dtype=model.dtype)
print(processor.batch_decode(model.generate(**inputs), skip_special_tokens=True)[0])""",
    library="transformers",
    assumed=TRANSFORMERS_FORMAT.defaults,
    format=TRANSFORMERS_FORMAT,
    constants={
        "architectures": ["VoxtralRealtimeForConditionalGeneration"],
        "model_type": "voxtral_realtime",
        "audio_config.model_type": "voxtral_realtime_encoder",
        "text_config.model_type": "voxtral_realtime_text",
        **{f"text_config.{name}": token for name, token in _TOKENS.items()},
    },
    files={
        "generation_config.json": JsonFile(_TOKENS),
        "processor_config.json": JsonFile(
            {
                "processor_class": "VoxtralRealtimeProcessor",
                "feature_extractor.feature_extractor_type": "VoxtralRealtimeFeatureExtractor",
            },
            {
                "feature_extractor.feature_size": "audio.num_mel_bins",
                "feature_extractor.global_log_mel_max": "audio.global_log_mel_max",
                "feature_extractor.hop_length": "audio.hop_length",
                "feature_extractor.n_fft": "audio.window_size",
                "feature_extractor.sampling_rate": "audio.sampling_rate",
                "feature_extractor.win_length": "audio.window_size",
            },
        ),
    },
)

LOADERS = {loader.name: loader for loader in (VOXMLX_LOADER, MLX_AUDIO_LOADER, TRANSFORMERS_LOADER)}


def views_of(dialects: tuple[str, ...]) -> list[Loader]:
    """The loaders of a recipe's `dialects:` that need a view."""
    return [LOADERS[name] for name in dialects if not LOADERS[name].reads_the_artifact]
