"""What is committed beside the tests: the embedded model, its clips, the oracle's answers."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "tiny" / "checkpoint"
CLIPS = ROOT / "tiny" / "clips"
GOLDEN = ROOT / "tests" / "data" / "golden"
