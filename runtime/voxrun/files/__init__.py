"""Reading untrusted files: of bounded size, inside their folder, strict JSON, plain names, hashes.

May import `voxrun.errors` and `voxrun.messages`.
"""
