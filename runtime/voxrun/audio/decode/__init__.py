"""From bytes to samples: what a recording is, who reads it, and what is missing from it.

`readers.py` is where to start. May import `voxrun.arrays` and `voxrun.errors`.
"""
