"""Files that a failed download left are told from damaged ones, with what to do about them."""

import shutil
import struct
from pathlib import Path

import pytest
from committed import CHECKPOINT

from voxrun.errors import ConfigError, WeightsError
from voxrun.files.downloads import failed_download
from voxrun.transcriber import Transcriber

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 8129944\n"
LEFT = {
    "pointer": (POINTER, "only a pointer of git-lfs; run `git lfs pull` in its folder"),
    "nothing": (b"", "empty; download it again"),
    "a line": (b"\n", "empty; download it again"),
    "zeros": (bytes(100), "begins with zeros; download it again"),
    "page": (b"<!DOCTYPE html>\n<html>", "a web page instead of the file"),
    "error": (b'\n<?xml version="1.0"?><Error>', "a web page instead of the file"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["consolidated.safetensors", "params.json", "tekken.json"])
def test_what_a_download_left_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    for content, complaint in LEFT.values():
        (folder / name).write_bytes(content)
        with pytest.raises((ConfigError, WeightsError), match=rf"/{name}: .*{complaint}"):
            Transcriber.load(folder)


def test_a_download_that_ended_early_is_named(tmp_path: Path) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "model")
    with (folder / "consolidated.safetensors").open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(WeightsError, match=r"truncated: 100,000 bytes instead of .*; download it again$"):
        Transcriber.load(folder)


@pytest.mark.parametrize("length", [2, 0x20, 0x2020, 0x3C, 0x213C, 0x0A0A0A, 0x642121])
def test_the_length_of_a_header_is_no_failure(length: int) -> None:
    prefix = struct.pack("<Q", length)
    assert failed_download(prefix) is failed_download(prefix + b"{}") is None


def test_json_may_begin_with_spaces() -> None:
    assert failed_download(b" " * 20 + b"{}") is None
