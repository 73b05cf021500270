"""The oracle's tests use the runtime tests' helpers, and float32."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

from voxrun.device import mx

mx.set_default_device(mx.cpu)  # a GPU would compute in the stored dtype
