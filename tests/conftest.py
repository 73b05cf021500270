"""For all tests: nobody's Hub cache, token or network is touched. huggingface_hub reads these at import."""

import atexit
import os
import shutil
import tempfile

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
