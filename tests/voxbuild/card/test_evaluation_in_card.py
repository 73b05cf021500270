"""The card's table of an evaluation, and the check of it against the artifact's evaluation.json."""

from dataclasses import replace

import pytest
from cards import make_manifest
from evaluations import made_up

from voxbuild.artifact.evaluated import SHARED
from voxbuild.card.check_evaluation import check_evaluation, header_of, read_evaluation
from voxbuild.card.evaluation import evaluation_table
from voxbuild.card.reader import read_text

MANIFEST = make_manifest()
WHOLE = made_up()
CELLS = [cell for cell in WHOLE["cells"] if cell["variant"] == "4bit"]
EVALUATION = {key: WHOLE[key] for key in SHARED} | {
    "variant": {"digest": MANIFEST.weight_digest},
    "cells": [*CELLS, *({**cell, "set": None, "language": "en"} for cell in CELLS if cell["set"] == "calls")],
}
TABLE = evaluation_table(EVALUATION)


def wrong(table=TABLE, evaluation=EVALUATION, manifest=MANIFEST):
    tables = {tuple(header.cells): rows for header, *rows in read_text(table).tables}
    return "; ".join(check_evaluation(tables, evaluation, manifest))


def test_each_group_of_clips_has_a_row_and_each_delay_a_column():
    header, *rows = read_text(TABLE).tables[0]
    assert header.cells == header_of(EVALUATION) == ["WER % by delay", "160 ms", "480 ms"]
    assert [row.cells[0] for row in rows] == ["all clips", "calls", "signs", "language en"]
    assert all(row.cells[1:] == ["8.50 (7.50 to 9.50)"] * 2 for row in rows)
    assert wrong() == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "8.50 (7.50",
            "8.40 (7.50",
            "WER of all clips at 160 ms: 8.40 (7.50 to 9.50), not 8.50 (7.50 to 9.50)",
        ),
        ("to 9.50", "to 8.51", "WER of all clips at 160 ms"),
        ("| calls ", "| other ", "WER of calls at 160 ms: nothing, not 8.50"),
        ("| language en", "| language de", "WER of de at 160 ms: 8.50 (7.50 to 9.50), not nothing"),
        ("| 160 ms", "| 240 ms", "WER of all clips at 160 ms: nothing"),
    ],
)
def test_a_changed_table_is_found(old, new, said):
    assert old in TABLE
    assert said in wrong(TABLE.replace(old, new, 1))


def test_a_figure_that_was_not_finite_is_told():
    cells = [{**cell, "wer": None} for cell in CELLS]
    assert "not finite" in evaluation_table(EVALUATION | {"cells": cells})
    assert wrong(evaluation_table(EVALUATION | {"cells": cells}), EVALUATION | {"cells": cells}) == ""


def test_an_evaluation_of_other_weights_is_found():
    assert "of other weights" in wrong(evaluation=EVALUATION | {"variant": {"digest": "f" * 64}})
    view = replace(MANIFEST, view={"dialect": "mlx-audio", "artifact": "f" * 64})
    assert "of other weights" in wrong(manifest=view)
    assert wrong(evaluation=EVALUATION | {"variant": {"digest": "f" * 64}}, manifest=view) == ""


def test_an_artifact_without_an_evaluation_needs_none(tmp_path):
    assert read_evaluation(tmp_path, MANIFEST) is None
