"""What a recipe makes of a checkpoint, before it is made: pure, from a header.

May import `voxbuild.sources` and what lies below it.
"""
