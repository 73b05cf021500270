"""A model card: rendered from what was measured, and read back to be checked.

May import `voxbuild.artifact` and what lies below it.
"""
