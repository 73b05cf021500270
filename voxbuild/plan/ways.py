"""What fetch= may say: how a source on the Hub gets here. What follows from it: `streaming`."""

AUTO, STREAM, DISK = WAYS = ("auto", "stream", "disk")
"""AUTO: downloaded if there is room for it and for the artifacts, else as with STREAM."""
