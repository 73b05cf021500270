"""Make the package `tiny` importable: it is part of the repository, not of a distribution."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
