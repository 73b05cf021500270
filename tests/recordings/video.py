"""Video files: their first sound track, or the one that is asked for."""

from .encode import encoded
from .formats import SOUND
from .joined import OTHER
from .recording import Make, Recording, lossy, refused


def film(container: str, codec: str, *tracks: object) -> Make:
    """A picture track and sound tracks."""
    return lambda: encoded(container, codec, *tracks, video=True)  # type: ignore[arg-type]


ALL: list[Recording] = [
    lossy("mp4-video", "MP4 video", film("mp4", "aac", SOUND), SOUND),
    lossy("mov-video", "QuickTime video", film("mov", "aac", SOUND), SOUND),
    lossy("mkv-video", "Matroska video", film("matroska", "libopus", SOUND), SOUND),
    lossy("avi-video", "AVI video", film("avi", "libmp3lame", SOUND), SOUND),
    lossy("ts-video", "transport stream of video", film("mpegts", "aac", SOUND), SOUND),
    lossy("mp4-tracks", "MP4 video with two sound tracks, the first", film("mp4", "aac", SOUND, OTHER), SOUND),
    refused("mp4-no-sound", "MP4 video without sound", film("mp4", "aac")),
    refused("mkv-no-sound", "Matroska video without sound", film("matroska", "aac")),
]
SECOND_TRACK = {
    container: lossy(f"{container}-track-2", "the second sound track", film(container, "aac", SOUND, OTHER), OTHER)
    for container in ("mp4", "matroska", "mov", "mpegts")
}
"""With --track 2."""
