"""Error rates, normalised texts and intervals: figures of clips, computed from texts and numbers alone.

May import `voxbuild.errors`.
"""
