"""Model cards: rendered from the measurements, and read back to check every number.

May import `voxbuild.artifact` and what lies below it.
"""
