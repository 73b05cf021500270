"""What models hear in clips: jobs, their results, and what computes them, here or on a cluster.

May import `voxbuild.convert` and what lies below it.
"""
