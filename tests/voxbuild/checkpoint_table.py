"""docs/checkpoints.md, written from the outcomes of tests/voxbuild/sources/test_checkpoint_table.py."""

DOCUMENT = "docs/checkpoints.md"
HEAD = """# Checkpoints as people have them

What `doit build recipe=4bit source=FOLDER` does with the embedded model in the layouts, dtypes and broken
exports in which fine-tunes come. `tests/voxbuild/checkpoint_variants.py` makes the folders,
`tests/voxbuild/sources/test_checkpoint_table.py` checks that this table shows the outcomes, and
`pytest tests/voxbuild/sources --write-checkpoints` writes it again.

A checkpoint is refused as early as possible: *plan* also means `doit plan`, before an hour is spent;
*conversion* means that its values were read. The 4-bit weights of all that are marked "the same" have the
same bytes as those of the embedded checkpoint itself, tensor by tensor.

| checkpoint | | refused at | |
|---|---|---|---|
"""


def document(rows):
    """All of it; `rows`: name -> (what it is, where it is refused, what is said)."""
    lines = (f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows.items())
    return HEAD + "".join(lines)
