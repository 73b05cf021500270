"""What a transcription's form asks for: OpenAI's fields, and the delay.

`language`, `languages`, `prompt`, `keywords` and `chunking_strategy` are accepted and change nothing: the
model takes neither hints nor chunks. Unknown fields are ignored, as clients send those of other servers.
"""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile

from voxrun.serve.errors import Kind, RefusedError

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
STREAMED = ("json", "text", "verbose_json")
WORD, SEGMENT = GRANULARITIES = ("word", "segment")
LOGPROBS = "logprobs"
DELAY_FIELDS = ("delay_ms", "target_streaming_delay_ms")
YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
UNDETERMINED = "und"
"""The code of ISO 639 for a language that is not known; the model does not tell it."""


@dataclass(frozen=True)
class Wish:
    """A form's fields."""

    file: UploadFile
    format: str = "json"
    stream: bool = False
    """Whether the client wants events while the model writes."""
    words: bool = False
    segments: bool = True
    logprobs: bool = False
    language: str = UNDETERMINED
    """As the client says, who is told it again."""
    temperature: float = 0.0
    delay_ms: float | None = None
    delay_field: str = "delay_ms"
    """In which the client has sent it."""

    @property
    def name(self) -> str:
        """The recording's, for messages."""
        return self.file.filename or "the upload"

    @classmethod
    def of(cls, form: FormData) -> "Wish":
        """Raises RefusedError for a field that is missing, impossible, or does not fit the others."""
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise _wrong("the form has no recording: send it as the field 'file'", "file")
        granularities = _chosen(form, "timestamp_granularities", GRANULARITIES)
        delay_field, delay_ms = _delay(form)
        wish = cls(
            file=file,
            format=_format(form),
            stream=_flag(form, "stream"),
            words=WORD in granularities,
            segments=SEGMENT in granularities or not granularities,
            logprobs=LOGPROBS in _chosen(form, "include", (LOGPROBS,)),
            language=_text(form, "language") or UNDETERMINED,
            temperature=_number(form, "temperature") or 0.0,
            delay_ms=delay_ms,
            delay_field=delay_field,
        )
        _check_together(wish, bool(granularities))
        return wish


def _check_together(wish: Wish, timestamps: bool) -> None:
    if timestamps and wish.format != "verbose_json":
        raise _wrong(
            f"timestamp_granularities need response_format=verbose_json, not {wish.format}",
            "timestamp_granularities[]",
        )
    if wish.logprobs and wish.format != "json":
        raise _wrong(f"logprobs need response_format=json, not {wish.format}", "include[]")
    if wish.logprobs and wish.temperature:
        raise _wrong("logprobs need temperature=0: they are those of the likeliest tokens", "include[]")
    if wish.stream and wish.format not in STREAMED:
        raise _wrong(
            f"stream=true is possible with response_format {', '.join(STREAMED)}, not {wish.format}", "stream"
        )


def _format(form: FormData) -> str:
    format = _text(form, "response_format") or "json"
    if format == "diarized_json":
        raise _wrong("diarized_json is not possible: the model does not tell speakers", "response_format")
    if format not in FORMATS:
        raise _wrong(f"there is no response_format {format!r}; use {', '.join(FORMATS)}", "response_format")
    return format


def _delay(form: FormData) -> tuple[str, float | None]:
    """The field that has the delay, and the delay."""
    for name in DELAY_FIELDS:
        if (delay := _number(form, name)) is not None:
            return name, delay
    return DELAY_FIELDS[0], None


def _text(form: FormData, name: str) -> str:
    """A field without the blanks around it; empty if it is absent."""
    value: Any = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _number(form: FormData, name: str) -> float | None:
    if not (text := _text(form, name)):
        return None
    try:
        return float(text)
    except ValueError as error:
        raise _wrong(f"{name} is not a number: {text!r}", name) from error


def _flag(form: FormData, name: str) -> bool:
    text = _text(form, name).lower()
    if text and text not in (*YES, *NO):
        raise _wrong(f"{name} is true or false, not {text!r}", name)
    return text in YES


def _chosen(form: FormData, name: str, among: tuple[str, ...]) -> list[str]:
    """The values of a list, whose name clients write with brackets or without."""
    values = [value for key in (f"{name}[]", name) for value in form.getlist(key)]
    if wrong := [value for value in values if value not in among]:
        raise _wrong(f"{name} can be {' and '.join(among)}, not {wrong[0]!r}", f"{name}[]")
    return [str(value) for value in values]


def _wrong(message: str, param: str) -> RefusedError:
    return RefusedError(Kind.INVALID_REQUEST, message, param)
