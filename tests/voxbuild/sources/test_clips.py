"""Clip sets: a folder with transcripts, or a corpus in FLEURS' layout from a Hub."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from huggingface_hub import constants

from voxbuild.errors import SourceError
from voxbuild.recipes.book import read_book
from voxbuild.recipes.source import ClipSet
from voxbuild.sources.clips import in_both, read_clips, read_recordings

TINY = Path(__file__).parents[3] / "tiny/clips"
FACTS = {"name": "words", "summary": "", "language": "en", "license": "CC0-1.0", "attribution": "nobody"}


def clip_set(**place):
    return ClipSet.model_validate_json(json.dumps(FACTS | place))


@pytest.fixture
def base(tmp_path):
    (tmp_path / "words").mkdir()
    for name in ("b.flac", "a.flac"):
        (tmp_path / "words" / name).write_bytes(b"sound")
    (tmp_path / "words/transcripts.tsv").write_text('b.flac\tshe said "no"\na.flac\tété\tann\tmore\n')
    return tmp_path


LOCAL = clip_set(folder="words")


def test_a_folder_is_read_in_the_order_of_its_transcripts(base):
    clips = read_clips(LOCAL, base)
    assert [(c.name, c.text, c.speaker) for c in clips] == [
        ("words/b", 'she said "no"', None),
        ("words/a", "été", "ann"),
    ]
    assert [c.path for c in clips] == [base / "words/b.flac", base / "words/a.flac"]
    (base / "words/a diary.txt").write_text("private")
    assert LOCAL.corpus.files(base) == [base / f"words/{n}" for n in ("a.flac", "b.flac", "transcripts.tsv")]
    (base / "words/transcripts.tsv").write_text("no table")
    assert LOCAL.corpus.files(base) == [base / "words/transcripts.tsv"]


def test_a_set_without_clips_or_words_is_refused(base):
    (base / "words/transcripts.tsv").write_text("a.flac\t...\n")
    with pytest.raises(SourceError, match=r"words/a: its transcript '\.\.\.' has no words"):
        read_clips(LOCAL, base)
    (base / "words/transcripts.tsv").write_text("")
    with pytest.raises(SourceError, match="the clip set words has no clips"):
        read_clips(LOCAL, base)


def test_a_missing_recording_is_named(base):
    (base / "words/a.flac").unlink()
    with pytest.raises(SourceError, match=r"words/a\.flac: the recording is missing, though the transcripts"):
        read_clips(LOCAL, base)


def test_two_recordings_of_one_name_and_those_in_folders_below_are_refused(base):
    """One would be heard for the other; and a change of those below would not be noticed."""
    (base / "words/a.wav").write_bytes(b"sound")
    (base / "words/transcripts.tsv").write_text("a.flac\tyes\na.wav\tno\n")
    with pytest.raises(SourceError, match=r"'a\.flac' and 'a\.wav' are both called words/a; rename one"):
        read_clips(LOCAL, base)
    (base / "words/below").mkdir()
    (base / "words/a.flac").rename(base / "words/below/a.flac")
    (base / "words/transcripts.tsv").write_text("below/a.flac\tyes\n")
    with pytest.raises(SourceError, match=r"below/a\.flac: put the recording beside transcripts\.tsv"):
        read_clips(LOCAL, base)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            b"a.flac\tone\nb.flac\n",
            r"transcripts\.tsv:2: 1 columns instead of 2; columns are separated by tabs$",
        ),
        (b"a.flac\t\xff\xfe\n", "the transcripts cannot be read"),
        (b"a.flac\t" + b"x" * 200_000, "the transcripts cannot be read"),
    ],
)
def test_malformed_transcripts_are_reported(base, content, expected):
    (base / "words/transcripts.tsv").write_bytes(content)
    with pytest.raises(SourceError, match=expected):
        read_clips(LOCAL, base)


def test_transcripts_may_have_empty_lines_and_a_byte_order_mark(base):
    expected = read_clips(LOCAL, base)
    table = base / "words/transcripts.tsv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert read_clips(LOCAL, base) == expected


@pytest.mark.parametrize("name", ["../a.flac", "/etc/hostname", "x" * 300, "a\0", "", ".", "\x1b[2J"])
def test_an_invalid_recording_name_is_reported(base, name):
    (base / "words/transcripts.tsv").write_text(f"{name}\tone\n")
    with pytest.raises(SourceError, match=r"which is not the name of a recording in this folder$"):
        read_clips(LOCAL, base)


def test_missing_transcripts_are_reported(base):
    with pytest.raises(
        SourceError, match=r"elsewhere/transcripts\.tsv: the transcripts cannot be read, .* clips=FOLDER"
    ):
        read_clips(clip_set(folder="elsewhere"), base)


@pytest.fixture
def unlabelled(tmp_path):
    """A folder of recordings without transcripts, and of other files."""
    folder = tmp_path / "words"
    folder.mkdir()
    shutil.copyfile(TINY / "prompts/vm-youhave.flac", folder / "b.flac")
    samples = np.random.default_rng(0).standard_normal(4000) * 0.1
    soundfile.write(folder / "a.WAV", samples, 8000)
    soundfile.write(folder / "c", samples, 16000, format="OGG")
    (folder / "README.md").write_text("# Whose voice")
    (folder / "cover.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    (folder / ".hidden.flac").write_bytes((folder / "b.flac").read_bytes())
    (folder / "below").mkdir()
    return tmp_path


def test_recordings_without_transcripts_are_found_by_their_content(unlabelled):
    clips = read_recordings(LOCAL, unlabelled)
    assert [clip.name for clip in clips] == ["words/a.WAV", "words/b.flac", "words/c"]
    assert {clip.text for clip in clips} == {""}
    assert LOCAL.corpus.files(unlabelled) == [
        unlabelled / "words" / name for name in ("a.WAV", "b.flac", "c")
    ]


def test_recordings_without_transcripts_do_not_validate(unlabelled):
    with pytest.raises(SourceError, match=r"words: its 3 recordings have no transcripts.tsv, so they can"):
        read_clips(LOCAL, unlabelled)


def test_with_transcripts_only_what_they_list_calibrates(unlabelled):
    (unlabelled / "words/transcripts.tsv").write_text("b.flac\t\n")
    assert [clip.name for clip in read_recordings(LOCAL, unlabelled)] == ["words/b"]


def test_a_folder_without_recordings_does_not_calibrate(unlabelled):
    for name in ("a.WAV", "b.flac", "c"):
        (unlabelled / "words" / name).unlink()
    for clips in (LOCAL, clip_set(folder="nowhere")):
        with pytest.raises(SourceError, match="no recordings are there; give their place by `folder:`"):
            read_recordings(clips, unlabelled)


def test_the_same_recording_is_found_in_two_sets_by_its_content(unlabelled):
    other = unlabelled / "others"
    other.mkdir()
    shutil.copyfile(unlabelled / "words/a.WAV", other / "x.wav")
    (other / "transcripts.tsv").write_text("x.wav\thello\n")
    assert in_both(LOCAL, clip_set(folder="others"), unlabelled) == (
        unlabelled / "words/a.WAV",
        other / "x.wav",
    )
    (other / "x.wav").write_bytes((other / "x.wav").read_bytes()[:-1] + b"x")
    assert in_both(LOCAL, clip_set(folder="others"), unlabelled) is None


def on_the_hub(kind="parquet", **place):
    pin = {"repo": "maker/corpus", "revision": "0" * 40}
    return clip_set(**{kind: pin | place}).corpus


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        (on_the_hub(data_files="all/test/*"), on_the_hub(data_files="all/test/0.parquet", limit=3), True),
        (on_the_hub(data_files="all/test/*"), on_the_hub(data_files=["x/*", "all/*/*"]), True),
        (on_the_hub(data_files="all/test/*"), on_the_hub(data_files="all/test/*", revision="1" * 40), True),
        (on_the_hub(data_files="all/test/*"), on_the_hub(data_files="all/train/*"), False),
        (on_the_hub(data_files="all/*"), on_the_hub(data_files="all/*", repo="maker/other"), False),
        (on_the_hub(data_files="all/*"), on_the_hub("fleurs", language="xx"), True),
        (on_the_hub("fleurs", language="xx"), on_the_hub("fleurs", language="xx", limit=3), True),
        (on_the_hub("fleurs", language="xx"), on_the_hub("fleurs", language="xx", split="dev"), False),
        (LOCAL.corpus, on_the_hub(data_files="all/*"), False),
        (LOCAL.corpus, LOCAL.corpus, True),
    ],
)
def test_corpora_that_may_share_recordings_are_known_without_a_network(one, other, may):
    assert (one.may_share(other) or other.may_share(one)) is may


def test_the_repositorys_corpora_are_pinned_and_described(root):
    corpora = {name: clips for name, clips in read_book(root / "recipes").clips.items() if not clips.folder}
    languages = {clips.fleurs.language: clips.language for clips in corpora.values() if clips.fleurs}
    assert len(languages) == 13
    assert all(
        code.startswith(known) or (code, known) == ("cmn_hans_cn", "zh") for code, known in languages.items()
    )
    for clips in corpora.values():
        told = clips.corpus.dataset()
        assert re.fullmatch("[0-9a-f]{40}", told["dataset_revision"])
        assert told["dataset_split"] == "test"
        assert clips.license == "CC-BY-4.0"
        assert clips.corpus.pinned()["uri"] == f"{clips.corpus.url}/tree/{told['dataset_revision']}"


def test_the_documented_clip_set_is_one(root):
    (example,) = re.findall(r"```yaml\n(# calls.*?)```", (root / "docs/recipes.md").read_text(), re.DOTALL)
    clips = ClipSet.model_validate_json(json.dumps(yaml.safe_load(example)))
    assert clips.parquet.speaker == "caller"


def test_the_repositorys_clip_sets_are_complete(root):
    book = read_book(root / "recipes")
    local = [s for s in book.clips.values() if s.folder]
    assert local
    for clips in local:
        members = read_clips(clips, root / "recipes/clips")
        assert members
        assert len({clip.name for clip in members}) == len(members)
        assert all(clip.text for clip in members)


ROWS = [
    ["1", "one.wav", "Hello, World.", "hello world", "h e l l o", "16000", "MALE"],
    ["1", "two.wav", 'He said "no".', 'he said "no"', "h e", "16000", "FEMALE"],
    ["3", "three.wav", "Not taken.", "not taken", "n o t", "16000", "MALE"],
]
READ = """
import sys
from pathlib import Path
from voxbuild.sources.clips import in_both, read_clips, read_recordings
from voxbuild.errors import SourceError
from voxbuild.recipes.source import ClipSet

