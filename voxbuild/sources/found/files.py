"""Which files of a folder or a repository are the checkpoint: the weights, the sizes, the tokenizer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

from voxbuild.errors import SourceError
from voxrun.checkpoint.layout import CONFIG, INDEX, MAX_FILES, MISTRAL_WEIGHTS, PARAMS, SINGLE, TOKENIZER_FILE
from voxrun.files.downloads import START, failed_download
from voxrun.messages import shown

from .place import ABSOLUTE, Place

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OTHERS = {
    "*.gguf": "GGUF is quantized or packed already; start from the safetensors files it was made from",
    "*.bin": "save the weights as safetensors: model.save_pretrained(FOLDER, safe_serialization=True)",
    "*.pt": "save the weights as safetensors: safetensors.torch.save_file(model.state_dict(), FILE)",
    "*.pth": "save the weights as safetensors: safetensors.torch.save_file(model.state_dict(), FILE)",
    "*.ckpt": "save the weights as safetensors: safetensors.torch.save_file(model.state_dict(), FILE)",
    "*.npz": "save the weights as safetensors",
}
"""Weights in other formats, and what to do about them."""
PICKLES = (b"PK\3\4", b"\x80\2", b"\x80\4")
"""How the files of torch.save begin."""
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
QUANTIZED = "already quantized; start from the unquantized weights"


@dataclass(frozen=True)
class CheckpointFiles:
    """The names of a checkpoint's files."""

    weights: tuple[str, ...]
    params: str
    tokenizer: str
    tensors: tuple[str, ...] | None
    """The names of its tensors by its index; None: it has no index."""


def is_adapter(place: Place) -> bool:
    """Whether it holds a LoRA adapter and no model."""
    return ADAPTER_CONFIG in place.files and not _safetensors(place)


def check_adapter(place: Place) -> None:
    """Raises SourceError unless the adapter's two files are there."""
    if ADAPTER_CONFIG not in place.files:
        raise SourceError(f"{place.key}: no {ADAPTER_CONFIG} is there, so it is no LoRA adapter of PEFT")
    if ADAPTER_WEIGHTS not in place.files:
        raise SourceError(
            f"{place.key}: {ADAPTER_WEIGHTS} is missing; save the adapter with"
            " model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    _check_content(place, (ADAPTER_CONFIG, ADAPTER_WEIGHTS))


def checkpoint_files(place: Place) -> CheckpointFiles:
    """The checkpoint's files. Raises SourceError, which says what is missing and what to do."""
    config = place.json(CONFIG)
    if config.get("quantization") or config.get("quantization_config"):
        raise SourceError(f"{place.key}: {CONFIG} says that it is {QUANTIZED}")
    index = _index(place)
    names = _places(place, index) if index else {}
    weights = tuple(sorted(set(names.values()))) if index else _without_index(place)
    tensors = tuple(names) if index else None
    params = _params(place, weights)
    if TOKENIZER_FILE not in place.files:
        raise SourceError(
            f"{place.key}: {TOKENIZER_FILE}, the tokenizer, is missing (tokenizer.json is not enough): copy"
            f" it there from the model it was fine-tuned from, `hf download OWNER/NAME {TOKENIZER_FILE}`"
        )
    _check_content(place, (*weights, params, TOKENIZER_FILE))
    return CheckpointFiles(weights, params, TOKENIZER_FILE, tensors)


def unread_weights(place: Place, weights: tuple[str, ...]) -> Iterator[str]:
    """A phrase for other weights that lie there: perhaps they are the fine-tune that was meant."""
    if others := [name for name in _safetensors(place) if name not in weights]:
        instead = f"{weights[0]} is read instead; move it away if it is not the model that you mean"
        yield f"{', '.join(others)}: {instead}"
    if ADAPTER_WEIGHTS in place.files:
        yield f"{ADAPTER_WEIGHTS}: to merge it, say adapter={place.key} too"


def _index(place: Place) -> str | None:
    """The index whose shards are read; None: the tensors are in files without an index.

    The order of voxrun.checkpoint.layout, then any other index.
    """
    if MISTRAL_WEIGHTS in place.files:
        return None
    if INDEX in place.files:
        return INDEX
    others = [name for name in place.files if name.endswith(".safetensors.index.json") and "/" not in name]
    if SINGLE in place.files or not others:
        return None
    if len(others) > 1:
        raise SourceError(f"{place.key}: several indices, {', '.join(others)}; leave the one to be read")
    return others[0]


def _places(place: Place, index: str) -> dict[str, str]:
    """Tensor -> file by an index. Raises SourceError if it cannot be read or names a missing file."""
    places = place.json(index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(n, str) for n in places.values()):
        raise SourceError(f"{place.key}/{index}: no readable weight_map")
    names = sorted(set(places.values()))
    if len(names) > MAX_FILES:
        raise SourceError(f"{place.key}/{index}: it names {len(names):,} files, the limit is {MAX_FILES:,}")
    missing = [name for name in names if not place.has(name)]
    if missing:
        raise SourceError(f"{place.key}: {shown(missing[0])} is missing, though {index} names it")
    return places


def _without_index(place: Place) -> tuple[str, ...]:
    """The one file of the tensors, or all that are there. Raises SourceError."""
    for name in (MISTRAL_WEIGHTS, SINGLE):
        if name in place.files:
            return (name,)
    names = _safetensors(place)
    if not names:
        raise SourceError(_no_weights(place))
    shards = [match for name in names if (match := SHARD.fullmatch(name))]
    for match in shards:
        for number in range(1, min(int(match[3]), MAX_FILES) + 1):
            shard = f"{match[1]}-{number:05}-of-{match[3]}.safetensors"
            if shard not in names:
                raise SourceError(f"{place.key}: the shard {shard} is missing")
    return names


def _safetensors(place: Place) -> tuple[str, ...]:
    """The files of a model's tensors, in order. In folders below lie others, such as those of a trainer."""
    names = (name for name in place.files if name.endswith(".safetensors") and "/" not in name)
    return tuple(sorted(name for name in names if name != ADAPTER_WEIGHTS))


def _no_weights(place: Place) -> str:
    for pattern, advice in OTHERS.items():
        if other := next((name for name in sorted(place.files) if fnmatch(name, pattern)), None):
            return f"{place.key}: no safetensors file is there, only {other}; {advice}"
    return f"{place.key}: no safetensors file is there, so it is no checkpoint"


def _params(place: Place, weights: tuple[str, ...]) -> str:
    """The file of the sizes: Mistral's beside Mistral's weights, else config.json first."""
    mistrals = weights[0].startswith("consolidated")
    order = (PARAMS, CONFIG) if mistrals else (CONFIG, PARAMS)
    for name in order:
        if name in place.files:
            return name
    raise SourceError(
        f"{place.key}: neither {PARAMS} nor {CONFIG}, which has the model's sizes, is there; copy it there"
        " from the model it was fine-tuned from"
    )


def _check_content(place: Place, names: tuple[str, ...]) -> None:
    """Raises SourceError for a local file that is none: what a failed download left, or a pickle."""
    folder = place.origin.folder(ABSOLUTE)
    for name in names if folder else ():
        assert folder is not None
        try:
            with (folder / name).open("rb") as file:
                start = file.read(START)
        except OSError as error:
            raise SourceError(f"{folder / name}: {error.strerror}") from error
        if failure := failed_download(start):
            raise SourceError(f"{folder / name}: {failure}")
        if name.endswith(".safetensors") and start.startswith(PICKLES):
            raise SourceError(
                f"{folder / name}: a file of torch.save, whatever its name says; {OTHERS['*.pt']}"
            )
