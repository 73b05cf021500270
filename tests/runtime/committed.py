"""What is committed beside the tests: the embedded model, its clips, the oracle's answers."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "tiny" / "checkpoint"
CLIPS = ROOT / "tiny" / "clips"
GOLDEN = ROOT / "tests" / "data" / "golden"
SHOWN = "prompts/vm-tempgreeting"
"""The clip that README and CI transcribe; every variant that passes its gates hears it right."""
SHOWN_TEXT = "press one to record your temporary greeting"
