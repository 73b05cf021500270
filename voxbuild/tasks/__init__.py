"""The doit tasks: which stages and commands there are, and when a stage runs again.

May import all other wings; nothing imports it.
"""
