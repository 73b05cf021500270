"""Sources that are named by their place: a folder or a repository, described without a YAML file of its own.

May import what `voxbuild.sources` may. Read `find.py` first.
"""
