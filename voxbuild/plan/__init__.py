"""The plan of a build, computed from a recipe and a checkpoint's header, and what the build will need.

May import `voxbuild.sources` and what lies below it.
"""
