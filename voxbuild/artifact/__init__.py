"""An artifact's folder: its variant, and the documents in it, one module each.

May import `voxbuild.plan` and what lies below it.
"""
