"""Write the unquantized copy of a source that voxrun cannot read as it is; see `readable`."""

from voxbuild.artifact.variant import Variant
from voxbuild.files import stamp, write_json
from voxbuild.folders import Journal, whole_folder
from voxbuild.recipes.book import Book
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of

from .readable import RECORD, is_untouched, readable_folder, record_of

DTYPES, WIDEST = {"BF16": "bfloat16", "F16": "float16"}, "float32"
PARTIAL = "unquantized~"
"""Its name while it is written; no recipe can have it."""


def write_unquantized(work: Workspace, source: Source) -> bool:
    """Convert the source without quantization unless voxrun can read it, or that was done; return whether.

    Nothing is done for a streamed source, which hears nothing here.

    Raises PlanError, CheckpointError, ConvertError, SourceError.
    """
    from .conversion import Conversion

    fetched = Fetched.load(work.source_file(source.name))
    if fetched.streamed or readable_folder(source, fetched):
        return False
    folder = work.unquantized(source.name)
    conversion = Conversion.of(Variant(work, Book({}, {}, {}), source, _recipe(source, fetched)))
    if record_of(folder).get("inputs") == conversion.inputs and is_untouched(folder):
        return False
    journal = Journal(work.partial(source.name, PARTIAL), conversion.identity)
    with whole_folder(folder, journal.folder, journal):
        shards = conversion.write_weights(journal)
        conversion.write_model(journal.folder)
        files = {path.name: path for path in sorted(journal.folder.iterdir())}
        hashes = {n: shards[n].sha256 if n in shards else sha256_of(path) for n, path in files.items()}
        stamps = {name: stamp(path) for name, path in files.items()}
        record = {"inputs": conversion.inputs, "hashes": hashes, "stamps": stamps}
        write_json(journal.folder / RECORD, record)
    return True


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
