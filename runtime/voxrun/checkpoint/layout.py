"""A model's folder: which of its files are read, and what each of them holds, before MLX sees any."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os.path import lexists
from pathlib import Path
from typing import Any

from voxrun.errors import ConfigError, WeightsError
from voxrun.files.objects import read_member
from voxrun.files.paths import StrictError, is_file, is_plain, is_tools, member
from voxrun.messages import shown

from .config import ModelConfig
from .dialects import Dialect, recognise
from .tensors import MAX_NAME, MAX_TENSORS, Tensor, read_header_of

CONFIG, PARAMS = "config.json", "params.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MISTRAL_WEIGHTS = "consolidated.safetensors"
TOKENIZER_FILE = "tekken.json"
PATTERNS = ["*.safetensors", INDEX, CONFIG, PARAMS, TOKENIZER_FILE]
"""Files of a repository among which are all that are loaded."""
MAX_FILES = 1000


@dataclass(frozen=True)
class Layout:
    """How a model's folder is read. Each answer is found when it is first asked for, and kept.

    `voxrun.trust.proof` proves, and `voxrun.model.load` reads, the files that are named here.
    """

    folder: Path

    @cached_property
    def is_mistrals(self) -> bool:
        """Whether Mistral's files are read: the upstream's repository has transformers' files beside them.

        Not if config.json describes quantized weights: some converters leave Mistral's files beside those.
        Raises ConfigError.
        """
        there = (self.folder / MISTRAL_WEIGHTS).is_file()
        return there and not (self._config_json or {}).get("quantization")

    @cached_property
    def config(self) -> ModelConfig:
        """The sizes by config.json, or by the upstream's params.json. Raises ConfigError."""
        if self._config_json is not None and not self.is_mistrals:
            return ModelConfig.from_dict(self._config_json, str(self.folder / CONFIG))
        if (self.folder / PARAMS).is_file():
            return ModelConfig.from_dict(read_member(self.folder, PARAMS), str(self.folder / PARAMS))
        raise ConfigError(f"{self.folder}: neither {CONFIG} nor {PARAMS} is there")

    @cached_property
    def weight_files(self) -> list[Path]:
        """The files that hold the tensors. Raises WeightsError if there is none or one is missing."""
        if self.is_mistrals:
            names = [MISTRAL_WEIGHTS]
        elif self._index is not None:
            names = sorted(set(self._index.values()))
        elif (self.folder / SINGLE).is_file():
            names = [SINGLE]
        else:
            raise WeightsError(f"{self.folder}: none of {INDEX}, {SINGLE}, {MISTRAL_WEIGHTS} is there")
        if len(names) > MAX_FILES:
            raise WeightsError(
                f"{self.folder / INDEX}: it names {len(names):,} files, the limit is {MAX_FILES:,}"
            )
        return [_weight_file(self.folder, name) for name in names]

    @cached_property
    def headers(self) -> dict[Path, list[Tensor]]:
        """Weight file -> its tensors, by its own header, which no other parser has read before.

        Raises WeightsError if a header is damaged, a tensor is in two files, or the index differs;
        ConfigError if config.json is no JSON.
        """
        headers: dict[Path, list[Tensor]] = {}
        places: dict[str, str] = {}
        for path in self.weight_files:
            headers[path] = read_header_of(path)
            for tensor in headers[path]:
                if tensor.name in places:
                    raise WeightsError(f"{path}: {shown(tensor.name)} is in {places[tensor.name]} too")
                places[tensor.name] = path.relative_to(self.folder).as_posix()
            if len(places) > MAX_TENSORS:
                raise WeightsError(
                    f"{self.folder}: more than {MAX_TENSORS:,} tensors, which is not plausible"
                )
        if self._index is not None:
            _check_index(self._index, places, self.folder / INDEX)
        return headers

    @cached_property
    def dialect(self) -> Dialect:
        """The dialect of the tensors' names. Raises WeightsError, ConfigError."""
        return recognise(tensor.name for header in self.headers.values() for tensor in header)

    @property
    def loaded_names(self) -> set[str]:
        """Paths in the folder of all files that are opened to load it. Raises WeightsError, ConfigError."""
        fixed = (CONFIG, PARAMS, TOKENIZER_FILE, INDEX, MISTRAL_WEIGHTS, SINGLE)
        weights = {path.relative_to(self.folder).as_posix() for path in self.weight_files}
        return weights | {name for name in fixed if lexists(self.folder / name)}

    @property
    def is_complete(self) -> bool:
        """Whether all is there that is loaded. Raises ConfigError, WeightsError for the files that say so."""
        return all((self.config, self.weight_files, (self.folder / TOKENIZER_FILE).is_file()))

    @cached_property
    def _config_json(self) -> dict[str, Any] | None:
        return read_member(self.folder, CONFIG) if (self.folder / CONFIG).is_file() else None

    @cached_property
    def _index(self) -> dict[str, str] | None:
        """Tensor -> file name by the index; None if the tensors are in one file."""
        sharded = not self.is_mistrals and (self.folder / INDEX).is_file()
        return _weight_map(self.folder) if sharded else None


def _check_index(index: Mapping[str, str], places: Mapping[str, str], origin: Path) -> None:
    """Raises WeightsError unless the index names the file of each tensor: other readers follow it."""
    for name in sorted(index.keys() | places.keys()):
        if index.get(name) != places.get(name):
            raise WeightsError(
                f"{origin}: {shown(name)} is in {places.get(name, 'no file')}, not in"
                f" {index.get(name, 'the index at all')}"
            )


def _weight_file(folder: Path, name: str) -> Path:
    try:
        path = member(folder, name)
    except StrictError as error:
        raise WeightsError(f"{folder / name}: {error}") from error
    if not is_file(path):
        raise WeightsError(f"{path}: the file is missing, though {INDEX} names it")
    return path


def _weight_map(folder: Path) -> dict[str, str]:
    """The index's weight_map. Raises WeightsError if a file in it cannot be in the folder."""
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
