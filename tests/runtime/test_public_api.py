"""`import voxrun`: the names that users rely on, and that naming them costs nothing until they are used."""

import inspect
import subprocess
import sys

import pytest

import voxrun

ERRORS = {f"{kind}Error" for kind in ("Audio", "Config", "Device", "Model", "Output", "Trust", "Weights")}
CLASSES = {"Alternative", "Result", "Session", "Token", "Transcriber", "Transcript", "Word"}
HEAVY = ("numpy", "mlx", "soundfile", "soxr", "huggingface_hub", "voxrun.transcriber")


def test_the_exported_names() -> None:
    assert set(voxrun.__all__) == ERRORS | CLASSES | {"VoxrunError", "__version__"}
    assert set(voxrun.__all__) <= set(dir(voxrun))
    for name in ERRORS:
        assert issubclass(getattr(voxrun, name), voxrun.VoxrunError)
    with pytest.raises(AttributeError, match="has no attribute 'Listener'"):
        _ = voxrun.Listener


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_exported_class_is_the_one_of_its_module_and_documented(name: str) -> None:
    exported = getattr(voxrun, name)
    assert exported.__name__ == name
    assert exported is getattr(sys.modules[exported.__module__], name)
    for member, value in vars(exported).items():
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"


def test_importing_voxrun_loads_no_heavy_library() -> None:
    program = f"import sys, voxrun; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_module_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "voxrun", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"voxrun {voxrun.__version__}\n"
