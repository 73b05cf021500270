"""The unquantized model that an artifact is compared with: the source itself, if voxrun can read it.

voxrun reads a folder with standard names and no links out of it. Any other source is converted once, without
quantization, into a folder among the state files: other names or prefixes, float64, a merged adapter.
"""

from pathlib import Path

from voxbuild.artifact.variant import Variant
from voxbuild.files import read_state, write_json
from voxbuild.folders import Journal, whole_folder
from voxbuild.recipes.book import Book
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched
from voxbuild.workspace import Workspace
from voxrun.checkpoint.layout import TOKENIZER_FILE, Layout
from voxrun.errors import VoxrunError
from voxrun.model.voxtral import parameter_shapes

from .conversion import Conversion

INPUTS = "inputs.json"
DTYPES, WIDEST = {"BF16": "bfloat16", "F16": "float16"}, "float32"
PARTIAL = "unquantized~"
"""Its name while it is written; no recipe can have it."""


def write_unquantized(work: Workspace, source: Source) -> bool:
    """Convert the source without quantization unless voxrun can read it, or that was done; return whether.

    Raises PlanError, CheckpointError, ConvertError, SourceError.
    """
    fetched = Fetched.load(work.source_file(source.name))
    if readable_folder(source, fetched):
        return False
    folder = work.unquantized(source.name)
    conversion = Conversion.of(Variant(work, Book({}, {}, {}), source, _recipe(source, fetched)))
    if read_state(folder / INPUTS) == conversion.inputs:
        return False
    journal = Journal(work.partial(source.name, PARTIAL), conversion.identity)
    with whole_folder(folder, journal.folder, journal):
        conversion.write_weights(journal)
        conversion.write_model(journal.folder)
        write_json(journal.folder / INPUTS, conversion.inputs)
    return True


def unquantized_folder(work: Workspace, source: Source) -> Path:
    """The folder of the unquantized model, as `write_unquantized` left it."""
    fetched = Fetched.load(work.source_file(source.name))
    return readable_folder(source, fetched) or work.unquantized(source.name)


def readable_folder(source: Source, fetched: Fetched) -> Path | None:
    """The folder in which voxrun reads exactly the source's files; None if there is none."""
    folders = (fetched.folder, fetched.path(source.weight_files[0]).parent)  # where links lead
    return next((folder for folder in folders if _reads(folder, source, fetched)), None)


def _reads(folder: Path, source: Source, fetched: Fetched) -> bool:
    wanted = {fetched.path(name) for name in source.weight_files}
    tokenizer = (folder / TOKENIZER_FILE).resolve()
    layout = Layout(folder)
    try:
        read = {path.resolve() for path in layout.weight_files}
        names = {
            layout.dialect.canonical(tensor.name)
            for header in layout.headers.values()
            for tensor in header
            if tensor.name not in layout.dialect.ignored
        }
        known = names == parameter_shapes(layout.config).keys()
    except VoxrunError:
        return False
    return not source.adapter and known and read == wanted and tokenizer == fetched.path(source.tokenizer)


def _recipe(source: Source, fetched: Fetched) -> Recipe:
    """No quantization, in a dtype that holds all the source's weights; merged ones are rounded to it."""
    with fetched.open_weights(source) as weights:
        dtypes = {tensor.dtype for tensor in weights.tensors.values()}
    return Recipe.model_validate(
        {
            "name": "unquantized",
            "summary": "The source, to compare with.",
            "source": source.name,
            "dtype": DTYPES.get(dtypes.pop(), WIDEST) if len(dtypes) == 1 else WIDEST,
            "validate": {"clips": ("none",), "gates": {}},
            "publish": {"repo": "voxbuild/none"},
            "card": "none",
        }
    )
