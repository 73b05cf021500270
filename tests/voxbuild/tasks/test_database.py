"""doit's record of finished tasks."""

import pytest
from doit.dependency import JSONCodec
from doit.exceptions import InvalidCommand

from voxbuild.tasks.database import Database


def test_a_record_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(path, text, encoding):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(InvalidCommand, match=r"db\.json: it cannot be written \(No space left on device\)"):
        Database(str(tmp_path / "db.json"), JSONCodec()).set("task", "deps:", [])
    assert list(tmp_path.iterdir()) == []
