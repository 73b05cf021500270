"""voxmlx-serve's protocol, and the messages of localvoxtral, a dictation app for it and for vLLM."""

import numpy as np
import pytest
from served import Served
from talk import CLIP, OTHER, Talk, heard, talking, told, worded

APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"
TICK = 1600
"""Samples: localvoxtral sends its audio every 0.1 s."""
DONE = ("transcription.done", "response.audio_transcript.done")
"""localvoxtral takes either for the end."""


def dictate(talk: Talk, samples: np.ndarray, commit_every: int) -> dict:
    """What localvoxtral sends for one dictation, and what it takes for the final text.

    It updates the session at session.created, commits from time to time while no text is being generated, and
    when the user stops, with `final`, and waits for the end.
    """
    talk.say("session.update", model="voxtral")
    generating = False
    for number, start in enumerate(range(0, len(samples), TICK)):
        talk.say_audio(APPEND, samples[start : start + TICK], TICK)
        if number % commit_every == 0 and not generating:
            talk.say(COMMIT)
            generating = True
    talk.say(COMMIT, final=True)
    while (event := talk.hear())["type"] not in DONE:
        assert event["type"] != "error"
    return event


@pytest.mark.parametrize("address", ["/v1/realtime", "/v1/realtime?dialect=voxmlx"])
def test_localvoxtral_dictates_over_one_socket(server: Served, address: str) -> None:
    with talking(server.ws + address) as talk:
        for clip in (CLIP, OTHER):
            event = dictate(talk, heard(clip), commit_every=9)
            assert event["text"] == server.transcriber.transcribe(clip).text


def test_deltas_have_words_and_a_clear_begins_again(server: Served) -> None:
    with talking(f"{server.ws}/v1/realtime?dialect=voxmlx") as talk:
        talk.say_audio(APPEND, heard(OTHER))
        talk.say("input_audio_buffer.clear")
        talk.hear_until("input_audio_buffer.cleared")
        talk.say_audio(APPEND, heard())
        talk.say(COMMIT, final=True)
        *deltas, last = talk.hear_until("response.audio_transcript.done")
        expected = server.transcriber.transcribe(CLIP)
        assert last["text"] == "".join(delta["delta"] for delta in deltas).strip() == expected.text
        assert told([last]) == told(deltas) == worded(expected.words)


@pytest.mark.parametrize("message", ["{", '{"type": "dance"}', f'{{"type": "{APPEND}", "audio": "AA=="}}'])
def test_an_error_has_a_message_and_the_socket_stays(server: Served, message: str) -> None:
    with talking(f"{server.ws}/v1/realtime?dialect=voxmlx") as talk:
        for _ in range(2):
            talk.socket.send(message)
            event = talk.hear()
            assert event["type"] == "error"
            assert event["message"]
        talk.say("session.update", session={"input_audio_format": "pcm16"})
        assert talk.hear() == {"type": "session.updated"}
        talk.say(APPEND, audio="")  # as no audio
        talk.say(COMMIT, final=True)
        assert talk.hear()["text"] == ""
