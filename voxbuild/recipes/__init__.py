"""What the YAML may say: recipes, sources, clip sets, and how each is checked.

May import voxbuild's `files`, `workspace` and `errors`.
"""
