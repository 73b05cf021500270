"""Rows of tensors: read, cast, quantized and written. It does not depend on recipes.

May import voxbuild's `folders`, `console`, `files` and `errors`.
"""
