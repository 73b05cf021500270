"""Releases: prepared, published to a target whole or not at all, verified, withdrawn.

May import `voxbuild.card` and what lies below it.
"""
