"""Finding a model, and verifying it before anything is loaded: Hub, registry, hashes, signature, lock.

May import `voxrun.checkpoint`, `voxrun.files` and what lies below them.
"""
