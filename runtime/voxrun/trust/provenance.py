"""provenance.json of an artifact: the sources and the build that its files come from.

An in-toto Statement v1 with a SLSA provenance v1 predicate: https://in-toto.io/Statement/v1,
https://slsa.dev/spec/v1.0/provenance.
"""

from collections.abc import Mapping
from typing import Any

from voxrun.errors import TrustError
from voxrun.files.hashes import SHA256
from voxrun.files.objects import check_keys, read_object
from voxrun.files.paths import is_plain
from voxrun.messages import shown

from .manifest import Entry, differences

PROVENANCE = "provenance.json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"

REQUIRED: dict[str, type] = {
    "buildDefinition.buildType": str,
    "buildDefinition.externalParameters": dict,
    "runDetails.builder.id": str,
}
"""Fields of the predicate that SLSA requires, with their types."""


def check_provenance(statement: bytes, entries: Mapping[str, Entry]) -> list[str]:
    """What is wrong with provenance.json (its bytes), compared with a manifest's entries: a phrase for each.

    Its subjects must be all other files of the manifest, with the same hashes; its predicate must have the
    fields that SLSA requires. Whether these are true is for the signer to guarantee.
    """
    try:
        subjects = _subjects(read_object(statement, PROVENANCE))
    except TrustError as error:
        return [str(error)]
    made = {name: entry.sha256 for name, entry in entries.items() if name != PROVENANCE}
    phrases = "is none of its subjects", "is not in the manifest", "has another hash than in the manifest"
    return [f"{PROVENANCE}: {difference}" for difference in differences(subjects, made, *phrases)]


def _subjects(statement: dict[str, Any]) -> dict[str, str]:
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT, PREDICATE):
        raise TrustError(f"{PROVENANCE}: no SLSA provenance v1 in an in-toto Statement v1")
    check_keys(statement, {"_type", "predicateType", "subject", "predicate"}, PROVENANCE)
    _check_predicate(statement["predicate"])
    listed = statement["subject"]
    if not isinstance(listed, list):
        raise TrustError(f"{PROVENANCE}: its subject is no list")
    subjects: dict[str, str] = {}
    for subject in listed:
        name = str(check_keys(subject, {"name", "digest"}, PROVENANCE)["name"])
        digest = str(check_keys(subject["digest"], {"sha256"}, PROVENANCE)["sha256"])
        if name in subjects or not SHA256.fullmatch(digest) or not is_plain(name):
            raise TrustError(f"{PROVENANCE}: {shown(name)} is there twice, or without a sha256, or no path")
        subjects[name] = digest
    return subjects


def _check_predicate(predicate: Any) -> None:
    """Raises TrustError unless the fields that SLSA provenance v1 requires are there, of the right types."""
    for path, kind in REQUIRED.items():
        value = predicate
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, kind) or value == "":
            raise TrustError(f"{PROVENANCE}: predicate.{path} is missing, empty, or no {kind.__name__}")
