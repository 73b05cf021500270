"""What an artifact hears and how far it is from its source; how two artifacts differ.

May import `voxbuild.convert.shards` and what lies below it.
"""
