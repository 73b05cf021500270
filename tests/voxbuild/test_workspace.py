"""Small files: damage is reported with the file's name."""

import pytest

from voxbuild.artifact.manifest import VALIDATION, read_validation
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_json, read_state, write_json


@pytest.mark.parametrize("content", ["", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 10_000])
def test_a_damaged_file_is_reported_by_name(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(VoxbuildError, match=r"/a\.json: "):
        read_json(path)
    assert read_state(path) is None


def test_written_files_are_read_back(tmp_path):
    value = {"a": [1, 0.5, None, "é", {"b": True}]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"passed": 1, "artifact": {}}', '{"passed": true, "artifact": []}']
)
def test_a_malformed_validation_is_reported(tmp_path, content):
    (tmp_path / VALIDATION).write_text(content)
    with pytest.raises(VoxbuildError, match=r"validation\.json: cannot read the validation"):
        read_validation(tmp_path)
