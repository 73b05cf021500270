"""A model's folder, described: which files it has, its sizes, its tensors and how a dialect names them.

May import `voxrun.files` and what lies below it.
"""
