"""The unquantized model that an artifact is compared with: the source itself, if voxrun can read it.

voxrun reads a folder with standard names and no links out of it. Any other source is converted once, without
quantization, into a folder among the state files: other names or prefixes, float64, a merged adapter.
"""

from pathlib import Path
from typing import Any

from voxbuild.console import progress_bar
from voxbuild.errors import SourceError
from voxbuild.files import read_state, stamp
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched, Proofs
from voxbuild.workspace import Workspace
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.layout import TOKENIZER_FILE, Layout
from voxrun.errors import VoxrunError
from voxrun.files.objects import read_json

RECORD = "inputs.json"
"""What the copy was made from (inputs), and its files: hashes and stamps."""
NOT_HERE = "its weights are not on the disk, as they were streamed, and this needs them"


def is_unquantized(work: Workspace, source: Source) -> bool:
    """Whether voxrun can read the source, its copy is there as it was written, or it needs none."""
    if Fetched.load(work.source_file(source.name)).streamed:
        return True
    folder = unquantized_folder(work, source)
    return folder != work.unquantized(source.name) or is_untouched(folder)


def hashes_of_copy(work: Workspace, source: Source) -> dict[str, str] | None:
    """File name -> sha256 of the source's copy; None: voxrun reads the source itself.

    Of a streamed source the copy itself need not be there, only its record.
    """
    fetched = Fetched.load(work.source_file(source.name))
    if fetched.streamed:
        record = record_of(work.unquantized(source.name))
        return record.get("hashes") if record.get("inputs", {}).get("source") == fetched.identity() else None
    folder = unquantized_folder(work, source)
    return record_of(folder)["hashes"] if folder == work.unquantized(source.name) else None


def record_of(folder: Path) -> dict[str, Any]:
    """What RECORD holds of a copy; empty if there is none."""
    stored = read_state(folder / RECORD)
    return stored if isinstance(stored, dict) else {}


def is_untouched(folder: Path) -> bool:
    """Whether a copy's files have the stamps that they were written with."""
    stamps = record_of(folder).get("stamps") or {}
    try:
        return bool(stamps) and all(stamp(folder / name) == known for name, known in stamps.items())
    except OSError:
        return False


def unquantized_folder(work: Workspace, source: Source) -> Path:
    """The folder of the unquantized model, as `write_unquantized` left it.

    Raises SourceError for a streamed source.
    """
    fetched = Fetched.load(work.source_file(source.name))
    if fetched.streamed:
        download = f"doit fetch source={source.name} fetch=disk"
        raise SourceError(f"{source.name}: {NOT_HERE}; download it: {download}")
    return readable_folder(source, fetched) or work.unquantized(source.name)


def proven_folder(work: Workspace, source: Source) -> Path:
    """The same folder, whose weights have the hashes by which they are known. Raises SourceError.

    Conversion verifies pinned hashes, but may run later: what wrong weights were heard to say would be kept.
    """
    folder, fetched = unquantized_folder(work, source), Fetched.load(work.source_file(source.name))
    if folder != work.unquantized(source.name):
        total = sum(fetched.files[name].size for name in source.weight_files)
        with progress_bar("check " + source.name, total, "B") as bar:
            proofs = Proofs(work.proof_file(source.name), fetched, source.name)
            proofs.complete(source.weight_files, bar.update)
    return folder


def readable_folder(source: Source, fetched: Fetched) -> Path | None:
    """The folder in which voxrun reads exactly the source's files; None if there is none."""
    folders = (fetched.folder, fetched.path(source.weight_files[0]).parent)  # where links lead
    return next((folder for folder in folders if _reads(folder, source, fetched)), None)


def _reads(folder: Path, source: Source, fetched: Fetched) -> bool:
    """Whether voxrun finds the source's weights, sizes and tokenizer there, and knows all tensors.

    The sizes may be in another file: config.json is read before the params.json that a source may name.
    """
    from voxrun.model.voxtral import parameter_shapes

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
        alike = layout.config == ModelConfig.from_dict(read_json(fetched.path(source.params)))
    except VoxrunError:
        return False
    same_files = read == wanted and tokenizer == fetched.path(source.tokenizer)
    return not source.adapter and known and alike and same_files
