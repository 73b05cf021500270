"""Clip sets that are parquet on the Hub: in the layout of LibriSpeech, and of what else `datasets` writes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from voxbuild.errors import SourceError
from voxbuild.recipes.source import ClipSet
from voxbuild.sources.clips import read_clips, read_recordings

COMMIT = "71cacbfb7e2354c4226d01e70d77d5fca3d04ba1"
FACTS = {"name": "read", "summary": "", "language": "en", "license": "CC-BY-4.0", "attribution": "nobody"}
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"info": {"features": {"audio": {"sampling_rate": 16000, "_type": "Audio"}}}}
COLUMNS = {"text": "text", "speaker": "speaker_id", "id": "id"}


def clip_set(**place):
    parquet = {
        "repo": "openslr/librispeech_asr",
        "revision": COMMIT,
        "data_files": "all/test.clean/0000.parquet",
    }
    return ClipSet.model_validate_json(json.dumps(FACTS | {"parquet": parquet | COLUMNS | place}))


def librispeech(count, **changes):
    """A table in LibriSpeech's layout, with some columns changed."""
    columns = {
        "file": [f"{i}.flac" for i in range(count)],
        "audio": pa.array([{"bytes": b"sound %d" % i, "path": f"{i}.flac"} for i in range(count)], AUDIO),
        "text": [f"WORD {i}" for i in range(count)],
        "speaker_id": pa.array([1089 + i // 2 for i in range(count)], pa.int64()),
        "chapter_id": pa.array([134686] * count, pa.int64()),
        "id": [f"1089-134686-{i:04}" for i in range(count)],
    }
    table = pa.table({name: value for name, value in (columns | changes).items() if value is not None})
    return table.replace_schema_metadata({"huggingface": json.dumps(FEATURES)})


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Writes a table, or bytes, to the place of a file in the Hub's cache; the network is off."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "datasets--openslr--librispeech_asr" / "snapshots" / COMMIT

    def write(table, name="all/test.clean/0000.parquet", **options):
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(table, bytes):
            path.write_bytes(table)
        else:
            pq.write_table(table, path, **options)
        return path

    return write


def heard(clips):
    return [(clip.name, clip.path.read_bytes(), clip.text, clip.speaker) for clip in clips]


def said_of(clips):
    with pytest.raises(SourceError) as caught:
        read_clips(clips, Path())
    return str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_each_row_is_a_clip_whatever_the_groups_of_rows(cache, rows):
    path = cache(librispeech(5), row_group_size=rows)
    clips = read_clips(clip_set(), Path())
    assert heard(clips) == [
        (f"read/1089-134686-{i:04}", b"sound %d" % i, f"WORD {i}", str(1089 + i // 2)) for i in range(5)
    ]
    assert {clip.path.suffix for clip in clips} == {".flac"}
    assert {clip.path.parent.parent for clip in clips} == {path.parent}


def test_a_limit_takes_the_first_clips_and_reads_no_further(cache, monkeypatch):
    cache(librispeech(4), row_group_size=2)
    files = ["all/test.clean/0000.parquet", "all/test.clean/0001.parquet"]  # the second is not there
    few = read_clips(clip_set(data_files=files, limit=3), Path())
    assert [clip.text for clip in few] == ["WORD 0", "WORD 1", "WORD 2"]
    assert len(list(few[0].path.parent.iterdir())) == 3
    assert "0001.parquet cannot be downloaded" in said_of(clip_set(data_files=files, limit=5))
    cache(librispeech(2, text=["MORE", "YET MORE"]), files[1])
    more = read_clips(clip_set(data_files=files, limit=5), Path())
    assert [clip.text for clip in more[3:]] == ["WORD 3", "MORE"]
    assert more[:3] == few
    assert more[4].name == "read/1089-134686-0000~2"  # both files have the id


def test_what_was_written_is_not_written_again(cache):
    cache(librispeech(3))
    first, second, third = read_clips(clip_set(), Path())
    second.path.unlink()
    third.path.write_bytes(b"")  # as a crash of the machine leaves it
    second.path.with_name(".000001.flac.123.partial").write_bytes(b"so")  # as a killed process leaves it
    before = first.path.stat().st_mtime_ns
    assert [clip.path.read_bytes() for clip in read_clips(clip_set(), Path())] == [
        b"sound 0",
        b"sound 1",
        b"sound 2",
    ]
    assert first.path.stat().st_mtime_ns == before


def test_two_columns_of_recordings_are_kept_apart(cache):
    other = pa.array([b"denoised 0", b"denoised 1"], pa.large_binary())  # plain bytes, without a struct
    cache(librispeech(2, clean=other))
    assert [c.path.read_bytes() for c in read_clips(clip_set(), Path())] == [b"sound 0", b"sound 1"]
    assert [c.path.read_bytes() for c in read_clips(clip_set(audio="clean"), Path())] == [
        b"denoised 0",
        b"denoised 1",
    ]


HOSTILE = [
    "../../../etc/passwd",
    "",
    None,
    "a" * 5000,
    "a" * 5001,
    "x\x1b[2J\ny",
    "..",
    "same",
    "same",
    "same~2",
]


def test_any_id_gives_a_clip_of_its_own_and_no_file_elsewhere(cache, tmp_path):
    path = cache(librispeech(len(HOSTILE), id=HOSTILE, speaker_id=["ann"] * 9 + [None]))
    outside = {p for p in tmp_path.rglob("*") if p.is_file()}
    clips = read_clips(clip_set(), Path())
    assert [clip.name.removeprefix("read/") for clip in clips] == [
        "etc_passwd",
        "0000-1",
        "0000-2",
        "a" * 100,
        "a" * 100 + "~2",
        "x_2J_y",
        "0000-6",
        "same",
        "same~2",
        "same_2",
    ]
    assert [clip.path.read_bytes() for clip in clips] == [b"sound %d" % i for i in range(len(HOSTILE))]
    assert {clip.path.parent.parent for clip in clips} == {path.parent}
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == outside | {clip.path for clip in clips}
    assert {clip.speaker for clip in clips} == {"ann", None}


@pytest.mark.parametrize("name", ["../../evil.so", "x.flac/../..", ".", "a.Fl\n", "x." + "y" * 300, None])
def test_the_name_in_a_struct_gives_at_most_an_ending(cache, name):
    audio = pa.array([{"bytes": b"sound", "path": name}], AUDIO)
    path = cache(librispeech(1, audio=audio))
    (clip,) = read_clips(clip_set(), Path())
    assert clip.path.parent.parent == path.parent
    assert clip.path.name in ("000000", "000000.so")


def test_columns_may_have_other_names_and_be_categories(cache):
    table = librispeech(2, text=pa.array(["good morning", "hello"]).dictionary_encode(), speaker_id=None)
    cache(table.rename_columns({"text": "sentence", "audio": "recording", "id": "clip"}))
    clips = read_clips(clip_set(text="sentence", audio="recording", id="clip", speaker="clip"), Path())
    assert [(clip.text, clip.speaker) for clip in clips] == [
        ("good morning", "1089-134686-0000"),
        ("hello", "1089-134686-0001"),
    ]


def test_recordings_without_texts_calibrate(cache):
    cache(librispeech(2, text=None))
    assert [clip.text for clip in read_recordings(clip_set(), Path())] == ["", ""]
    only = {
        "repo": "openslr/librispeech_asr",
        "revision": COMMIT,
        "data_files": "all/test.clean/0000.parquet",
    }
    plain = ClipSet.model_validate_json(json.dumps(FACTS | {"parquet": only}))
    assert [clip.name for clip in read_recordings(plain, Path())] == ["read/0000-0", "read/0000-1"]


@pytest.mark.parametrize("text", [None, "", " ...!"])
def test_a_row_without_words_is_refused_or_left_out_as_the_set_says(cache, text):
    cache(librispeech(4, text=["one", text, "three", "four"]))
    assert "0000.parquet: row 1 has no words in the column text; `without_text: skip`" in said_of(clip_set())
    clips = read_clips(clip_set(without_text="skip", limit=2), Path())
    assert [(clip.text, clip.path.read_bytes()) for clip in clips] == [
        ("one", b"sound 0"),
        ("three", b"sound 2"),
    ]


EMPTY = {"bytes": b"", "path": None}
ELSEWHERE = {"bytes": None, "path": "/data/1.flac"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"text": None},
            "there is no column text; there are 'file', 'audio', 'speaker_id', 'chapter_id', 'id'",
        ),
        ({"audio": None}, "there is no column audio; there are 'file', 'text', "),
        ({"id": None}, "there is no column id; there are "),
        ({"text": [1, 2]}, "the column text does not hold text, but int64"),
        ({"speaker_id": [1.5, 2.5]}, "the column speaker_id does not hold text or whole numbers, but double"),
        (
            {"audio": ["a.flac", "b.flac"]},
            "the column audio does not hold recordings (bytes, or a struct with",
        ),
        (
            {"audio": [{"path": "a"}, {"path": "b"}]},
            "the column audio does not hold recordings (bytes, or a struct",
        ),
        (
            {"audio": [{"bytes": "a"}, {"bytes": "b"}]},
            "does not hold recordings (bytes, or a struct with `bytes`)",
        ),
        (
            {"audio": pa.array([{"bytes": b"x", "path": "0.flac"}, ELSEWHERE], AUDIO)},
            "row 1 has no recording in the column audio, only the path '/data/1.flac'",
        ),
        ({"audio": pa.array([None, EMPTY], AUDIO)}, "row 0 has no recording in the column audio"),
        ({"audio": pa.array([EMPTY, None], AUDIO)}, "row 0 has no recording in the column audio"),
        ({"audio": pa.array([b"x", None])}, "row 1 has no recording in the column audio"),
    ],
)
def test_a_column_that_does_not_fit_is_reported(cache, changes, expected):
    path = cache(librispeech(2, **changes))
    said = said_of(clip_set())
    assert said.startswith(f"{path}: ")
    assert expected in said
    assert "\n" not in said


def test_a_damaged_file_is_reported_and_leaves_no_half_recording(cache):
    sound = [{"bytes": os.urandom(40_000), "path": "0.flac"} for _ in range(6)]
    path = cache(librispeech(6, audio=pa.array(sound, AUDIO)), row_group_size=2, use_dictionary=False)
    data = path.read_bytes()
    middle = pq.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset
    for damaged in (
        data[: len(data) // 2],
        data[:-1],
        b"",
        b"no parquet",
        data[:middle] + bytes(30) + data[middle + 30 :],
    ):
        path.write_bytes(damaged)
        assert f"{path}: not a parquet file, or a damaged one (" in said_of(clip_set())
    (folder,) = path.parent.glob("*.clips")
    written = sorted(folder.iterdir())
    assert [p.read_bytes() for p in written] == [each["bytes"] for each in sound[: len(written)]]
    path.write_bytes(data)
    assert [c.path.read_bytes() for c in read_clips(clip_set(), Path())] == [each["bytes"] for each in sound]


@pytest.mark.parametrize("column", ["text", "audio"])
def test_a_file_that_holds_fewer_rows_than_it_says_is_damaged(cache, monkeypatch, column):
    path = cache(librispeech(3), row_group_size=3)
    whole = pq.ParquetFile.iter_batches

    def fewer(file, *arguments, **options):
        batches = list(whole(file, *arguments, **options))
        columns = {*batches[0].schema.names}
        return [batch[:-1] for batch in batches] if "text" in columns else batches[:-1]

    def only(file, *arguments, **options):
        wanted = column in (options.get("columns") or arguments[2])
        return (fewer if wanted else whole)(file, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", only)
    assert f"{path}: not a parquet file, or a damaged one (row 2 is missing)" in said_of(clip_set())


def test_a_file_that_has_not_the_hash_of_the_hub_is_refused(cache):
    path = cache(librispeech(2))
    blob = path.parents[4] / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    path.rename(blob)
    path.symlink_to(blob)
    assert f"{path}: damaged, as its sha256 shows; delete {blob} and try again" in said_of(clip_set())


SMALL_PAGES = {"row_group_size": 1000, "use_dictionary": False, "write_batch_size": 4}


@pytest.mark.parametrize("layout", [{"row_group_size": 4}, SMALL_PAGES], ids=["groups", "pages"])
def test_a_file_is_never_in_memory_as_a_whole(cache, monkeypatch, layout):
    size, rows = 100_000, 4
    sound = pa.array([{"bytes": os.urandom(size), "path": "0.flac"} for _ in range(30 * rows)], AUDIO)
    cache(librispeech(30 * rows, audio=sound), **layout)
    write, before, held = Path.write_bytes, pa.total_allocated_bytes(), []

    def measured(path, data):
        held.append(pa.total_allocated_bytes() - before)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", measured)
    assert len(read_clips(clip_set(), Path())) == len(held) == 30 * rows
    assert size < max(held) < 4 * rows * size


def test_a_full_disk_is_reported_and_the_next_run_goes_on(cache, monkeypatch):
    cache(librispeech(3))
    write = Path.write_bytes

    def full(path, data):
        if path.name.startswith(".000001"):
            write(path, bytes(data)[:2])
            raise OSError(28, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert "000001.flac: the recording cannot be written (No space left on device)" in said_of(clip_set())
    assert [c.path.read_bytes() for c in read_clips(clip_set(), Path())] == [
        b"sound 0",
        b"sound 1",
        b"sound 2",
    ]


def test_without_pyarrow_it_says_what_to_install(cache, monkeypatch):
    cache(librispeech(1))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert said_of(clip_set()) == "reading parquet needs pyarrow, not installed here: pip install pyarrow"


READ = """
import os
import signal
import sys
from pathlib import Path
from voxbuild.sources.clips import read_clips
from voxbuild.errors import SourceError
from voxbuild.recipes.source import ClipSet

write = Path.write_bytes


def killed(path, data):
    write(path, bytes(data)[:2])
    os.kill(os.getpid(), signal.SIGKILL)


if sys.argv[2:]:
    Path.write_bytes = lambda path, data: (killed if path.name.startswith(sys.argv[2]) else write)(path, data)
try:
    for clip in read_clips(ClipSet.model_validate_json(sys.argv[1]), Path("nowhere")):
        print(clip.name, clip.text, clip.path.read_bytes().decode(), sep="|")
except SourceError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.slow
def test_a_killed_run_leaves_whole_recordings_only_and_the_next_one_goes_on(cache, tmp_path):
    path = cache(librispeech(4))
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path)}

    def read(*moment):
        command = [sys.executable, "-c", READ, clip_set().model_dump_json(), *moment]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert read(".000002").returncode == -signal.SIGKILL
    (folder,) = path.parent.glob("*.clips")
    there = {p.name: p.read_bytes() for p in folder.iterdir()}
    torn = [there.pop(name) for name in list(there) if name.endswith(".partial")]
    assert torn == [b"so"]
    assert there == {"000000.flac": b"sound 0", "000001.flac": b"sound 1"}
    assert [line.rpartition("|")[2] for line in read().stdout.splitlines()] == [
        f"sound {i}" for i in range(4)
    ]


@pytest.mark.slow
def test_the_files_behind_a_pattern_are_those_of_the_commit_and_known_offline(hub, hub_environment, tmp_path):
    def parquet(*texts):
        pq.write_table(librispeech(len(texts), text=list(texts)), tmp_path / "x.parquet")
        return (tmp_path / "x.parquet").read_bytes()

    def read(pattern="all/test.*/*.parquet", **environment):
        place = {"repo": "maker/read", "revision": commit, "data_files": pattern}
        asked = clip_set(**place).model_dump_json()
        process = subprocess.run(
            [sys.executable, "-c", READ, asked],
            env=hub_environment | environment,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in process.stderr, process.stderr
        return process.stdout.splitlines()

    hub.page_size = 2
    files = {
        "README.md": b"# Read",
        "all/test.clean/0001.parquet": parquet("three"),
        "all/test.clean/0000.parquet": parquet("one", "two"),
        "all/test.clean/deep/0000.parquet": parquet("deep"),
        "all/test.clean/old.parquet/0000.parquet": parquet("old"),
        "all/test.other/0000.parquet": parquet("four"),
        "all/train.clean/0000.parquet": parquet("five"),
    }
    commit = hub.add("datasets", "maker/read", files)
    hub.add("datasets", "maker/read", files | {"all/test.clean/0002.parquet": parquet("later")})
    expected = ["one|sound 0", "two|sound 1", "three|sound 0", "four|sound 0"]
    assert read(HF_HUB_OFFLINE="1") == [
        "maker/read: the files in all cannot be listed"
        f" (Cannot reach {hub.url}/api/datasets/maker/read/tree/{commit}/all?recursive=true&expand=false:"
        " offline mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable.)"
    ]
    online = read()
    assert [line.split("|", 1)[1] for line in online] == expected
    assert online[2].startswith("read/1089-134686-0000~2|")
    assert read(HF_HUB_OFFLINE="1") == online
    assert read("none/*.parquet")[0].startswith("maker/read: the files in none cannot be listed (")
    assert read("all/*.flac") == [f"maker/read: no file matches all/*.flac at {commit}"]
    assert read("all/test.clean/0001.parquet", HF_HUB_OFFLINE="1") == ["read/1089-134686-0000|three|sound 0"]
