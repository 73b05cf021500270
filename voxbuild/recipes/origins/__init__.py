"""Where sources and recordings come from: one file for each kind of place.

May import what `voxbuild.recipes` may. A new kind is a subclass of `Origin` or `Corpus` in a file of its own,
and a field of `Source` or `ClipSet`.
"""
