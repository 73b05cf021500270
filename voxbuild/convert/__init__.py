"""From a source's files to an artifact's: one read, one write; and the views that other loaders read.

May import `voxbuild.artifact` and what lies below it.
"""
