"""Files of others beside an artifact, in a repository of the Hub: which of them would be read with it."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from voxrun.checkpoint.layout import PATTERNS

READ = (
    *(pattern.casefold() for pattern in PATTERNS),
    "*.safetensors.index.json",
    "adapter_config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
)
"""Names that voxrun, or another program that reads artifacts, looks for in a model's folder: transformers
merges an adapter that lies there, mlx-audio reads every file of weights."""


def would_be_read(names: Iterable[str]) -> list[str]:
    """Those of the names that a program may read as a part of the model, sorted.

    In lower case, as on many disks `Config.json` is `config.json`. Nothing is looked for in subfolders.
    """
    return sorted(name for name in names if "/" not in name and _is_read(name.casefold()))


def _is_read(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in READ)
