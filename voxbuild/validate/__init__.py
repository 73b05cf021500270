"""Validation of an artifact against its clips and its source; comparison of two artifacts.

May import `voxbuild.convert.shards` and what lies below it.
"""
