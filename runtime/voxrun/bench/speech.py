"""Tokens as speech has them, where no recording is given: of a text read in 43 s, as the tiny model heard it.

Made by `voxrun bench --model tiny/checkpoint --audio tiny/clips/chains/chain-5.flac --json`.
"""

import re

_RUNS = """
5pwt2pwtwt3pwtpwt6pwt4pwt10pwt3pwtwtwtwt7pwt5pwt2pwtpwt6pwt10pwtwt4pwtwt2pwt3pwtwtpwt9pwt4pwtwt4pwtpwt
2pwt3pwtwtwt9pwt13pwt5pwt6pwt2pwt3pwt10pwtpwtwt9pwt9pwtwt6pwt5pwt4pwt17pwt3pwtwtwt3pwt12pwt2pwtw2twtwt
wt6pwt14pw3twtwt2pw2t2pwt5pwt10pwtwt3pwt2pwt2pwt8pwtwtwt6pwt12pwtwtwt7pwt8pwt2pwtwt4pwtwt4pwtpwtpwt6p
wt13pw2twtw2twt7pwt10p
"""
"""Kinds as in `voxrun.bench.results.Heard`, with the length of a run before it."""

SPEECH = "".join(kind * int(n or 1) for n, kind in re.findall(r"(\d*)([pwt])", _RUNS))
SOURCE = "546 tokens of read speech, as the tiny model heard them"
