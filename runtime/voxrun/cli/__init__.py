"""The command `voxrun`: options, sources, runs, the screen, signals. No other wing imports it.

May import all other wings.
"""
