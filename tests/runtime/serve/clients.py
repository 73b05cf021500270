"""The table of clients in docs/clients.md: which tests speak to the server as which program does.

`pytest tests/runtime/serve --write-clients` runs them and writes it again.
"""

import importlib.metadata
from collections import Counter
from dataclasses import dataclass

from committed import ROOT

DOCUMENT = ROOT / "docs" / "clients.md"
HEAD = """\
# Clients of the server

Written by `pytest tests/runtime/serve --write-clients`, which runs the named tests in `tests/runtime/serve/`
against a server with tiny. "Genuine" is the program itself, unpatched, in this version; "replayed" are its
requests or messages, as read in its source. Every transcript is compared with that of `voxrun` for the same
clip. How each is set up: [serving.md](serving.md).

| client | how | speaks | what was seen working | tests |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Client:
    """A program, and the tests that are or speak as it does."""

    name: str
    speaks: str
    works: str
    tests: tuple[str, ...]
    """Files, or functions in files as pytest names them."""
    package: str | None = None
    """On PyPI, of a genuine one from there."""
    is_genuine: bool = False
    """Whether it is the program itself, from elsewhere."""

    @property
    def how(self) -> str:
        """Whether it is the program itself, and which version."""
        if self.package:
            return f"genuine {importlib.metadata.version(self.package)}"
        return "genuine" if self.is_genuine else "replayed"


REPLAYED, VLLM = "test_recording_clients.py::test_", "test_vllm.py::test_"
CLIENTS = (
    Client(
        "`openai`, recordings",
        "OpenAI's transcriptions",
        "json, text, srt, vtt, verbose_json, words, segments, log probabilities, events, errors; async, too",
        ("test_openai_recordings.py",),
        "openai",
    ),
    Client(
        "`openai`, realtime",
        "OpenAI's transcription sessions",
        "server_vad, semantic_vad and commits; words, items, usage",
        ("test_realtime_clients.py::test_the_library_of_openai",),
        "openai",
    ),
    Client(
        "LiveKit's plugin for OpenAI",
        "OpenAI's transcription sessions",
        "interim and final transcripts of turns",
        ("test_realtime_clients.py::test_livekits_plugin",),
        "livekit-plugins-openai",
    ),
    Client(
        "`mistralai`",
        "Mistral's realtime",
        "six encodings, delays, draft and final over two connections, turns, segments, words, usage, errors",
        (
            "test_mistral.py::test_the_genuine_client_has_the_text_of_a_file",
            "test_mistral.py::test_a_draft_and_a_final_over_two_connections",
            "test_mistral.py::test_the_genuine_client_is_told_of_an_impossible_delay",
            "test_mistral.py::test_a_server_that_is_full_says_so",
        ),
        "mistralai",
    ),
    Client(
        "LiveKit's plugin for Mistral",
        "Mistral's realtime",
        "a final transcript for each turn",
        ("test_agents.py::test_livekit_has_a_final_transcript_for_each_turn",),
        "livekit-plugins-mistralai",
    ),
    Client(
        "`websockets`, in the order that vLLM documents",
        "vLLM's realtime",
        "several utterances on one socket, words, segments, delay, usage",
        (
            f"{VLLM}a_clip_has_the_text_and_the_words_that_a_file_has",
            f"{VLLM}other_orders_give_the_same_text",
        ),
        "websockets",
    ),
    Client(
        "localvoxtral",
        "vLLM's, voxmlx's and mlx-audio's realtime",
        "dictations on one socket, a text after each silence",
        (
            "test_voxmlx.py::test_localvoxtral_dictates_over_one_socket",
            "test_mlx_audio.py::test_localvoxtral_dictates_and_has_a_text_after_each_silence",
        ),
    ),
    Client(
        "curl",
        "OpenAI's and whisper.cpp's HTTP",
        "the lines of serving.md",
        (f"{REPLAYED}curl",),
        is_genuine=True,
    ),
    Client(
        "Home Assistant (`ha-openai-whisper-stt-api`)",
        "OpenAI's transcriptions",
        "its requests",
        (f"{REPLAYED}home_assistants_openai_stt",),
    ),
    Client(
        "Home Assistant (`wyoming_openai`)",
        "OpenAI's transcriptions",
        "transcripts, also as events",
        (f"{REPLAYED}wyoming_openai",),
    ),
    Client(
        "whisper.cpp's clients",
        "`/inference`",
        "json, text, srt, verbose_json",
        (f"{REPLAYED}whisper_cpps_clients",),
    ),
    Client(
        "Chromium",
        "the page: Mistral's realtime and OpenAI's transcriptions",
        "microphone, files, drafts, keyboard, phone, saved documents, errors",
        ("test_page.py",),
        is_genuine=True,
    ),
)


def table(outcomes: dict[str, str]) -> str:
    """The document, for the outcomes of tests by name. Raises ValueError if one is missing."""
    rows = [(each.name, each.how, each.speaks, each.works, _counted(each, outcomes)) for each in CLIENTS]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def belongs(test: str, to: str) -> bool:
    """Whether a test, as pytest names it, is one of a file's or of a function's."""
    return test == to or test.startswith((f"{to}::", f"{to}["))


def _counted(client: Client, outcomes: dict[str, str]) -> str:
    counts = Counter[str]()
    for named in client.tests:
        found = [outcome for test, outcome in outcomes.items() if belongs(test, named)]
        if not found:
            raise ValueError(f"{named}: no such test was run")
        counts.update(found)
    files = sorted({f"`{test.partition('::')[0]}`" for test in client.tests})
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items())) + " in " + ", ".join(files)
