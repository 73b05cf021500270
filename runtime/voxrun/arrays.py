"""The array types that signatures name."""

from typing import Any

import numpy as np

Array = np.typing.NDArray[Any]
FloatArray = np.typing.NDArray[np.float32]
