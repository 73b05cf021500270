"""The network: layers, attention and caches, and how weights are loaded into them.

May import `voxrun.checkpoint`, `voxrun.device`, `voxrun.parallel` and what lies below them.
"""
