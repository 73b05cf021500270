"""`voxrun bench`: what this device needs for a model, the limit that its memory sets, and a tuning for it.

Measured (`measure.py`) apart from what follows from it (`proposal.py`, `limits.py`) apart from how it is
shown (`report.py`). May import everything that transcribes, but neither `voxrun.cli` nor `voxrun.serve`.
"""
