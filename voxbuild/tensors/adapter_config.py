"""PEFT's adapter_config.json, which is untrusted: the rank and the scale of each module's LoRA.

Only plain LoRA is accepted, W + scale * B A. A key that is neither one of `Lora`'s nor in WITHOUT_EFFECT
must be null, false or empty: whatever else it switches on is arithmetic that voxbuild does not know.
Format: peft's LoraConfig, versions 0.3 to 0.21.
"""

import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxbuild.errors import CheckpointError
from voxrun.errors import ConfigError
from voxrun.files.objects import read_json
from voxrun.files.paths import is_file
from voxrun.messages import shown

CONFIG = "adapter_config.json"
MAX_RANK = 1024
"""Limit of memory: A and B of upstream's largest matrix then take 50 MB; usual ranks are 4 to 64."""
MERGE_FIRST = "merge it with peft's merge_and_unload, and give the merged checkpoint as the source"
WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "peft_version", "revision", "task_type"),
    *("ensure_weight_tying", "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform"),
    *("corda_config", "eva_config", "loftq_config", "lora_ga_config"),  # details of init_lora_weights
    *("lora_dropout", "megatron_core", "qalora_group_size", "runtime_config"),
}
"""Keys that change nothing of what is merged, or whose effect shows in the tensors' names."""
BASE_UNCHANGED = (True, "gaussian", "eva", "orthogonal", "mica")
"""Values of `init_lora_weights` that leave the base's weights as they are; PiSSA and others change them."""
PATTERN = re.compile(r"(?:[\w.^$|-]|\\[.dw]|\[(?:\w-\w|\w)+\]|[*+?]|\((?:\?:)?|\))*", re.ASCII)
"""The regular expressions that a pattern may be."""
MAX_PATTERNS = 4096
MAX_COST = 2**20
"""Steps that all patterns together may take for a name: Python's matcher backtracks without a limit."""

Rank = Annotated[int, Field(ge=1, le=MAX_RANK)]
Alpha = Annotated[float, Field(gt=0, le=1e6)]
Value = TypeVar("Value", int, float)


class Lora(BaseModel):
    """The keys that say what is merged."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    peft_type: Literal["LORA"]
    r: Rank
    lora_alpha: Alpha
    use_rslora: bool = False
    target_modules: list[str] | str | None = None
    rank_pattern: dict[str, Rank] | None = None
    alpha_pattern: dict[str, Alpha] | None = None

    def rank(self, path: str) -> int:
        """The rank at PEFT's path of a module."""
        return _matching(self.rank_pattern, path, self.r)

    def alpha(self, path: str) -> float:
        """The alpha at PEFT's path of a module."""
        return _matching(self.alpha_pattern, path, self.lora_alpha)

    def scale(self, path: str) -> float:
        """What B A is multiplied by: alpha / rank, with rsLoRA alpha / sqrt(rank)."""
        rank = self.rank(path)
        return self.alpha(path) / (math.sqrt(rank) if self.use_rslora else rank)


def read_config(folder: Path) -> Lora:
    """The adapter_config.json of a folder. Raises CheckpointError if it is no plain LoRA's."""
    path = folder / CONFIG
    if not is_file(path):
        raise CheckpointError(f"{folder}: {_why_not(folder)}")
    try:
        raw = read_json(path)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    _check_kind(raw, path)
    try:
        lora = Lora.model_validate(raw)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {_first(error)}") from error
    _check_patterns(lora, path)
    return lora


def _first(error: ValidationError) -> str:
    """The first of the errors."""
    first = error.errors(include_url=False)[0]
    key = shown(".".join(map(str, first["loc"])))
    if first["type"] == "missing":
        return f"the key {key} is missing"
    return f"{key} is {shown(first['input'])}; {first['msg']}"


def _why_not(folder: Path) -> str:
    """What the folder lacks, and what to do."""
    if is_file(folder / "lora.safetensors"):  # of Mistral's fine-tuning; its scale lies elsewhere
        return (
            f"there is lora.safetensors, but no {CONFIG}; rename it to adapter_model.safetensors, and write a"
            f' {CONFIG} with "peft_type": "LORA", "r": its rank, "lora_alpha": its rank times its scaling'
        )
    return f"there is no {CONFIG}; an adapter is the folder that PEFT's save_pretrained wrote"


def _check_kind(raw: dict[str, Any], path: Path) -> None:
    """Raises CheckpointError if other arithmetic than plain LoRA's is needed."""
    if "peft_type" not in raw and ("lora_parameters" in raw or "fine_tune_type" in raw):
        raise CheckpointError(
            f"{path}: it is mlx-lm's; fuse the adapter there, and give the fused checkpoint"
        )
    if raw.get("peft_type", "LORA") != "LORA":
        raise CheckpointError(f"{path}: peft_type is {shown(raw['peft_type'])}, not 'LORA'; {MERGE_FIRST}")
    for key, value in raw.items():
        known = key in Lora.model_fields or key in WITHOUT_EFFECT
        if known or not value or value == "none" or (key == "init_lora_weights" and value in BASE_UNCHANGED):
            continue
        only = "only plain LoRA, W + scale * B A, can be merged here"
        raise CheckpointError(f"{path}: {shown(key)} is {shown(value)}; {only}: {MERGE_FIRST}")


def _check_patterns(lora: Lora, path: Path) -> None:
    """Raises CheckpointError for patterns that could take too long to match."""
    patterns = [*(lora.rank_pattern or {}), *(lora.alpha_pattern or {})]
    for pattern in patterns:
        if not _is_pattern(pattern):
            unclear = f"{shown(pattern)} is no module's name or simple pattern"
            raise CheckpointError(f"{path}: {unclear}; {MERGE_FIRST}")
    if len(patterns) > MAX_PATTERNS or sum(map(_cost, patterns)) > MAX_COST:
        raise CheckpointError(f"{path}: rank_pattern and alpha_pattern take too long to match; {MERGE_FIRST}")


def _is_pattern(pattern: str) -> bool:
    """Whether it compiles, and repeats no group: (a+)+ takes time exponential in the name's length."""
    if not PATTERN.fullmatch(pattern) or re.search(r"\)[*+?]", pattern):
        return False
    try:
        _compiled(pattern)
    except re.error:
        return False
    return True


def _cost(pattern: str) -> int:
    """A bound on the steps for a name: a repeat may end anywhere in it, a bar doubles the ways to match."""
    return int(64 ** len(re.findall(r"[*+?]", pattern)) * 2 ** pattern.count("|"))


def _matching(patterns: dict[str, Value] | None, path: str, default: Value) -> Value:
    """The value of the first pattern that matches a path or its end after a dot, as PEFT matches."""
    return next((value for key, value in (patterns or {}).items() if _compiled(key).match(path)), default)


@lru_cache(MAX_PATTERNS)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(.*\.)?({pattern})$")
