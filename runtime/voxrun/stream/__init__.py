"""From samples to words: log-mel frames, the schedule of positions, tokens, words with times, sessions.

May import `voxrun.model`, `voxrun.audio` and what lies below them.
"""
