"""The errors that voxbuild raises on purpose: each message says what is wrong, where, and what to do."""


def one_line(error: BaseException) -> str:
    """An error's message without its line breaks: the Hub's client writes several."""
    return " ".join(str(error).split())


class VoxbuildError(Exception):
    """Base of every error a user of voxbuild can act on."""


class ProjectError(VoxbuildError):
    """A new project cannot be written there, or not under this owner's name."""


class RecipeError(VoxbuildError):
    """A recipe, source or clip set is not valid."""


class SourceError(VoxbuildError):
    """Source files are missing, cannot be downloaded, or differ from the pinned ones."""


class DamagedError(SourceError):
    """A source file is not the one that is pinned."""


class UnreachableError(SourceError):
    """The Hub cannot be reached, and what is needed is not in the cache."""


class CheckpointError(VoxbuildError):
    """A safetensors file is damaged or truncated."""


class FormatError(VoxbuildError, ValueError):
    """A JSON file is damaged, too large or too deeply nested."""


class LockError(VoxbuildError):
    """A recipe.lock cannot be read, or the build would differ from it."""


class DifferenceError(VoxbuildError):
    """Two compared things differ, and the differences are printed already: exit with 1, without a message."""


class PlanError(VoxbuildError):
    """Tensors of the checkpoint are missing, unmatched, doubled or misshapen."""


class ConvertError(VoxbuildError):
    """The weights cannot be converted, or the disk is full."""


class ValidationError(VoxbuildError):
    """The artifact does not pass its gates."""


class ClusterError(VoxbuildError):
    """The workers of a cluster cannot hear the clips, or there are none."""


class SigningError(VoxbuildError):
    """The artifact cannot be signed, or not with this key."""


class PublishError(VoxbuildError):
    """The artifact may not, or cannot, be published."""


class MissingError(PublishError):
    """A target has no such repository, revision or file."""
