"""What a recipe's source and clip sets name, on this disk: fetched files, headers, recordings.

May import `voxbuild.recipes`, `voxbuild.tensors` and what lies below them.
"""
