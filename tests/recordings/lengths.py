"""Recordings whose headers know no length, or a wrong one; nothing of them is missing."""

import struct

import numpy as np

from .encode import encoded
from .formats import SOUND, ffmpeg, libsndfile
from .joined import flac
from .mpeg import ABR, VBR, bare, mp3, with_frame_count, with_vbri
from .recording import Make, Recording, exact, lossy
from .riff import FLOAT, chunk, form, pcm16, rf64, rifx, wav

DATA = pcm16(SOUND)
N = len(DATA)
LIST = chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 14) + b"Lavf61.7.100\0\0")


def replaced(make: Make, old: bytes, new: bytes, skip: int = 0) -> Make:
    """What follows `old` by `skip` bytes becomes `new`."""

    def changed() -> bytes:
        data = make()
        at = data.index(old) + len(old) + skip
        return data[:at] + new + data[at + len(new) :]

    return changed


def wav_size(name: str, about: str, size: int) -> Recording:
    """A WAV that claims to hold so many bytes."""
    return exact(f"wav-size-{name}", f"WAV that claims {about}", lambda: wav(DATA, size=size), SOUND)


def flac_total(total: int) -> Make:
    """A FLAC whose STREAMINFO claims so many samples; 36 bits from byte 21 on."""

    def changed() -> bytes:
        data = bytearray(flac(SOUND))
        data[21] = data[21] & 0xF0 | total >> 32
        data[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
        return bytes(data)

    return changed


WAV = [
    wav_size("0", "0 bytes: a recorder that crashed", 0),
    wav_size("ffffffff", "0xFFFFFFFF bytes: ffmpeg into a pipe", 0xFFFFFFFF),
    wav_size("7fffffff", "0x7FFFFFFF bytes: sox into a pipe", 0x7FFFFFFF),
    wav_size("80000000", "0x80000000 bytes: arecord", 0x80000000),
    wav_size("7ffff000", "0x7FFFF000 bytes: sox", 0x7FFFF000),
    exact(
        "wav-riff-0", "WAV of RIFF length and data length 0", lambda: wav(DATA, size=0, riff_size=0), SOUND
    ),
    exact("wav-riff-wrong", "WAV of RIFF length 36", lambda: wav(DATA, riff_size=36), SOUND),
    exact(
        "wav-half", "a header renewed before the end: half its length", lambda: wav(DATA, size=N // 2), SOUND
    ),
    exact("wav-list-after", "WAV with LIST behind the samples", lambda: wav(DATA, after=LIST), SOUND),
    exact("wav-list-before", "WAV with LIST before the samples", lambda: wav(DATA, before=LIST), SOUND),
    exact(
        "wav-odd-chunks",
        "WAV with chunks of odd lengths, bext, iXML, cue",
        lambda: wav(
            DATA,
            before=chunk(b"bext", bytes(603))
            + chunk(b"iXML", b"<x/>" * 1001 + b"!")
            + chunk(b"JUNK", bytes(4001)),
            after=chunk(b"cue ", bytes(29)) + chunk(b"id3 ", bytes(999)),
        ),
        SOUND,
    ),
    exact(
        "wav-list-bomb",
        "WAV with a LIST that claims 2 GB, behind the samples",
        lambda: wav(
            DATA, after=chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 0x7FFFFFF0) + b"abc\0", 0x7FFFFFFE)
        ),
        SOUND,
    ),
    exact(
        "wav-renewed",
        "a header renewed before the end: half its length, and that of the RIFF too",
        lambda: wav(DATA[: N // 2]) + DATA[N // 2 :],
        SOUND,
    ),
    exact(
        "wav-double-renewed",
        "such a header of doubles",
        lambda: (lambda data: wav(data[: N * 2], fmt=form(FLOAT, bits=64)) + data[N * 2 :])(
            SOUND.astype("<f8").tobytes()
        ),
        SOUND,
    ),
    exact("wav-zeros-behind", "WAV with 4,096 zeros behind", lambda: wav(DATA) + bytes(4096), SOUND),
    exact(
        "wav-junk-behind",
        "WAV with 200 kB of random bytes behind",
        lambda: wav(DATA) + np.random.default_rng(1).bytes(200_000),
        SOUND,
    ),
    lossy(
        "wav-odd-byte", "WAV with half a sample at the end", lambda: wav(DATA + b"\1", size=0), SOUND, 0.0001
    ),
    exact("rf64-0", "RF64 that claims 0 bytes", lambda: rf64(DATA, 0), SOUND),
    exact("rf64-ffff", "RF64 that claims 2^64 - 1 bytes", lambda: rf64(DATA, 2**64 - 1), SOUND),
    exact("rifx-0", "RIFX that claims 0 bytes", replaced(lambda: rifx(SOUND), b"data", bytes(4)), SOUND),
    exact(
        "w64-0",
        "Wave64 that claims an empty data chunk",
        replaced(
            libsndfile("W64", "PCM_16"),
            b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
            struct.pack("<Q", 24),
        ),
        SOUND,
    ),
    exact("wav-pipe", "WAV as FFmpeg writes it into a pipe", ffmpeg("wav", "pcm_s16le", pipe=True), SOUND),
]
OTHERS = [
    exact(
        "au-ffffffff",
        "AU of unknown length",
        replaced(libsndfile("AU", "PCM_16"), b".snd", b"\xff" * 4, 4),
        SOUND,
    ),
    exact(
        "caf-unknown",
        "CAF of unknown length",
        replaced(libsndfile("CAF", "PCM_16"), b"data", b"\xff" * 8),
        SOUND,
    ),
    exact(
        "aiff-0",
        "AIFF that claims no samples: a crash",
        replaced(replaced(libsndfile("AIFF", "PCM_16"), b"COMM", bytes(4), 6), b"SSND", struct.pack(">I", 8)),
        SOUND,
    ),
    exact(
        "aiff-7f000000",
        "AIFF that claims 0x7F000000 bytes: sox into a pipe",
        replaced(
            replaced(libsndfile("AIFF", "PCM_16"), b"COMM", struct.pack(">I", 0x7F000000 // 2), 6),
            b"SSND",
            struct.pack(">I", 0x7F000008),
        ),
        SOUND,
    ),
    exact("flac-pipe", "FLAC of unknown length", lambda: flac(SOUND, pipe=True), SOUND),
    exact("flac-half", "FLAC that claims half its samples", flac_total(len(SOUND) // 2), SOUND),
    lossy("mp3-vbr-bare", "VBR MP3 without Xing", lambda: bare(SOUND, VBR), SOUND),
    lossy("mp3-abr-bare", "ABR MP3 without Xing", lambda: bare(SOUND, ABR), SOUND),
    lossy("mp3-bare", "CBR MP3 without Xing", lambda: bare(SOUND), SOUND),
    lossy("mp3-pipe", "VBR MP3 written into a pipe", lambda: mp3(SOUND, options=VBR, pipe=True), SOUND),
    lossy("mp3-vbri", "VBR MP3 with VBRI", lambda: with_vbri(bare(SOUND, VBR), 59), SOUND, 0.2),
    lossy(
        "mp3-vbri-wrong",
        "VBR MP3 with VBRI of 20 times the frames",
        lambda: with_vbri(bare(SOUND, VBR), 1200),
        SOUND,
        0.2,
    ),
    lossy(
        "mp3-xing-half",
        "MP3 whose Xing has half the frames",
        lambda: with_frame_count(mp3(SOUND), 0.5),
        SOUND,
    ),
    lossy(
        "mp3-xing-double",
        "MP3 whose Xing has twice the frames",
        lambda: with_frame_count(mp3(SOUND), 2),
        SOUND,
    ),
    lossy("mp3-xing-0", "MP3 whose Xing has no frames", lambda: with_frame_count(mp3(SOUND), 0), SOUND),
    lossy(
        "ts-late",
        "a transport stream whose clock begins at 10 hours",
        ffmpeg("mpegts", "aac", muxer={"output_ts_offset": "36000"}),
        SOUND,
    ),
    lossy("ogg-late", "Ogg from the middle of a live stream", lambda: late_ogg(), SOUND, 0.1),
    lossy(
        "mkv-late",
        "Matroska from the middle of a live stream",
        ffmpeg("matroska", "aac", pipe=True, muxer={"output_ts_offset": "36000"}),
        SOUND,
    ),
    lossy(
        "flv-late",
        "Flash video from the middle of a live stream",
        ffmpeg("flv", "aac", pipe=True, muxer={"output_ts_offset": "3600"}),
        SOUND,
    ),
]


def late_ogg() -> bytes:
    """A stream that was joined an hour after its beginning: its granules say so."""
    return encoded("ogg", "libopus", SOUND, muxer={"output_ts_offset": "3600"})


ALL = WAV + OTHERS
