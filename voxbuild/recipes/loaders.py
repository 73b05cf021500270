"""Other programs that load this model, as data: what each can read, and in what files. A new one is one row.

Sizes are named as in `voxrun.checkpoint.config_formats`: `decoder.ada_dim`. A path is the keys of a JSON
file, with dots between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from voxbuild.tensors.modes import MODES
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.config_formats import MLX_AUDIO as MLX_AUDIO_FORMAT
from voxrun.checkpoint.config_formats import TRANSFORMERS as TRANSFORMERS_FORMAT
from voxrun.checkpoint.config_formats import Format
from voxrun.checkpoint.dialects import MLX_AUDIO, TRANSFORMERS, VOXMLX, Dialect


@dataclass(frozen=True)
class JsonFile:
    """A small file that a loader asks for."""

    constants: Mapping[str, Any] = field(default_factory=dict)
    """Path -> value."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Path -> the size that stands there."""

    def content(self, sizes: Mapping[str, Any]) -> dict[str, Any]:
        """What to write for a model of these sizes."""
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
    """A program, what it can read, and how it is called."""

    name: str
    dialect: Dialect
    usage: str
    """Python that transcribes a file with a `{repo}`."""
    library: str = "mlx"
    """The Hub's `library_name`."""
    modes: tuple[str, ...] = ()
    """Modes of quantization that it reads; none: nothing may be quantized."""
    uniform: bool = False
    """True if every matrix whose rows are whole groups must be quantized, all of them alike."""
    default_groups: bool = False
    """True if the rows of all that is quantized must be whole groups of the recipe's default size."""
    plain: tuple[str, ...] = ()
    """What it never quantizes: all modules with one of these in their paths, in its own spelling."""
    assumed: Mapping[str, Any] = field(default_factory=dict)
    """Sizes that are written into its code, whatever a file says."""
    format: Format | None = None
    """The layout of its config.json; None: that of the artifact."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """What else config.json says, path -> value."""
    files: Mapping[str, JsonFile] = field(default_factory=dict)
    """Further files, by name."""

    @property
    def reads_the_artifact(self) -> bool:
        """Whether it needs no view of its own."""
        return self.format is None

    def config_file(self, sizes: Mapping[str, Any]) -> JsonFile:
        """config.json, its quantization apart."""
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
_BOS, _EOS, _PAD = 1, 2, 11  # of every tekken vocabulary

VOXMLX_LOADER = Loader(
    "voxmlx",
    VOXMLX,
    usage="""\
from voxmlx import transcribe

print(transcribe("talk.flac", model_path="{repo}"))""",
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
        "decoder.sliding_window": 8192,
    },
)

MLX_AUDIO_LOADER = Loader(
    "mlx-audio",
    MLX_AUDIO,
    usage="""\
from mlx_audio.stt.utils import load

print(load("{repo}").generate("talk.flac").text)""",
    library="mlx-audio",
    modes=tuple(MODES),
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
        "text_config.bos_token_id": _BOS,
        "text_config.eos_token_id": _EOS,
        "text_config.pad_token_id": _PAD,
    },
    files={
        "generation_config.json": JsonFile(
            {"bos_token_id": _BOS, "eos_token_id": _EOS, "pad_token_id": _PAD},
        ),
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
    """Those of a recipe's `dialects:` that need a folder of their own."""
    return [LOADERS[name] for name in dialects if not LOADERS[name].reads_the_artifact]
