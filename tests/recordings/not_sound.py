"""What is no recording, whatever its name says."""

import gzip
import io
import json
import tarfile
import zipfile
import zlib

import numpy as np

from .formats import SOUND, ffmpeg
from .recording import Recording, refused
from .riff import pcm16, wav

TEXT = b"The quick brown fox jumps over the lazy dog.\n" * 100


def zipped() -> bytes:
    """A ZIP with a WAV in it, stored."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.wav"), wav(pcm16(SOUND)))
    return file.getvalue()


def tarred() -> bytes:
    """A tar with a WAV in it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        data = wav(pcm16(SOUND))
        member = tarfile.TarInfo("a.wav")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def png() -> bytes:
    """A picture of 64 x 64."""

    def part(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = part(b"IHDR", (64).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes(193) * 64)) + part(b"IEND", b"")


def jpeg() -> bytes:
    """A picture by FFmpeg."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mjpeg") as output:
        stream = output.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    return file.getvalue()


ALL: list[Recording] = [
    refused("empty", "an empty file", lambda: b""),
    refused("byte", "one byte", lambda: b"R"),
    refused("html", "an HTML page", lambda: b"<!DOCTYPE html><html><body>" + b"<p>404 not found</p>\n" * 200),
    refused("text", "a text", lambda: TEXT),
    refused("text-utf16", "a text in UTF-16", lambda: TEXT.decode().encode("utf-16")),
    refused("json", "JSON", lambda: json.dumps({"error": ["not found"] * 300}).encode()),
    refused(
        "lfs",
        "a pointer of git-lfs",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    ),
    refused("subtitles", "subtitles", lambda: b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 50),
    refused("lyrics", "lyrics", lambda: b"[00:01.00]hello\n" * 50),
    refused("zip", "a ZIP with a WAV in it", zipped),
    refused("tar", "a tar with a WAV in it", tarred),
    refused("gzip", "a WAV under gzip", lambda: gzip.compress(wav(pcm16(SOUND)), mtime=0)),
    refused("png", "a PNG", png),
    refused("jpeg", "a JPEG", jpeg),
    refused("gif", "a GIF", lambda: b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\1D\0;"),
    refused("pdf", "a PDF", lambda: b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 50 + b"%%EOF\n"),
    refused("elf", "a program", lambda: b"\x7fELF\2\1\1" + bytes(range(256)) * 40),
    refused("midi", "MIDI notes", lambda: b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0" + bytes(500)),
    refused(
        "safetensors",
        "weights",
        lambda: (200).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}'.ljust(200) + bytes(999),
    ),
    refused(
        "mp4-of-nothing", "an MP4 without tracks", lambda: b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\x08mdat"
    ),
    refused(
        "mp4-box-2-63",
        "an MP4 with a box of 2^63 bytes",
        lambda: b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\x01free" + (1 << 63).to_bytes(8, "big") + bytes(100),
    ),
    refused(
        "caf-chunk-2-63",
        "a CAF with a chunk of 2^63 - 1 bytes",
        lambda: b"caff\0\1\0\0desc" + ((1 << 63) - 1).to_bytes(8, "big") + bytes(144),
    ),
    refused("video-only-ts", "the beginning of a transport stream", lambda: ffmpeg("mpegts", "aac")()[:564]),
]
"""Files; through a pipe they are refused too."""


def noise(n: int = 20_000) -> bytes:
    """Random bytes: refused as a file; a pipe may hold raw samples."""
    return np.random.default_rng(1).bytes(n)
