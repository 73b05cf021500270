"""Token ids to text, as they come: control tokens are silent, a character may span tokens (step 11)."""

import binascii
import codecs
from pathlib import Path
from typing import Any

from .config import read_json
from .errors import ConfigError

TOKENIZER_FILE = "tekken.json"
CONTROL = ("<s>", "</s>", "[STREAMING_PAD]", "[STREAMING_WORD]")


class Tokenizer:
    """The tekken vocabulary, and the streaming settings that travel with it.

    Read here rather than by mistral-common's Tekkenizer, which prepares for encoding text too: that takes
    over a second for the upstream's vocabulary, this a tenth of it. A test holds the two together.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError if tekken.json is absent, or no streaming tokenizer."""
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
        raw = read_json(path)
        audio = raw.get("audio")
        try:
            self._first_text = int(raw["config"]["default_num_special_tokens"])
            self._pieces = _pieces(raw, int(raw["config"]["default_vocab_size"]) - self._first_text)
            ids = {token["token_str"]: int(token["rank"]) for token in raw["special_tokens"]}
            self.bos, self.eos, self.pad, self.word = (ids[name] for name in CONTROL)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: not a streaming tekken tokenizer ({error!r})") from error
        try:
            self.n_left_pad = int(audio["streaming_n_left_pad_tokens"])  # type: ignore[index]
            self.default_delay_ms = float(audio["transcription_delay_ms"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: the audio section has no streaming settings") from error

    @property
    def size(self) -> int:
        """Tokens, control tokens too."""
        return self._first_text + len(self._pieces)

    def is_text(self, token: int) -> bool:
        """Whether it stands for text; the others control the stream."""
        return token >= self._first_text

    def text_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of a token; none for control tokens."""
        if not self.is_text(token):
            return b""
        return binascii.a2b_base64(self._pieces[token - self._first_text])


def _pieces(raw: dict[str, Any], n: int) -> list[str]:
    """The n first pieces by rank, in base64. Files hold more than the model knows."""
    ranked = sorted(raw["vocab"], key=lambda entry: int(entry["rank"]))
    return [str(entry["token_bytes"]) for entry in ranked[:n]]


class TextDecoder:
    """Bytes of successive tokens to text: characters come out whole, broken ones as U+FFFD."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The text that this token completes."""
        return self._utf8.decode(self._tokenizer.text_bytes(token))

    def finish(self) -> str:
        """What is left of a character that never came whole."""
        return self._utf8.decode(b"", final=True)
