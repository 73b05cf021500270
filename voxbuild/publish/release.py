"""A release: an artifact checked to be what was validated, ready to go."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from voxbuild.artifact.evidence import proofs
from voxbuild.artifact.manifest import (
    MANIFEST,
    SIGNATURE,
    VALIDATION,
    Manifest,
    file_entry,
    manifest_bytes,
    read_validation,
)
from voxbuild.card.check import check_card
from voxbuild.card.siblings import Record
from voxbuild.console import progress_bar
from voxbuild.errors import PublishError
from voxbuild.files import STATE_BYTES
from voxrun.errors import VoxrunError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import read_bytes
from voxrun.trust.manifest import Entry

from .target import Release, check_tag


def prepare(
    folder: Path, recipe_digest: str, repo: str, tag: str, signer: Path | None = None, record: Record = ()
) -> Release:
    """Check that an artifact was validated as exactly the bytes that lie there, by the recipe as it is now.

    `signer` is the public key that it must be signed for; a signature that is there anyway must be of what
    lies there, and nothing else may lie there. `record`: the published variants of its source, as its card
    lists them. The manifest is read once: what was checked is what a target is to send. Raises VoxbuildError.
    """
    check_tag(tag)
    raw = manifest_bytes(folder)
    manifest = Manifest.of(raw, folder / MANIFEST)
    if not manifest.validated or VALIDATION not in manifest.files:
        raise PublishError(f"{folder}: not validated; run `doit build` and see why")
    if manifest.recipe.get("digest") != recipe_digest:
        raise PublishError(f"{folder}: the recipe has changed since it was built; run `doit build` again")
    manifest.refuse_strangers(folder)
    files = _intact_files(folder, manifest.files)
    files[MANIFEST] = Entry(len(raw), hashlib.sha256(raw).hexdigest())
    if (folder / SIGNATURE).is_file():
        files[SIGNATURE] = file_entry(folder / SIGNATURE)

    def read(name: str) -> bytes:
        return read_bytes(folder / name, STATE_BYTES)

    if wrong := check_card(folder, manifest, read_validation(folder), record):
        said = "; ".join(wrong)
        raise PublishError(f"{folder}: the card does not say what was measured: {said}; run `doit build`")
    try:
        proofs(files, read, signer)  # what `doit verify` checks
    except (PublishError, VoxrunError) as error:
        raise PublishError(f"{folder}: {error}; build it again, and sign it (`doit sign`)") from error
    return Release(folder, repo, tag, files)


def _intact_files(folder: Path, listed: Mapping[str, Entry]) -> dict[str, Entry]:
    """What the manifest lists, by name, each file as it says; hashes each once."""
    damaged = {n for n, e in listed.items() if not _has_size(folder / n, e.size)}
    with progress_bar("check " + folder.name, sum(e.size for e in listed.values()), "B") as bar:
        for name in listed.keys() - damaged:
            if sha256_of(folder / name, bar.update) != listed[name].sha256:
                damaged.add(name)
    if damaged:
        names = ", ".join(sorted(damaged))
        raise PublishError(f"{folder}: differs from its manifest: {names}; build it again")
    return dict(sorted(listed.items()))


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
