"""Preparing a release: checking that an artifact is exactly what was validated."""

import hashlib
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
from voxrun.files.paths import read_bytes
from voxrun.trust.manifest import Entry

from .target import Release, check_tag


def prepare(
    folder: Path,
    recipe_digest: str,
    repo: str,
    tag: str,
    signer: Path | None = None,
    record: Record = (),
    private: bool = False,
    made_from: tuple[str, ...] = (),
) -> Release:
    """Check that exactly the bytes in the folder were validated, by the current recipe. Raises VoxbuildError.

    `signer` is the public key that the artifact must be signed for; None: a signature is optional, but must
    be valid. Other files are refused. `record` lists the published variants that the card shows; `private`
    and `made_from` are those of the release. The manifest is read once, so a target sends what was checked
    here.
    """
    check_tag(tag)
    raw = manifest_bytes(folder)
    manifest = Manifest.of(raw, folder / MANIFEST)
    if not manifest.validated or VALIDATION not in manifest.files:
        raise PublishError(f"{folder}: not validated; run `doit build` to see why")
    if manifest.recipe.get("digest") != recipe_digest:
        raise PublishError(
            f"{folder}: the recipe has changed since it was built; run `doit build` again, with the repo=,"
            " private= and clips= that you give here"
        )
    manifest.refuse_unlisted(folder)
    with progress_bar("check " + folder.name, manifest.nbytes, "B") as bar:
        damaged = sorted(manifest.damaged(folder, progress=bar.update))
    if damaged:
        raise PublishError(f"{folder}: differs from its manifest: {', '.join(damaged)}; build it again")
    files = dict(sorted(manifest.files.items()))
    files[MANIFEST] = Entry(len(raw), hashlib.sha256(raw).hexdigest())
    if (folder / SIGNATURE).is_file():
        files[SIGNATURE] = file_entry(folder / SIGNATURE)

    def read(name: str) -> bytes:
        return read_bytes(folder / name, STATE_BYTES)

    if wrong := check_card(folder, manifest, read_validation(folder), record, repo):
        faults = "; ".join(wrong)
        raise PublishError(f"{folder}: the card differs from the measurements: {faults}; run `doit build`")
    try:
        proofs(files, read, signer)  # what `doit verify` checks
    except (PublishError, VoxrunError) as error:
        raise PublishError(f"{folder}: {error}; build it again, and sign it (`doit sign`)") from error
    return Release(folder, repo, tag, files, private, made_from)
