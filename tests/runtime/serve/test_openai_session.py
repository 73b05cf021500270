"""Whatever a client puts into an update is taken, or refused with the field that is to blame."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from voxrun.serve.errors import RefusedError
from voxrun.serve.protocols.openai_session import BETA_FORMATS, DELAYS, EAGERNESS, FORMATS, LOGPROBS, Choices

WORDS = ["", "\ud800", "transcription", "server_vad", "semantic_vad", LOGPROBS]
NUMBERS = [True, 0, 1.5, -1, 1e400, float("nan"), 10**30, 24000, 500]
LEAVES = st.sampled_from([None, *WORDS, *NUMBERS, *FORMATS, *BETA_FORMATS, *DELAYS, *EAGERNESS])
NAMES = st.sampled_from(
    [
        "audio",
        "input",
        "format",
        "type",
        "rate",
        "transcription",
        "model",
        "delay",
        "turn_detection",
        "include",
        "silence_duration_ms",
        "prefix_padding_ms",
        "eagerness",
        "input_audio_format",
        "input_audio_transcription",
        "noise_reduction",
        "temperature",
        "target_streaming_delay_ms",
    ]
)
ANYTHING = st.recursive(
    LEAVES, lambda each: st.one_of(st.lists(each), st.dictionaries(NAMES, each)), max_leaves=8
)
KNOWN: Any = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("transcription"),
        "include": ANYTHING,
        "temperature": LEAVES,
        "input_audio_format": LEAVES,
        "audio": st.fixed_dictionaries(
            {
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": st.dictionaries(NAMES, LEAVES),
                        "transcription": st.dictionaries(NAMES, LEAVES),
                        "turn_detection": st.dictionaries(NAMES, LEAVES) | ANYTHING,
                    },
                )
            }
        ),
    },
)


@settings(max_examples=500)
@given(session=KNOWN | ANYTHING)
def test_an_update_is_taken_or_refused(session: Any) -> None:
    before = Choices(model="tiny")
    try:
        after = before.updated(session)
    except RefusedError as refusal:
        assert refusal.param is not None and refusal.param.startswith("session")
        assert str(refusal)
    else:
        again = after.updated({"type": "transcription", **after.shown()})
        assert again == after, "what is shown can be sent back"
        assert after.updated(after.shown_to_beta()).format == after.format
        json.dumps(after.shown())
        assert after.pause is None or after.pause.after_word <= 60
