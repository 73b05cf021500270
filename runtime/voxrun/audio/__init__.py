"""Audio sources: files, standard input, the microphone; each yields blocks of mono samples.

May import `voxrun.arrays`, `voxrun.errors` and `voxrun.messages`.
"""
