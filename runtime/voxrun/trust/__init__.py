"""A model found, and proven before anything of it is loaded: Hub, registry, hashes, signature, lock.

May import `voxrun.checkpoint`, `voxrun.files` and what lies below them.
"""
