"""The command `voxrun`: options, runs, the screen, signals. Nothing imports it.

May import all other wings.
"""
