"""The exit codes of `voxrun`; a signal's is 128 + its number (`Interruption.exit_code`)."""

DONE = 0
READER_GONE = 1
"""Standard output was closed by its reader."""
BAD = 2
"""Bad options, model, sound or output."""
