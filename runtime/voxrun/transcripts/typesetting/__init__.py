"""From words to what is on the screen at once: segments, lines, cues and their times.

May import what `voxrun.transcripts` may; it knows no format.
"""
