"""A source's header before its weights are here: from this disk if they are, else by ranges of bytes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.errors import SourceError
from voxbuild.recipes.source import HubFiles, Source
from voxbuild.tensors.checkpoint import Checkpoint, header_length, parse_header
from voxrun.checkpoint.tensors import PREFIX, Tensor
from voxrun.files.objects import read_json

from .fetch import clear_errors, local_folder

CHUNK_BYTES = 2**16
ERROR_BYTES = 2**16
CONTENT_RANGE = r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})"
TIMEOUT = 30.0
"""Seconds to wait for the Hub's next bytes."""


@dataclass(frozen=True)
class Header:
    """What a plan needs to know of a source."""

    tensors: tuple[Tensor, ...]
    params: Mapping[str, Any]
    here: Path | None
    """The weights' file; None: a build has to download it."""
    nbytes: int
    """Its size."""


def read_source(source: Source, base: Path) -> Header:
    """The header of a source's weights, and its params.json; nothing is hashed, no weights are downloaded.

    `base` is the folder that a local path is relative to. Of a source on the Hub that is not in its cache,
    params.json is downloaded and the header alone is asked for, at the pinned revision.
    Raises SourceError, CheckpointError; voxrun's ConfigError for a params.json that is none.
    """
    if folder := local_folder(source, base):
        return _on_disk(folder / source.weights, folder / source.params)
    return _on_hub(source)


def _on_disk(weights: Path, params: Path) -> Header:
    with Checkpoint(weights) as checkpoint:
        tensors = tuple(checkpoint.tensors.values())
    return Header(tensors, read_json(params), weights, weights.stat().st_size)


def _on_hub(source: Source) -> Header:
    import huggingface_hub

    hub = source.hub
    assert hub is not None
    with clear_errors(hub):
        cached = huggingface_hub.try_to_load_from_cache(hub.repo, source.weights, revision=hub.revision)
        if not isinstance(cached, str):  # the header first: the client would try long to have a small file
            tensors, total = _remote_header(source, hub)
        params = Path(huggingface_hub.hf_hub_download(hub.repo, source.params, revision=hub.revision))
    if isinstance(cached, str):
        return _on_disk(Path(cached), params)
    return Header(tensors, read_json(params), None, total)


def _remote_header(source: Source, hub: HubFiles) -> tuple[tuple[Tensor, ...], int]:
    """The tensors of the weights' file, and its size."""
    from huggingface_hub import hf_hub_url

    url, origin = hf_hub_url(hub.repo, source.weights, revision=hub.revision), f"{hub.repo}/{source.weights}"
    prefix, total = _range(url, 0, PREFIX)
    text, _ = _range(url, PREFIX, header_length(prefix, total, origin))
    return tuple(parse_header(text, total, origin)), total


def _range(url: str, first: int, count: int) -> tuple[bytes, int]:
    """Bytes of a remote file, and the file's size. Raises SourceError if the server would send more."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    last = first + count - 1
    asked = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=build_hf_headers() | asked, timeout=TIMEOUT) as response:
        if response.is_error:
            hf_raise_for_status(_cut(response))
        sent = re.fullmatch(CONTENT_RANGE, response.headers.get("content-range", ""))
        if response.status_code != 206 or not sent or (int(sent[1]), int(sent[2])) != (first, last):
            raise SourceError(
                f"{url}: the server does not send ranges of bytes, and the whole file is not asked for here;"
                " `doit fetch` downloads it, then it can be planned"
            )
        data = _received(response, count)
    if len(data) != count:
        raise SourceError(f"{url}: {len(data):,} bytes came instead of {count:,}; try again")
    return data, int(sent[3])


def _cut(response: Any) -> Any:
    """An error's response with the start of its body: the client tells the reason from it."""
    body = _received(response, ERROR_BYTES)
    told = {name: text for name, text in response.headers.items() if name.startswith("x-")}
    return type(response)(response.status_code, headers=told, content=body, request=response.request)


def _received(response: Any, count: int) -> bytes:
    """The body as it was sent, and no more of it than one byte too many, whatever the server sends."""
    data = bytearray()
    for part in response.iter_raw(CHUNK_BYTES):
        data += part
        if len(data) > count:
            break
    return bytes(data[: count + 1])
