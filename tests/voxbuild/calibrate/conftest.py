"""The embedded model and its two shortest calibration clips, with what it hears in them."""

import pytest

from voxbuild.calibrate.recordings import own_tokens


@pytest.fixture(scope="module")
def tiny(root):
    """The unquantized model's folder."""
    return root / "tiny/checkpoint"


@pytest.fixture(scope="module")
def recordings(root, tiny):
    """Recordings with the model's own tokens."""
    files = sorted((root / "tiny/clips/calibration").glob("*.flac"), key=lambda path: path.stat().st_size)
    return own_tokens(tiny, files[:2], lambda: None)
