"""The array types that signatures name."""

import numpy as np

FloatArray = np.typing.NDArray[np.float32]
