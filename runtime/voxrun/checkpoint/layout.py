"""Which files hold a model's weights, and what each of them holds, before MLX sees any."""

import os
from collections.abc import Mapping
from pathlib import Path

from voxrun.errors import ConfigError, WeightsError
from voxrun.files.objects import read_member
from voxrun.files.paths import StrictError, is_file, is_plain, is_tools, member
from voxrun.messages import shown

from .tensors import MAX_NAME, MAX_TENSORS, Tensor, read_header_of

CONFIG_FILES = ("config.json", "params.json")
MISTRAL_WEIGHTS = "consolidated.safetensors"
"""A folder with it is read in Mistral's layout, see `in_mistrals_layout`."""


def in_mistrals_layout(folder: Path) -> bool:
    """Whether to read Mistral's files: the upstream's repository has transformers' beside them.

    Not if config.json speaks of quantized weights: some converters leave Mistral's beside those.
    Raises ConfigError.
    """
    if not (folder / MISTRAL_WEIGHTS).is_file():
        return False
    config = CONFIG_FILES[0]
    return not ((folder / config).is_file() and read_member(folder, config).get("quantization"))


TOKENIZER_FILE = "tekken.json"

Headers = dict[Path, list[Tensor]]
"""Weight file -> what it holds."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_FILES = 1000


def read_headers(folder: Path) -> Headers:
    """What each weight file holds, by its own header: no parser but ours has seen the file before.

    Raises WeightsError if a header is damaged, a tensor is there twice, or the index says otherwise;
    ConfigError for a config.json that is no JSON.
    """
    headers: Headers = {}
    places: dict[str, str] = {}
    for path in weight_files(folder):
        headers[path] = read_header_of(path)
        for tensor in headers[path]:
            if tensor.name in places:
                raise WeightsError(f"{path}: {shown(tensor.name)} is in {places[tensor.name]} too")
            places[tensor.name] = path.relative_to(folder).as_posix()
        if len(places) > MAX_TENSORS:
            raise WeightsError(f"{folder}: more than {MAX_TENSORS:,} tensors, which is no model of ours")
    if _is_sharded(folder):
        _check_index(_weight_map(folder), places, folder / INDEX)
    return headers


def _check_index(said: Mapping[str, str], places: Mapping[str, str], index: Path) -> None:
    """Another reader believes the index; raises WeightsError where it would find something else."""
    for name in sorted(said.keys() | places.keys()):
        if said.get(name) != places.get(name):
            raise WeightsError(
                f"{index}: {shown(name)} is in {places.get(name, 'no file')}, not in"
                f" {said.get(name, 'the index at all')}"
            )


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's tensors. Raises WeightsError if there is none, or one is missing."""
    if in_mistrals_layout(folder):
        names = [MISTRAL_WEIGHTS]
    elif _is_sharded(folder):
        names = sorted(set(_weight_map(folder).values()))
    elif (folder / SINGLE).is_file():
        names = [SINGLE]
    else:
        raise WeightsError(f"{folder}: none of {INDEX}, {SINGLE}, {MISTRAL_WEIGHTS} is there")
    if len(names) > MAX_FILES:
        raise WeightsError(f"{folder / INDEX}: it names {len(names):,} files, where {MAX_FILES:,} are plenty")
    return [_weight_file(folder, name) for name in names]


def loaded_names(folder: Path) -> set[str]:
    """Paths in a folder of all that is looked at when it is loaded. Raises WeightsError, ConfigError."""
    chosen = (*CONFIG_FILES, TOKENIZER_FILE, INDEX, MISTRAL_WEIGHTS, SINGLE)
    weights = {path.relative_to(folder).as_posix() for path in weight_files(folder)}
    return weights | {name for name in chosen if os.path.lexists(folder / name)}


def _weight_file(folder: Path, name: str) -> Path:
    try:
        path = member(folder, name)
    except StrictError as error:
        raise WeightsError(f"{folder / name}: {error}") from error
    if not is_file(path):
        raise WeightsError(f"{path}: the file is missing, though {INDEX} names it")
    return path


def _is_sharded(folder: Path) -> bool:
    return not in_mistrals_layout(folder) and (folder / INDEX).is_file()


def _weight_map(folder: Path) -> dict[str, str]:
    """Tensor -> file, as the index says. Raises WeightsError if a file is none below the folder."""
    origin = folder / INDEX
    try:
        places = read_member(folder, INDEX).get("weight_map")
    except ConfigError as error:
        raise WeightsError(f"{origin}: no readable weight_map ({error})") from error
    if not isinstance(places, dict) or not places:
        raise WeightsError(f"{origin}: no readable weight_map (it is {shown(places)})")
    for name in set(map(str, places.values())):
        plain = is_plain(name) and len(name) <= MAX_NAME and not is_tools(name)
        if not plain or not name.endswith(".safetensors"):
            raise WeightsError(f"{origin}: no readable weight_map ({shown(name)} is no weight file's name)")
    return places
