"""Publishing to a local registry, in the layout of the Hub's cache.

May import `voxbuild.publish.target` and what lies below `voxbuild.publish`.
"""
