"""Text as it comes: whole characters, no control tokens; a folder without a tokenizer says so."""

import json
from pathlib import Path

import pytest
from committed import CHECKPOINT
from hypothesis import given
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from voxrun.errors import ConfigError
from voxrun.stream.tokenizer import TextDecoder, Tokenizer, harmless

FIRST_BYTE = 64  # after the control tokens come the 256 bytes
VOCABULARY = 1024


def tokens_of(text: str) -> list[int]:
    return [FIRST_BYTE + byte for byte in text.encode()]


@pytest.mark.parametrize("text", ["né", "€ 5", "日本語", "👍🏽"])
def test_characters_that_span_tokens_come_out_whole(tokenizer: Tokenizer, text: str) -> None:
    decoder = TextDecoder(tokenizer)
    pieces = [decoder.feed(token) for token in tokens_of(text)]
    assert "".join(pieces) == text
    assert {piece for piece in pieces if piece} == set(text)
    assert decoder.finish() == ""


def test_an_incomplete_character_is_marked(tokenizer: Tokenizer) -> None:
    decoder = TextDecoder(tokenizer)
    assert decoder.feed(tokens_of("€")[0]) == ""
    assert decoder.finish() == "\ufffd"


def test_control_tokens_are_silent_even_inside_a_character(tokenizer: Tokenizer) -> None:
    assert all(tokenizer.text_bytes(token) == b"" for token in range(FIRST_BYTE))
    decoder = TextDecoder(tokenizer)
    first, *rest = tokens_of("é")
    spoken = [first, tokenizer.pad, tokenizer.word, tokenizer.eos, *rest]
    assert "".join(map(decoder.feed, spoken)) == "é"


CONTROL = st.integers(0, FIRST_BYTE - 1)
SPOKEN = st.text(max_size=3).map(tokens_of)
BROKEN = st.lists(st.integers(FIRST_BYTE, VOCABULARY - 1), max_size=3)  # any bytes, and pieces of several


@given(text=st.text(max_size=20), data=st.data())
def test_any_text_survives_with_control_tokens_anywhere(
    tokenizer: Tokenizer, text: str, data: st.DataObject
) -> None:
    decoder, pieces = TextDecoder(tokenizer), []
    for token in tokens_of(text):
        silent = [decoder.feed(control) for control in data.draw(st.lists(CONTROL, max_size=2))]
        assert not any(silent)
        pieces.append(decoder.feed(token))
    assert "".join(pieces) == harmless(text)
    assert all(len(piece) <= 1 for piece in pieces)  # whole characters, each as soon as it is complete
    assert decoder.finish() == ""


@given(parts=st.lists(st.one_of(CONTROL.map(lambda token: [token]), SPOKEN, BROKEN), max_size=12))
def test_any_tokens_at_all_give_the_text_of_their_bytes(tokenizer: Tokenizer, parts: list[list[int]]) -> None:
    decoder = TextDecoder(tokenizer)
    tokens = [token for part in parts for token in part]
    said = "".join(map(decoder.feed, tokens)) + decoder.finish()
    spoken = [token for token in tokens if token >= FIRST_BYTE]
    assert said == harmless(b"".join(map(tokenizer.text_bytes, spoken)).decode("utf-8", errors="replace"))


def test_a_vocabulary_cannot_control_a_terminal(tokenizer: Tokenizer) -> None:
    decoder = TextDecoder(tokenizer)
    text = "a\x1b]0;title\x07\x9b2J\x7f\r\b\x00 b\tc\nd é \u200f"
    said = "".join(map(decoder.feed, tokens_of(text))) + decoder.finish()
    assert said == "a�]0;title��2J���� b\tc\nd é \u200f"


def test_streaming_settings_travel_with_the_vocabulary(tokenizer: Tokenizer) -> None:
    assert (tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.word) == (1, 2, 32, 33)
    assert tokenizer.n_left_pad == 32
    assert tokenizer.default_delay_ms == 480


def test_all_pieces_are_those_of_the_reference(tokenizer: Tokenizer) -> None:
    reference = Tekkenizer.from_file(CHECKPOINT / "tekken.json")
    assert reference.num_special_tokens == FIRST_BYTE
    for token in range(FIRST_BYTE, reference.n_words):
        assert tokenizer.text_bytes(token) == reference.id_to_byte_piece(token, SpecialTokenPolicy.IGNORE)
    assert (tokenizer.bos, tokenizer.eos) == (reference.bos_id, reference.eos_id)
    assert tokenizer.pad == reference.get_special_token("[STREAMING_PAD]")


def test_pieces_beyond_the_models_vocabulary_are_left_out(tmp_path: Path) -> None:
    """The upstream's file holds more than the model's 131,072, and in no order that is promised."""
    raw = json.loads((CHECKPOINT / "tekken.json").read_text(encoding="utf-8"))
    raw["vocab"] = [{"rank": 5000, "token_bytes": "IQ==", "token_str": "!"}, *reversed(raw["vocab"])]
    (tmp_path / "tekken.json").write_text(json.dumps(raw), encoding="utf-8")
    shuffled, plain = Tokenizer(tmp_path), Tokenizer(CHECKPOINT)
    assert all(shuffled.text_bytes(id) == plain.text_bytes(id) for id in range(1024))


def without_audio() -> str:
    tekken = json.loads((CHECKPOINT / "tekken.json").read_text(encoding="utf-8"))
    del tekken["audio"]
    return json.dumps(tekken)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", without_audio()], ids=lambda c: str(c)[:5])
def test_a_folder_without_a_streaming_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tekken.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tekken\.json: (no such|not a|the audio|Expecting|a JSON object|empty)"):
        Tokenizer(tmp_path)
