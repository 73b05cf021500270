"""Conversion of a source into an artifact, in one read and one write; and views for other loaders.

May import `voxbuild.artifact` and what lies below it.
"""
