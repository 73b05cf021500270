"""Files are read without trust: strict JSON, regular files, bounded sizes, no links to elsewhere."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrun.files import paths
from voxrun.files.paths import StrictError, member
from voxrun.files.strict import MAX_DEPTH, MAX_MARKS, load, parse
from voxrun.messages import MAX_MESSAGE, sentence, shown

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_what_json_says_is_read_as_it_is(value: Any, ascii_only: bool, indent: int | None) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        (b'{"a": 1, "\\u0061": 3}', "the key 'a' is there twice"),
        (b"[NaN]", "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"[1e999]", "too large"),
        (b"[" + b"9" * 500 + b"]", "a number of 500 digits"),
        (b'["\\ud83d"]', "half of a surrogate pair"),
        (b'["\\ude00\\ud83d"]', "half of a surrogate pair"),
        (b'["\\ud83d\\ud83d\\ude00"]', "half of a surrogate pair"),
        (b'["\xed\xa0\x80"]', "not UTF-8 at byte 2"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b'["\\"",' + b"[" * 100, "nested deeper"),
        (b'["\\\\",' + b"[" * 100, "nested deeper"),
        (b"[" + b"[]," * MAX_MARKS, "more than"),
        (b"", "empty; download it again"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_ambiguous_json_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(StrictError, match=said):
        parse(text)


@pytest.mark.parametrize(
    "value",
    [["[" * 1000], ['"[' * 1000], ["\\[" * 1000], ["\\", "[" * 1000], "😀", "\\ud800", "\\\\ud800"],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_brackets_in_strings_are_not_counted(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


def test_the_deepest_nesting_is_read() -> None:
    parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_two_of_many_keys_are_found_at_once() -> None:
    """Counted one by one they would take an hour."""
    keys = ",".join(f'"{i}":0' for i in range(300_000))
    with pytest.raises(StrictError, match="the key '299999' is there twice"):
        parse(f'{{{keys},"299999":0}}'.encode())


def test_a_file_beyond_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.touch()
    os.truncate(path, 2**40)  # no block of it is on the disk
    with pytest.raises(StrictError, match="larger than 8,388,608 bytes"):
        load(path)


def test_a_pipe_does_not_block_and_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(StrictError, match="not a regular file"):
            load(path)
    with pytest.raises(OSError, match="Is a directory"):
        load(tmp_path)


def test_links_may_lead_within_a_folder_and_in_the_hubs_cache_to_its_blobs(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b/snapshots/c0ffee", tmp_path / "models--a--b/blobs"
    other = tmp_path / "models--a--secret/blobs"
    for folder in (snapshot, blobs, other):
        folder.mkdir(parents=True)
        (folder / "file").write_text("{}")
    (snapshot / "blob").symlink_to("../../blobs/file")
    (snapshot / "beside").symlink_to("file")
    (snapshot / "elsewhere").symlink_to("../../../models--a--secret/blobs/file")
    (snapshot / "through").symlink_to("elsewhere")
    (snapshot / "loop").symlink_to("loop")
    for name in ("blob", "beside", "loop", "not-there"):
        assert member(snapshot, name) == snapshot / name
    for name in ("elsewhere", "through", "../../refs", "/etc/passwd"):
        with pytest.raises(StrictError, match="leads out of the folder"):
            member(snapshot, name)
    (tmp_path / "linked").symlink_to(snapshot)  # the folder itself may be a link: it is the user's
    assert member(tmp_path / "linked", "blob").read_text() == "{}"


def test_a_folder_that_is_no_snapshot_has_no_blobs(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshots/model").mkdir(parents=True)
    (tmp_path / "snapshots/model/file").symlink_to("../../blobs/x")
    with pytest.raises(StrictError):
        member(tmp_path / "snapshots/model", "file")


@pytest.mark.parametrize(
    "value", ["x" * 10**6, ["x" * 1000] * 1000, {"x": {"y": {"z": [1] * 99}}}, 10**390, "\udcff"]
)
def test_values_are_shown_short_and_printable(value: Any) -> None:
    said = shown(value)
    assert len(said) < 500
    said.encode("ascii")


def test_a_sentence_is_one_line_of_bounded_length() -> None:
    assert sentence("a\nb\x1b\ud800  c") == "a b ? c"
    assert len(sentence("x" * 10**6)) == MAX_MESSAGE


@pytest.mark.slow
def test_limits_leave_room_for_the_largest_real_files() -> None:
    """The tekken.json of two models of Mistral's, with 150,000 pieces each."""
    data = Path(pytest.importorskip("mistral_common").__file__).parent / "data"
    for path in data.glob("tekken_*.json"):
        assert len(load(path, paths.MAX_BYTES * 8)["vocab"]) == 150_000
