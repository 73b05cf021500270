"""Files that lie in a repository beside a release: which of them an earlier release of ours put there."""

from collections.abc import Mapping

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE, Manifest
from voxbuild.errors import VoxbuildError
from voxrun.trust.manifest import Entry

Files = Mapping[str, Entry]


def listed_by(manifest: bytes | None) -> dict[str, Entry]:
    """The files that a manifest.json lists; none if there is none, or it is not a manifest of ours."""
    try:
        return dict(Manifest.of(manifest, MANIFEST).files) if manifest else {}
    except VoxbuildError:
        return {}


def stale(others: Files, listed: Files) -> set[str]:
    """Those of the `others`, files without a place in the new release, that the old release put there.

    `listed`: what the manifest beside them lists. A file that was changed since is somebody else's.
    """
    own = {MANIFEST, SIGNATURE} if listed else set()
    return {name for name, entry in others.items() if name in own or listed.get(name) == entry}
