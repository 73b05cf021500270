"""The files of sources and clip sets: downloads, headers, recordings, transcripts.

May import `voxbuild.recipes`, `voxbuild.tensors` and what lies below them.
"""
