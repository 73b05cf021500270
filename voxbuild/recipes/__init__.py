"""The YAML files: recipes, sources and clip sets, and how each is checked.

May import voxbuild's `files`, `workspace` and `errors`.
"""
