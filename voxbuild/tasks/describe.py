"""The doit tasks after validation: an artifact's card, documents, manifest, views and signature."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from doit import get_var

from voxbuild.artifact.manifest import BOM, DESCRIPTIVE, MANIFEST, OPTIONAL, PROVENANCE, VALIDATION
from voxbuild.artifact.tools import version
from voxbuild.artifact.variant import Variant
from voxbuild.card.names import card_names
from voxbuild.card.siblings import others

from . import reads, up_to_date
from .actions import workspace
from .later import Later
from .selection import (
    LOUD,
    Task,
    artifact_file,
    builds,
    doing,
    key,
    local,
    recipe_file,
    record,
)

if TYPE_CHECKING:
    from voxbuild import stages
    from voxbuild.artifact import signature
else:
    stages, signature = Later("voxbuild.stages"), Later("voxbuild.artifact.signature")


def task_card() -> Iterator[Task]:
    """Write the model card from the measurements, with its plot and evaluation results."""
    for variant in builds():
        files = [artifact_file(variant, name) for name in _card_names(variant)]
        public_key, drawn_by = variant.public_key, {"matplotlib": version("matplotlib")}
        yield {
            "name": key(variant),
            "actions": [doing(stages.write_card, variant)],
            "file_dep": [
                artifact_file(variant, VALIDATION),
                recipe_file(variant),
                _template(variant),
                *_record_file(variant),
                *([os.path.relpath(public_key, workspace().root)] if public_key else []),
            ],
            "targets": files,
            "uptodate": [
                (up_to_date.unedited, files),
                (up_to_date.same_facts, [reads.for_the_card(variant) | drawn_by]),
                _same_evaluation(variant),
            ],
        } | LOUD


def task_bom() -> Iterator[Task]:
    """Write the bill of materials (CycloneDX): files, upstream, clips, tools, error rates."""
    for variant in builds():
        yield {
            "name": key(variant),
            "actions": [doing(stages.write_bom, variant)],
            "file_dep": [artifact_file(variant, VALIDATION)],
            "targets": [artifact_file(variant, BOM)],
            "uptodate": [
                (up_to_date.same_facts, [reads.for_the_bom(variant)]),
                (up_to_date.unedited, [artifact_file(variant, BOM)]),
            ],
        } | LOUD


def task_provenance() -> Iterator[Task]:
    """Write the provenance of all other files (SLSA)."""
    for variant in builds():
        before = [artifact_file(variant, name) for name in _descriptions(variant) if name != PROVENANCE]
        yield {
            "name": key(variant),
            "actions": [doing(stages.write_provenance, variant)],
            "file_dep": before,
            "targets": [artifact_file(variant, PROVENANCE)],
            "uptodate": [
                (up_to_date.same_facts, [reads.for_documents(variant)]),
                _same_evaluation(variant),
                (up_to_date.same_recordings, [list(variant.clip_sets)]),
                (up_to_date.unedited, [artifact_file(variant, PROVENANCE)]),
            ],
        } | LOUD


def task_manifest() -> Iterator[Task]:
    """Complete the manifest with every file's hash, and mark it validated."""
    for variant in builds():
        yield {
            "name": key(variant),
            "actions": [doing(stages.finish_manifest, variant)],
            "file_dep": [artifact_file(variant, name) for name in _descriptions(variant)],
            "uptodate": [
                (up_to_date.is_validated, [local(variant.folder)]),
                (up_to_date.unedited, [artifact_file(variant, MANIFEST)]),
                (up_to_date.same_facts, [reads.for_documents(variant)]),
                _same_evaluation(variant),
            ],
        } | LOUD


def task_views() -> Iterator[Task]:
    """Write the artifact's views for other loaders (`dialects:`), and check that they are the same model."""
    for variant in builds():
        if views := variant.views:
            yield {
                "name": key(variant),
                "actions": [doing(stages.make_views, variant)],
                "task_dep": [f"manifest:{key(variant)}"],
                "file_dep": [artifact_file(variant, MANIFEST), _template(variant), *_record_file(variant)],
                "uptodate": [
                    (up_to_date.views_untouched, [[local(view.folder) for view in views]]),
                    (up_to_date.same_facts, [{"the loaders": repr([view.loader for view in views])}]),
                ],
            } | LOUD


def task__signature() -> Iterator[Task]:
    """Sign artifact and views for the public key that the recipe names (`sign:`)."""
    for variant in builds():
        if variant.recipe.sign:
            signed = [local(each.folder) for each in (variant, *variant.views)]
            yield {
                "name": key(variant),
                "actions": [doing(signature.sign_variant, variant, key=get_var("key"))],
                "task_dep": [_last_unsigned(variant)],
                "uptodate": [(up_to_date.is_signed, [signed, str(variant.public_key)])],
            } | LOUD


def last_stage(variant: Variant) -> str:
    """The last task of a build, with views and signature."""
    return f"_signature:{key(variant)}" if variant.recipe.sign else _last_unsigned(variant)


def _last_unsigned(variant: Variant) -> str:
    """The last task before the signature."""
    return f"{'views' if variant.views else 'manifest'}:{key(variant)}"


def _descriptions(variant: Variant) -> list[str]:
    """The descriptive files of an artifact, with the optional ones that its card will have."""
    card = _card_names(variant)
    return [name for name in DESCRIPTIVE if name in card or name not in OPTIONAL]


def _card_names(variant: Variant) -> list[str]:
    return card_names(variant.clip_sets.values(), others(record(variant), variant))


def _same_evaluation(variant: Variant) -> Any:
    """No file to depend on: that the weights are those that were evaluated is known when the task is due."""
    return (up_to_date.same_evaluation, [variant.source.name, variant.recipe.name])


def _template(variant: Variant) -> str:
    """The card's template, which may say other things of an artifact and of its views."""
    return local(workspace().cards / variant.recipe.card)


def _record_file(variant: Variant) -> list[str]:
    """The record of published variants, if there is one."""
    return [local(variant.record_file)] if record(variant) else []
