"""Token ids to text: control tokens have none, a character may span tokens (contract step 11)."""

import binascii
import codecs
import re
from pathlib import Path
from typing import Any

from voxrun.checkpoint.layout import TOKENIZER_FILE
from voxrun.errors import ConfigError
from voxrun.files.objects import read_member
from voxrun.messages import shown

CONTROL = ("<s>", "</s>", "[STREAMING_PAD]", "[STREAMING_WORD]")
MAX_BYTES = 64 * 2**20
"""Size limit of tekken.json; the upstream's has 15 MB."""
MAX_TOKENS = 2**20
MAX_CONTROL = 2**16
PIECE = re.compile("(?:[A-Za-z0-9+/]{4}){0,340}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""Base64 of at most a kilobyte; the upstream's longest token has 78 bytes."""
MAX_LEFT_PAD = 256
"""Positions of silence before the audio; the upstream has 32."""
MAX_DELAY_MS = 60_000
CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}, "\ufffd")


class Tokenizer:
    """The tekken vocabulary, and the streaming settings in the same file.

    mistral-common's Tekkenizer also prepares for encoding, which takes over a second for the upstream's
    vocabulary; this reader takes a few tenths. A test compares the two.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError if tekken.json is missing, or not a streaming tokenizer."""
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
        raw = read_member(folder, TOKENIZER_FILE, MAX_BYTES)
        try:
            config = _section(raw, "config")
            self._first_text: int = _number(config, "default_num_special_tokens", MAX_CONTROL)
            size = _number(config, "default_vocab_size", MAX_TOKENS)
            self._pieces = _pieces(raw, size - self._first_text)
            self.bos, self.eos, self.pad, self.word = _control(raw, self._first_text)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: not a streaming tekken tokenizer ({_reason(error)})") from error
        try:
            audio = _section(raw, "audio")
            self.n_left_pad = _number(audio, "streaming_n_left_pad_tokens", MAX_LEFT_PAD)
            self.default_delay_ms = float(
                _number(audio, "transcription_delay_ms", MAX_DELAY_MS, (int, float))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: the audio section has no streaming settings ({_reason(error)})"
            ) from error

    @property
    def size(self) -> int:
        """Number of tokens, control tokens included."""
        return self._first_text + len(self._pieces)

    def is_text(self, token: int) -> bool:
        """Whether a token stands for text; the others control the stream."""
        return token >= self._first_text

    def text_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of a token; empty for control tokens."""
        if not self.is_text(token):
            return b""
        return binascii.a2b_base64(self._pieces[token - self._first_text])


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(raw[name], dict):
        raise TypeError(f"{name} is no object")
    return dict(raw[name])


def _number(section: dict[str, Any], key: str, most: int, kinds: tuple[type, ...] = (int,)) -> Any:
    value = section[key]
    if type(value) not in kinds or not 0 < value <= most:
        raise ValueError(f"{key} is {shown(value)}, where 1 to {most} belong")
    return value


def _pieces(raw: dict[str, Any], n: int) -> list[str]:
    """The tokens of ranks 0 to n - 1, in base64; files have more than the model uses."""
    pieces = {entry["rank"]: entry["token_bytes"] for entry in raw["vocab"]}
    if len(pieces) != len(raw["vocab"]) or any(type(rank) is not int for rank in pieces):
        raise ValueError("a rank of the vocabulary is there twice, or is no number")
    if n < 1 or not pieces.keys() >= set(range(n)):
        raise ValueError(f"the vocabulary does not have the {n} tokens that it should have")
    ranked = [pieces[rank] for rank in range(n)]
    if not all(map(PIECE.fullmatch, ranked)):
        invalid = next(piece for piece in ranked if not PIECE.fullmatch(piece))
        raise ValueError(f"{shown(invalid)} is not the base64 of a token's bytes")
    return ranked


def _control(raw: dict[str, Any], n: int) -> list[int]:
    """The ids of the CONTROL tokens among the first n."""
    ids = [(token["token_str"], token["rank"]) for token in raw["special_tokens"]]
    known = {name: rank for name, rank in ids if name in CONTROL and type(rank) is int and 0 <= rank < n}
    if sum(name in CONTROL for name, _ in ids) != len(CONTROL) or len(set(known.values())) != len(CONTROL):
        raise ValueError(f"{', '.join(CONTROL)} are not there once each, with ids of their own below {n}")
    return [known[name] for name in CONTROL]


def _reason(error: Exception) -> str:
    return f"the key {error} is missing" if isinstance(error, KeyError) else str(error)


def harmless(text: str) -> str:
    """Text with its control characters (Unicode's Cc), except tab and line feed, as U+FFFD."""
    return text.translate(CONTROLS)


class TextDecoder:
    """Bytes of successive tokens to whole characters; invalid ones become U+FFFD.

    So do control characters except tab and line feed: a vocabulary must not be able to control a terminal.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The text that is complete with this token."""
        return harmless(self._utf8.decode(self._tokenizer.text_bytes(token)))

    def finish(self) -> str:
        """The replacement of a character that was never completed."""
        return self._utf8.decode(b"", final=True)