try:
    for clip in read_clips(ClipSet.model_validate_json(sys.argv[1]), Path("nowhere")):
        print(clip.name, clip.text, clip.path.read_bytes().decode(), clip.speaker, sep="|")
except SourceError as error:
    print(error)
    sys.exit(3)
"""


def corpus(recordings, links=()):
    """The files of a corpus whose archive holds these recordings, behind links of some names."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in links:
            member = tarfile.TarInfo(f"links/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
            tar.addfile(member)
        for name in recordings:
            member = tarfile.TarInfo(f"test/{name}")
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    table = "".join("\t".join(row) + "\n" for row in ROWS)
    return {"data/xx_yy/test.tsv": table.encode(), "data/xx_yy/audio/test.tar.gz": archive.getvalue()}


@pytest.fixture
def read_corpus(hub, hub_environment):
    """Read a corpus from the Hub on loopback in a process of its own."""

    def run(files, limit=2, **environment):
        revision = hub.add("datasets", "maker/corpus", files)
        place = {"repo": "maker/corpus", "revision": revision, "language": "xx_yy", "limit": limit}
        process = subprocess.run(
            [sys.executable, "-c", READ, clip_set(fleurs=place).model_dump_json()],
            env=hub_environment | environment,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in process.stderr, process.stderr
        return process

    return run


def test_the_first_clips_of_a_corpus_are_unpacked(hub, read_corpus):
    files = corpus(["three.wav", "two.wav", "one.wav"])
    expected = [
        "fleurs/xx_yy/one.wav|hello world|one.wav|sentence 1",
        'fleurs/xx_yy/two.wav|he said "no"|two.wav|sentence 1',
    ]
    assert read_corpus(files).stdout.splitlines() == expected
    assert {call.split()[1].split("/")[1] for call in hub.calls} == {"datasets"}


def test_what_a_crash_of_the_machine_left_is_unpacked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    place = {"repo": "maker/corpus", "revision": "0" * 40, "language": "xx_yy", "limit": 2}
    for name, content in corpus(["one.wav", "two.wav"]).items():
        path = tmp_path / "datasets--maker--corpus" / "snapshots" / place["revision"] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    one, two = read_clips(clip_set(fleurs=place), tmp_path)
    two.path.write_bytes(b"")
    two.path.with_name(".one.wav.123.partial").write_bytes(b"on")
    assert read_clips(clip_set(fleurs=place), tmp_path) == [one, two]
    assert (one.path.read_bytes(), two.path.read_bytes()) == (b"one.wav", b"two.wav")


def test_a_recording_that_the_archive_lacks_is_named(read_corpus):
    process = read_corpus(corpus(["one.wav", "three.wav"]))
    assert process.returncode == 3
    assert "two.wav: the recording is missing, though the transcripts list it" in process.stdout


def test_an_archive_is_read_up_to_the_last_recording_that_is_wanted(read_corpus):
    """So what comes later may be missing; and links, which name no recording, are passed over."""
    files = corpus(["one.wav", "two.wav"] + [f"{i}.wav" for i in range(400)], links=["two.wav"])
    torn = files["data/xx_yy/audio/test.tar.gz"][:-200]
    process = read_corpus(files | {"data/xx_yy/audio/test.tar.gz": torn})
    assert len(process.stdout.splitlines()) == 2
    assert process.returncode == 0


@pytest.mark.slow
def test_a_damaged_archive_is_reported(read_corpus):
    files = corpus(["one.wav", "two.wav"])
    for damaged in (files["data/xx_yy/audio/test.tar.gz"][:-30], b"no archive at all"):
        process = read_corpus(files | {"data/xx_yy/audio/test.tar.gz": damaged})
        assert process.returncode == 3
        assert "test.tar.gz: a damaged archive" in process.stdout


@pytest.mark.slow
def test_a_corpus_that_cannot_be_downloaded_is_reported(read_corpus):
    process = read_corpus({"data/xx_yy/test.tsv": b""})
    assert process.returncode == 3
    assert "maker/corpus: data/xx_yy/audio/test.tar.gz cannot be downloaded" in process.stdout
    process = read_corpus(corpus([]), HF_HUB_OFFLINE="1")
    assert process.returncode == 3
    assert "maker/corpus: data/xx_yy/test.tsv cannot be downloaded" in process.stdout


def test_endless_transcripts_are_not_read(base):
    path = base / "words/transcripts.tsv"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceError, match=r"cannot be read .not a regular file"):
        read_clips(LOCAL, base)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(SourceError, match=r"cannot be read .not a regular file"):
        read_clips(LOCAL, base)
