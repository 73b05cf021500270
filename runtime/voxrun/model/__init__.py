"""The network: layers, attention, caches, and the weights loaded into them.

May import `voxrun.checkpoint`, `voxrun.device`, `voxrun.parallel` and what lies below them.
"""
