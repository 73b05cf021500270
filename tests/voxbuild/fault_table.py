"""docs/faults.md, written from the outcomes of the fault tests."""

DOCUMENT = "docs/faults.md"
HEAD = """# Faults

What happens when a publish to the Hub fails at some point. `tests/voxbuild/publish/test_hub_faults*.py` cause
each fault, with the real client against the tests' Hub server, and check that the table shows the outcomes;
`pytest tests/voxbuild --write-faults` writes it again.

A repository holds v1 and a file of others, and a release is published as v2. Before each response another
client reads the repository: `v2` and `main` always hold one whole release and that file, and v1 is unchanged;
"v2 beside theirs" is v2 with a file that others added meanwhile. Then the release is published
again without a fault. This ends with a commit that holds the release, and the tag on it, unless the last
column says that it fails as well. There is one such commit; a second one only if there was another commit on
top of the first before it had its tag.

The calls of a publish, in order:

{calls}

"""
COLUMNS = ["what goes wrong", "at", "readers see", "the publisher says", "the next publish"]
ROWS = {}
"""Kind of fault -> call -> Outcome."""


def document(calls):
    """All of it."""
    rows = [row for kind, found in ROWS.items() for row in _rows(kind, found, calls)]
    listed = "\n".join(f"{number}. `{call}`" for number, call in enumerate(calls, 1))
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return HEAD.format(calls=listed) + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(kind, found, calls):
    """A row for all calls with the same outcome."""
    outcomes = {}
    for at, outcome in found.items():
        outcomes.setdefault(outcome, []).append(at)
    for outcome, at in outcomes.items():
        where = "each call" if len(at) == len(calls) else ", ".join(map(str, at))
        yield [kind, where, " → ".join(outcome.seen), outcome.said, outcome.rerun]
