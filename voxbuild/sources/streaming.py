"""Weights that stay on the Hub: what is known of them before they are received, and how they are opened."""

from threading import Event

from voxbuild.errors import SourceError
from voxbuild.recipes.source import Source, SourceFile
from voxbuild.tensors.streamed import Remote

from .header import read_head


def told(source: Source, file: SourceFile) -> tuple[int, str]:
    """Size and sha256 of a file that will be streamed: the pinned ones, or what the Hub says of the commit.

    Raises SourceError if they differ, or no sha256 is known.
    """
    remote = source.origin.remote(file.name)
    if remote is None:
        raise SourceError(f"{source.name}: it is in a folder, which is used in place; leave out fetch=stream")
    said = remote.told()
    for what, pinned, found in (("size", file.size, said.size), ("sha256", file.sha256, said.sha256)):
        if None not in (pinned, found) and pinned != found:
            raise SourceError(
                f"{remote}: the Hub has a file of the {what} {found}, the source {source.name} pins {pinned};"
                f" correct recipes/sources/{source.name}.yaml"
            )
    if (sha256 := file.sha256 or said.sha256) is None:
        raise SourceError(
            f"{remote}: its sha256 is not known before it is read, as it is not stored by LFS; pin it with"
            f" `sha256:` in recipes/sources/{source.name}.yaml, or download it: fetch=disk"
        )
    return said.size, sha256


def open_remote(source: Source, name: str, size: int, sha256: str) -> Remote:
    """A file as it was when `told` said this of it. Raises SourceError if it is another one by now."""
    remote = source.origin.remote(name)
    if remote is None:
        raise SourceError(f"the source {source.name} is not on the Hub any more; fetch it again: doit fetch")
    said = remote.told()
    if said.size != size or said.sha256 not in (None, sha256):
        raise SourceError(f"{remote}: it changed since it was fetched; find out why, and fetch it again")

    def read(first: int, count: int) -> tuple[bytes, int]:
        data = bytearray(count)
        remote.receive(first, memoryview(data), Event())
        return bytes(data), size

    head, _ = read_head(read, str(remote))
    return Remote(str(remote), head, size, remote.receive)
