"""Reading without trust: bounded files inside their folder, strict JSON, plain names, hashes.

May import `voxrun.errors` and `voxrun.messages`.
"""
