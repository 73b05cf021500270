"""Rows of tensors: read, cast, quantized, written. Knows no recipe.

May import voxbuild's `folders`, `console`, `files` and `errors`.
"""
