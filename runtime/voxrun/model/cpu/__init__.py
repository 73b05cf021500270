"""The same layers for a CPU: compiled kernels that read the weights where they lie, in the mapped file.

May import what `voxrun.model` may.
"""
