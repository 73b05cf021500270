"""No recording makes another file be read or the network be used; what nothing knows is said to be raw."""

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ears import Ears
from likeness import likeness
from recordings.boxes import referring
from recordings.encode import encoded
from recordings.formats import SOUND
from recordings.not_sound import noise
from recordings.riff import pcm16, wav
from recordings.sounds import digits

from voxrun.audio.choice import Choice, Raw
from voxrun.audio.opened import open_audio
from voxrun.transcriber import Transcriber

pytestmark = pytest.mark.slow
M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n"
MPD = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet
mimeType="audio/mp4"><Representation id="a" bandwidth="1000" mimeType="audio/mp4"><BaseURL>{url}</BaseURL>
<SegmentBase indexRange="0-9"/></Representation></AdaptationSet></Period></MPD>"""
PLAYLISTS = {
    "m3u8": M3U8,
    "m3u": "#EXTM3U\n#EXTINF:2,a\n{url}\n",
    "ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "xspf": '<?xml version="1.0"?><playlist><trackList><track><location>{url}</location></track></trackList></playlist>',
    "asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "mpd": MPD,
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{url}\nm=audio 5004 RTP/AVP 0\n",
    "ism": '<?xml version="1.0"?><SmoothStreamingMedia Duration="2"><StreamIndex Url="{url}"/></SmoothStreamingMedia>',
    "f4m": '<?xml version="1.0"?><manifest xmlns="http://ns.adobe.com/f4m/1.0"><media url="{url}"/></manifest>',
    "rtsp": "RTSPtext\nrtsp://{url}\n",
    "smil": '<smil><body><audio src="{url}"/></body></smil>',
}


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], transcriber: Transcriber) -> Ears:
    return Ears(monkeypatch, capsys, transcriber)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Waits for connections that must not come."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def is_called(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_nothing(ears: Ears, server: socket.socket, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.wav").write_bytes(wav(pcm16(SOUND)))
    host = f"http://127.0.0.1:{server.getsockname()[1]}/secret.wav"
    for url in ("secret.wav", str(tmp_path / "secret.wav"), f"file:{tmp_path}/secret.wav", host):
        text = PLAYLISTS[kind].format(url=url)
        (tmp_path / f"list.{kind}").write_text(text, encoding="utf-8")
        for heard in (ears.file(tmp_path / f"list.{kind}"), ears.pipe(text.encode())):
            assert (heard.code, heard.seconds) == (2, 0), heard.said
            assert heard.said.count("\n") == 1
    assert not is_called(server)


def test_a_movie_whose_sound_is_in_another_file_opens_nothing(ears: Ears, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(bytes(1000) + pcm16(SOUND) * 2)
    movie = referring(encoded("mov", "pcm_s16le", digits()[: len(SOUND)]), str(secret))
    (tmp_path / "movie.mov").write_bytes(movie)
    for heard in (ears.file(tmp_path / "movie.mov"), ears.pipe(movie)):
        assert not heard.text or likeness(heard.samples, SOUND) < 0.5


def test_what_nothing_knows_is_refused_as_a_file_and_said_to_be_raw_in_a_pipe(ears: Ears, tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(noise())
    refused = ears.file(tmp_path / "noise.bin")
    assert (refused.code, refused.seconds) == (2, 0)
    quiet = pcm16(SOUND)
    heard = ears.pipe(quiet)
    assert heard.code == 0
    assert heard.seconds == len(SOUND) / 16000
    assert "raw" in heard.said and "--raw" in heard.said


def test_raw_samples_that_are_asked_for_are_heard_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    source = open_audio(pcm16(SOUND), 16000, choice=Choice(raw=Raw.parse("s16le:16000")))
    assert np.array_equal(np.concatenate(list(source)), SOUND)
    assert caplog.text == ""
