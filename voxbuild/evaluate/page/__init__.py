"""The report page of an evaluation: one HTML file, with its data, style and scripts in it.

May import what `voxbuild.evaluate` may.
"""
