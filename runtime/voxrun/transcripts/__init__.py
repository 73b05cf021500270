"""What was heard, written down: segments and lines, formats, files that appear when they are complete.

May import `voxrun.stream` and what lies below it.
"""
