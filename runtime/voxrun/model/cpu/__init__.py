"""The same layers for a CPU: compiled kernels that read the weights directly from the mapped file.

May import what `voxrun.model` may.
"""
