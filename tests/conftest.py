"""For all tests: nobody's Hub cache, token or network is touched. huggingface_hub reads these at import."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

# pytest puts tests/ on the path, where the folder voxbuild would pass for the package: one that is installed
# editable is found by a finder that comes after the path, a real one anywhere on the path wins.
sys.path.append(str(Path(__file__).resolve().parents[1]))

HF_HOME = tempfile.mkdtemp(prefix="tests-hf-home-")
atexit.register(shutil.rmtree, HF_HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
    del os.environ[name]
os.environ |= {
    "HF_HOME": HF_HOME,
    "HF_ENDPOINT": "http://127.0.0.1:9",  # nobody listens there
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
