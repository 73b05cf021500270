"""Each checkpoint as people have it is built, or refused in one sentence: docs/checkpoints.md."""

import pytest
from checkpoint_table import DOCUMENT, document
from checkpoint_variants import TINY, VARIANTS
from conversions import stored_tensors
from projects import make_project

from voxbuild import stages
from voxbuild.artifact.variant import Variant
from voxbuild.errors import VoxbuildError
from voxbuild.plan.preview import show
from voxbuild.recipes.book import read_book
from voxbuild.sources.found.find import find
from voxbuild.sources.found.reference import refer
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError

pytestmark = pytest.mark.slow
LONGEST = 600
"""Characters of a refusal."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with one recipe and the shortest clips."""
    work = Workspace(make_project(tmp_path_factory.mktemp("table") / "project", ["4bit"]))
    return work, read_book(work.recipes)


@pytest.fixture(scope="module")
def expected(project):
    """The stored 4-bit tensors of the embedded checkpoint."""
    return stored_tensors(build(project, TINY, name="itself")[0].folder)


@pytest.fixture(scope="module")
def rows():
    """The table's rows, filled by the tests."""
    return {}


def build(project, folder, **given):
    """Find, plan and build: the variant, and whether an unquantized copy was needed."""
    (work, book), at = project, "plan"
    try:
        reference = refer(str(folder), book.sources)
        source = find(work, reference, None, {"license": "mit"} | given, book.sources, {}).source
        variant = Variant(work, book, source, book.recipe("4bit"))
        show([(variant.recipe, source)], work, "table", False)
        stages.fetch(work, source)
        stages.write_plan(variant)
        at = "conversion"
        stages.convert(variant)
        stages.unquantize(work, source)
        at = "validation"
        for clips in variant.clip_sets.values():
            stages.transcribe_reference(work, source, clips)
        stages.validate(variant)
    except (VoxbuildError, VoxrunError) as error:
        error.at = at
        raise
    return variant, work.unquantized(source.name).exists()


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_built_or_refused_in_one_sentence(project, expected, rows, tmp_path, name):
    about, write = VARIANTS[name]
    folder = write(tmp_path / name)
    try:
        variant, copied = build(project, folder)
    except (VoxbuildError, VoxrunError) as error:
        said = plain(str(error), folder, project[0])
        assert said.isprintable() and len(said) < LONGEST
        rows[name] = about, error.at, said
    else:
        same = stored_tensors(variant.folder) == expected
        compared = "compared with an unquantized copy" if copied else "compared with the checkpoint itself"
        rows[name] = about, "", f"built, {'the same' if same else 'other weights'}; {compared}"


def plain(said, folder, work):
    """A message without the paths of this machine, and without its tables."""
    said = said.replace(str(folder), "FOLDER").replace(str(folder.resolve()), "FOLDER")
    return said.replace(str(work.root), "PROJECT").partition("\n")[0].replace("|", "/")


def test_the_table_shows_the_outcomes(request, root, rows):
    path = root / DOCUMENT
    if request.config.getoption("--write-checkpoints", default=False):
        path.write_text(document(rows), encoding="utf-8")
    if len(rows) < len(VARIANTS):
        pytest.skip("only some of the checkpoints were tried")
    assert path.read_text(encoding="utf-8") == document(rows)
