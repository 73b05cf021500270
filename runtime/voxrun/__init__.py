"""voxrun: transcribes files and the microphone with MLX weights of Voxtral-Mini-4B-Realtime.

    from voxrun import Transcriber
    print(Transcriber.open("out/tiny/4bit").transcribe("talk.flac").text)

The names in `__all__` are the public interface; all other modules may change. A class is imported when its
name is first used, so that `import voxrun` and `voxrun --help` wait for neither NumPy nor MLX. Nothing else
is imported here either: when the command starts, this comes before a Ctrl-C is handled.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import (
        AudioError,
        ConfigError,
        DeviceError,
        ModelError,
        OutputError,
        TrustError,
        VoxrunError,
        WeightsError,
    )
    from .stream.results import Alternative, Result, Token, Transcript, Word
    from .stream.session import Session
    from .transcriber import Transcriber

__version__ = "0.1.0"
__all__ = [
    "Alternative",
    "AudioError",
    "ConfigError",
    "DeviceError",
    "ModelError",
    "OutputError",
    "Result",
    "Session",
    "Token",
    "Transcriber",
    "Transcript",
    "TrustError",
    "VoxrunError",
    "WeightsError",
    "Word",
    "__version__",
]

_ERRORS = {name for name in __all__ if name.endswith("Error")}
_LAZY = {
    **dict.fromkeys(_ERRORS, "voxrun.errors"),
    "Transcriber": "voxrun.transcriber",
    "Session": "voxrun.stream.session",
    **dict.fromkeys(("Alternative", "Result", "Token", "Transcript", "Word"), "voxrun.stream.results"),
}


def __getattr__(name: str) -> object:
    """Import a public class on first use. Raises AttributeError for any other name."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
