"""Tags, covers and junk in front of the sound and behind it: nothing may be told as lost."""

from .encode import encoded
from .formats import SOUND, ffmpeg
from .joined import flac
from .mpeg import ape, bare, id3v1, id3v2, lyrics, mp3
from .recording import exact, lossy
from .riff import pcm16, wav

COVER = 1 << 20


def flac_with_picture(size: int) -> bytes:
    """A PICTURE block of so many bytes behind STREAMINFO."""
    data = flac(SOUND)
    at = 4 + 4 + 34
    block = bytes([6]) + size.to_bytes(3, "big") + bytes(size)
    return data[:at] + block + data[at:]


def comment_ogg() -> bytes:
    """Comments of 200 kB, as a cover in Base64 makes them."""
    return encoded("ogg", "libopus", SOUND, metadata={"METADATA_BLOCK_PICTURE": "A" * 200_000})


ALL = [
    lossy("mp3-id3v1", "MP3 with ID3v1 behind", lambda: mp3(SOUND) + id3v1(), SOUND),
    lossy("mp3-cover", "MP3 with a cover of 1 MB in front", lambda: id3v2(COVER) + bare(SOUND), SOUND),
    lossy(
        "mp3-padding",
        "MP3 with a tag of 2 MB of zeros in front",
        lambda: id3v2(2 * COVER, False) + bare(SOUND),
        SOUND,
    ),
    lossy("mp3-ape", "MP3 with an APE tag behind", lambda: mp3(SOUND) + ape(), SOUND),
    lossy("mp3-ape-front", "MP3 with an APE tag in front", lambda: ape() + bare(SOUND), SOUND),
    lossy(
        "mp3-lyrics",
        "MP3 with lyrics, APE and ID3v1 behind",
        lambda: bare(SOUND) + ape() + lyrics() + id3v1(),
        SOUND,
    ),
    lossy("mp3-id3v2-behind", "MP3 with a cover of 1 MB behind", lambda: bare(SOUND) + id3v2(COVER), SOUND),
    lossy(
        "mp3-two-tags", "MP3 with two ID3v2 in front", lambda: id3v2(5000) + id3v2(7000) + mp3(SOUND), SOUND
    ),
    lossy("mp3-latin", "MP3 with tags in Latin-1, not UTF-8", lambda: latin() + mp3(SOUND), SOUND),
    lossy(
        "mp3-junk-front",
        "MP3 with 1,000 bytes of junk in front",
        lambda: bytes(range(250)) * 4 + bare(SOUND),
        SOUND,
    ),
    lossy("mp3-zeros-behind", "MP3 with 50,000 zeros behind", lambda: mp3(SOUND) + bytes(50_000), SOUND),
    lossy("aac-id3v2", "AAC with ID3v2 in front", lambda: id3v2(5000) + encoded("adts", "aac", SOUND), SOUND),
    lossy("aac-id3v1", "AAC with ID3v1 behind", lambda: encoded("adts", "aac", SOUND) + id3v1(), SOUND),
    exact(
        "flac-tags",
        "FLAC with ID3v2 in front, ID3v1 behind",
        lambda: id3v2(100_000) + flac(SOUND) + id3v1(),
        SOUND,
    ),
    lossy("m4a-id3v2", "M4A with ID3v2 in front", lambda: id3v2(5000) + ffmpeg("ipod", "aac")(), SOUND),
    exact(
        "aiff-id3v2", "AIFF with ID3v2 in front", lambda: id3v2(5000) + ffmpeg("aiff", "pcm_s16be")(), SOUND
    ),
    exact("caf-id3v2", "CAF with ID3v2 in front", lambda: id3v2(5000) + ffmpeg("caf", "pcm_s16le")(), SOUND),
    exact("avi-id3v2", "AVI with ID3v2 in front", lambda: id3v2(5000) + ffmpeg("avi", "pcm_s16le")(), SOUND),
    exact(
        "wavpack-id3v2",
        "WavPack with ID3v2 in front",
        lambda: id3v2(5000) + ffmpeg("wv", "wavpack", form="s16p")(),
        SOUND,
    ),
    exact("flac-picture", "FLAC with a picture of 1 MB", lambda: flac_with_picture(COVER), SOUND),
    exact("flac-zeros-behind", "FLAC with 4,096 zeros behind", lambda: flac(SOUND) + bytes(4096), SOUND),
    exact("wav-id3v2", "WAV with ID3v2 in front", lambda: id3v2(5000) + wav(pcm16(SOUND)), SOUND),
    exact("wav-id3v1", "WAV with ID3v1 behind", lambda: wav(pcm16(SOUND)) + id3v1(), SOUND),
    exact(
        "aiff-zeros-behind",
        "AIFF with 4,096 zeros behind",
        lambda: ffmpeg("aiff", "pcm_s16be")() + bytes(4096),
        SOUND,
    ),
    lossy("opus-comments", "Ogg Opus with 200 kB of comments", comment_ogg, SOUND, 0.001),
    lossy(
        "opus-zeros-behind",
        "Ogg Opus with 4,096 zeros behind",
        lambda: ffmpeg("ogg", "libopus")() + bytes(4096),
        SOUND,
        0.001,
    ),
    lossy(
        "m4a-zeros-behind",
        "M4A with 4,096 zeros behind",
        lambda: ffmpeg("ipod", "aac")() + bytes(4096),
        SOUND,
    ),
    lossy(
        "webm-zeros-behind",
        "WebM with 4,096 zeros behind",
        lambda: ffmpeg("webm", "libopus")() + bytes(4096),
        SOUND,
        0.02,
    ),
]


def latin() -> bytes:
    """A title that is called UTF-8 and is not."""
    return b"ID3\4\0\0\0\0\0\x14TIT2\0\0\0\x0a\0\0\3caf\xe9 \xfc\xff\xf0\xe1"
