"""The files of a new project: those of the repository, or their copies in the wheel.

setup.py imports this module to build the wheel, so it needs nothing but the standard library.
"""

from pathlib import Path

PATTERNS = (
    "dodo.py",
    "doit.cfg",
    "recipes/*.yaml",
    "recipes/clips/*.yaml",
    "recipes/sources/*.yaml",
    "model_cards/*.j2",
    "tiny/README.md",
    "tiny/checkpoint/*",
    "tiny/clips/*.md",
    "tiny/clips/*/*.flac",
    "tiny/clips/*/transcripts.tsv",
)
"""What a project needs; not the record of published variants, for a new project has published nothing."""
IN_WHEEL = "files"
"""The folder of the copies, beside this module; the repository has none."""


def template_folder() -> Path:
    """The folder with the files: the wheel's copies or, if voxbuild is installed editable, the repository."""
    here = Path(__file__).resolve()
    copies = here.with_name(IN_WHEEL)
    return copies if copies.is_dir() else here.parents[2]


def template_files(folder: Path) -> list[Path]:
    """The paths of a project's files below that folder, relative to it, sorted."""
    found = {path.relative_to(folder) for pattern in PATTERNS for path in folder.glob(pattern)}
    return sorted(found)
