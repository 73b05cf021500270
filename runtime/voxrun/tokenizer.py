"""Token ids to text, as they come: control tokens are silent, a character may span tokens (step 11)."""

import codecs
from pathlib import Path

from mistral_common.exceptions import TokenizerException
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from .errors import ConfigError

TOKENIZER_FILE = "tekken.json"


class Tokenizer:
    """The tekken vocabulary, and the streaming settings that travel with it."""

    def __init__(self, folder: Path) -> None:
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
        try:
            self._tekken = Tekkenizer.from_file(path)
            self.pad = self._tekken.get_special_token("[STREAMING_PAD]")
            self.word = self._tekken.get_special_token("[STREAMING_WORD]")
        except (OSError, ValueError, KeyError, TypeError, TokenizerException) as error:
            raise ConfigError(f"{path}: not a streaming tekken tokenizer ({error})") from error
        audio = self._tekken.audio
        if audio is None or not audio.is_streaming:
            raise ConfigError(f"{path}: the audio section has no streaming settings")
        self.bos = self._tekken.bos_id
        self.eos = self._tekken.eos_id
        self.n_left_pad = int(audio.streaming_n_left_pad_tokens or 0)
        self.default_delay_ms = float(audio.transcription_delay_ms or 0)

    def is_text(self, token: int) -> bool:
        """Whether it stands for text; the others control the stream."""
        return token >= self._tekken.num_special_tokens

    def text_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of a token; none for control tokens."""
        if not self.is_text(token):
            return b""
        return self._tekken.id_to_byte_piece(token, SpecialTokenPolicy.IGNORE)  # type: ignore[arg-type]


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
