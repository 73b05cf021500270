"""Releases: prepare, publish, verify and withdraw them.

May import `voxbuild.card` and what lies below it.
"""
