"""What voxbuild raises on purpose: what is wrong, where, and what to do. Tasks turn it into a failure.

VoxbuildError
├── RecipeError       a recipe, source or clip set that is not valid
├── SourceError       source files that cannot be had, or are not those that were pinned
├── CheckpointError   a safetensors file that is damaged or truncated
├── FormatError       a JSON file that is damaged, or more than it may be
├── LockError         a lock that is no lock, or what would be built is not what it says
├── DifferenceError   what was compared differs, which was told already
├── PlanError         tensors that are missing, unmatched, doubled or misshapen
├── ConvertError      weights that cannot be converted; no space left
├── ValidationError   an artifact that does not pass its gates
├── SigningError      an artifact that cannot be signed, or a key that cannot sign it
└── PublishError      an artifact that may not, or cannot, be published
    └── MissingError  a repository, revision or file that is not where it was looked for
"""


def one_line(error: BaseException) -> str:
    """An error's message without its line breaks: the Hub's client writes several."""
    return " ".join(str(error).split())


class VoxbuildError(Exception):
    """Base of every error a user of voxbuild can act on."""


class RecipeError(VoxbuildError):
    """A recipe, source or clip set is not valid."""


class SourceError(VoxbuildError):
    """Source files cannot be had, or are not those that were pinned."""


class CheckpointError(VoxbuildError):
    """A safetensors file is damaged or truncated."""


class FormatError(VoxbuildError, ValueError):
    """A JSON file is none, or larger, deeper or odder than it may be."""


class LockError(VoxbuildError):
    """A lock cannot be read, or what would be built is not what it says."""


class DifferenceError(VoxbuildError):
    """What was compared differs, and all has been told: the exit code is 1 without another word."""


class PlanError(VoxbuildError):
    """The checkpoint's tensors are not those that the architecture needs."""


class ConvertError(VoxbuildError):
    """The weights cannot be converted."""


class ValidationError(VoxbuildError):
    """The artifact does not pass its gates."""


class SigningError(VoxbuildError):
    """The artifact cannot be signed, or not with this key."""


class PublishError(VoxbuildError):
    """The artifact may not, or cannot, be published."""


class MissingError(PublishError):
    """A target holds no such repository, revision or file."""
