"""An artifact's folder: which variant it is, and the documents in it, one file each.

May import `voxbuild.plan` and what lies below it.
"""
