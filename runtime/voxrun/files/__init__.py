"""Untrusted files, read: of bounded size, inside their folder, strict JSON, plain names, hashes; and open
descriptors, to which all of a text is written.

May import `voxrun.errors` and `voxrun.messages`.
"""
