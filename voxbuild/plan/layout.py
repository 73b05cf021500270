"""What `doit plan` says of a source's files: how the names are read, what is left out, what is merged."""

from pathlib import Path
from typing import Any

from voxbuild.recipes.source import Source
from voxbuild.sources.header import Header, local_weights
from voxbuild.tensors.naming import naming_of
from voxbuild.tensors.source_files import SourceFiles

from .heads import check_heads, tied_heads


def layout(source: Source, header: Header, base: Path) -> dict[str, Any]:
    """JSON: names (in words), left_out (names of heads), merged (what the adapter changes, or null) and
    unchecked (a phrase for each thing that is not checked before the download).

    `base` is the folder that local paths are relative to. Raises PlanError for a head that is not the
    embedding, if the weights are local.
    """
    heads = [head.name for head, _ in tied_heads(header.tensors)]
    unchecked = []
    if heads and (files := local_weights(source, base)):
        with SourceFiles(files) as weights:
            check_heads(weights)
    elif heads:
        unchecked.append(f"whether {', '.join(heads)} is a copy of the embedding")
    if source.adapter and header.adapter is None:
        unchecked.append("the adapter")
    return {
        "names": naming_of(tensor.name for tensor in header.tensors).in_words,
        "left_out": heads,
        "merged": dict(header.adapter.about) if header.adapter else None,
        "unchecked": unchecked,
    }


def layout_text(shown: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"read with the names of {shown['names']}"]
    lines += [f"left out: {name}, a copy of the embedding" for name in shown["left_out"]]
    if merged := shown["merged"]:
        ranks = ", ".join(map(str, merged["ranks"]))
        lines.append(f"merged: a LoRA adapter of rank {ranks} into {merged['modules']} modules")
    lines += [f"checked after the download: {what}" for what in shown["unchecked"]]
    return "\n".join(lines)
