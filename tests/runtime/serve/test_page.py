"""The page in a real Chromium, whose microphone plays a recording."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import webvtt
from committed import CLIPS
from patience import until
from served import PLAIN, Served, served

from voxrun.serve.live import LiveSession
from voxrun.serve.settings import Limits
from voxrun.transcriber import Transcriber

pytest.importorskip("playwright")
from browser import INSECURE_NAME, browser, executable, new_page
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no Chromium: install one, or name it in CHROME_BIN"),
]

SPOKEN = CLIPS / "prompts" / "vm-tempgreeting.flac"
FILE = CLIPS / "prompts" / "vm-leavemsg.flac"
SILENCE = 0.5
"""Seconds before it, while the page opens the microphone."""
REALTIME = re.compile(r"/v1/audio/transcriptions/realtime\?")
PAUSED = [("Well,", 0.5, 0.9), ("yes.", 0.9, 1.2), ("And", 1.88, 2.68), ("then?", 2.68, 3.08)]
"""Words with a pause of over 1.2 s in the middle, of which their times show 0.7 s: starts are not marked."""
SHOWN_WHOLE = """select => {
    const style = getComputedStyle(select), context = document.createElement("canvas").getContext("2d");
    context.font = style.font;
    const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - ARROW;
    return [...select.options].every(option => context.measureText(option.text).width <= room);
}""".replace("ARROW", "20")
"""Whether there is room for each choice of a menu."""
LABELS_OF_COPY = """() => {
    const button = document.getElementById("copy");
    window.labels = [];
    new MutationObserver(() => labels.push(button.textContent)).observe(button, { childList: true });
}"""
"""Note what the button says, which may be over sooner than a test looks."""
IS_SEEN = "(element, [x, y]) => element.contains(document.elementFromPoint(x, y))"
"""Whether nothing lies over an element."""
CONTROLS = {"button", "combobox", "switch", "checkbox", "meter", "progressbar", "textbox"}
COLOURS = """element => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    let below = element;
    while (numbers(getComputedStyle(below).backgroundColor)[3] === 0) below = below.parentElement;
    return [getComputedStyle(element).color, getComputedStyle(below).backgroundColor]
        .map((colour) => numbers(colour).slice(0, 3));
}"""
"""The colours of an element's text, and of what is behind it."""


@pytest.fixture(scope="module")
def server(transcriber: Transcriber) -> Iterator[Served]:
    with served(transcriber, replace(PLAIN, origins=(f"http://{INSECURE_NAME}",))) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its microphone says `SPOKEN`."""
    samples, rate = soundfile.read(SPOKEN, dtype="int16")
    recording = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    soundfile.write(recording, np.concatenate([np.zeros(int(rate * SILENCE), np.int16), samples]), rate)
    with browser(recording) as running:
        yield running


@dataclass
class Visit:
    """A page that is open, and what went on in it."""

    page: Page
    expected: str = "^$"
    """Which complaints are right."""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings on the console."""

    @property
    def paragraphs(self) -> list[str]:
        return [text.strip() for text in self.page.locator("article p .final").all_inner_texts()]

    @property
    def notice(self) -> str:
        """The message that is shown; waits for one."""
        return self.page.locator(".notice p").inner_text()

    def record(self) -> None:
        self.page.get_by_role("button", name="Record").click()

    def until(self, state: str) -> None:
        self.page.locator(f"body[data-state={state}]").wait_for()

    def drop(self, name: str, content: bytes) -> None:
        """A file, as from the desktop."""
        script = """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }"""
        transfer = self.page.evaluate_handle(script, [name, base64.b64encode(content).decode()])
        self.page.dispatch_event("main", "drop", {"dataTransfer": transfer})

    def saved(self, format: str) -> str:
        """The file that a button gives."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=f"Save as {format}").click()
        assert download.value.suggested_filename.endswith(f".{format}")
        return Path(download.value.path()).read_text(encoding="utf-8")


Visiting = Callable[..., Visit]


@pytest.fixture
def visiting(chromium: Browser, server: Served) -> Iterator[Visiting]:
    """Opens pages, which must not ask other servers for anything, nor complain unless a test expects it."""
    visits: list[Visit] = []

    def visit(
        url: str = server.url,
        expected: str = "^$",
        permissions: Sequence[str] = ("microphone",),
        prepare: Any = None,
        **options: Any,
    ) -> Visit:
        page = new_page(chromium, **options)
        page.context.grant_permissions(permissions)  # all others are denied
        made = Visit(page, expected)
        visits.append(made)
        page.on("request", lambda request: made.requests.append(request.url))
        page.on("websocket", lambda socket: made.requests.append(socket.url))
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and made.complaints.append(said.text))
        if prepare:
            prepare(page)
        page.goto(url)
        page.locator("body[data-ready]").wait_for()
        return made

    yield visit
    for made in visits:
        made.page.context.close()
        own = {httpx.URL(url).host for url in made.requests if not url.startswith("blob:")}
        assert own <= {"127.0.0.1", INSECURE_NAME}
        assert [line for line in made.complaints if not re.search(made.expected, line)] == []


@dataclass
class Script:
    """Plays the server of a live session, for what a real one does only by chance."""

    sockets: list[WebSocketRoute] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, page: Page) -> None:
        page.route_web_socket(REALTIME, self._open)

    def first(self, page: Page) -> dict[str, Any]:
        """The first event of the page; waits for it."""
        while not self.received:
            page.wait_for_timeout(20)  # which lets Playwright take messages
        return self.received[0]

    def _open(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda message: self.received.append(json.loads(message)))
        self.say("session.created", session={"model": "tiny", "target_streaming_delay_ms": 480})

    def say(self, type: str, **fields: Any) -> None:
        self.sockets[-1].send(json.dumps({"type": type, **fields}))

    def word(self, word: str, start: float, end: float) -> None:
        """As the server tells it: its text first, its times when it is complete."""
        self.say("transcription.text.delta", text=f" {word}", words=[])
        self.say("transcription.text.delta", text="", words=[{"word": word, "start": start, "end": end}])


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The samples that come to the server: on a busy machine the browser loses some of the sound."""
    blocks: list[np.ndarray] = []
    hear = LiveSession.hear

    async def hearing(live: LiveSession, samples: np.ndarray) -> None:
        blocks.append(samples)
        await hear(live, samples)

    monkeypatch.setattr(LiveSession, "hear", hearing)
    return blocks


def test_what_the_microphone_hears_is_written_and_saved_by_keyboard_alone(
    visiting: Visiting, transcriber: Transcriber, received: list[np.ndarray]
) -> None:
    visit = visiting()
    page, keyboard = visit.page, visit.page.keyboard

    def to(name: str) -> None:
        """Press Tab until a button has the focus, which must be visible."""
        button = page.get_by_role("button", name=name, exact=True)
        for _ in range(12):
            keyboard.press("Tab")
            if button.evaluate("button => button.matches(':focus-visible')"):
                assert button.evaluate("button => parseFloat(getComputedStyle(button).outlineWidth)") >= 2
                return
        raise AssertionError(f"Tab does not lead to {name}")

    to("Record")
    keyboard.press("Enter")
    page.locator("#meter:not([aria-valuenow='0'])").wait_for()
    seconds = ceil(soundfile.info(SPOKEN).duration + SILENCE) + 1
    past = "|".join(f"{second:02}" for second in range(seconds, 60))
    expect(page.locator("#clock")).to_have_text(re.compile(f"0:({past})"))
    assert page.get_by_role("button", name="Stop").evaluate("button => button === document.activeElement")
    keyboard.press("Space")
    visit.until("idle")
    session, heard = transcriber.session(live=True), " ".join(visit.paragraphs)
    said = session.feed(np.concatenate(received)).text + session.finish().text
    assert heard == " ".join(said.split()) != ""
    announced = page.locator("#announced")  # to screen readers
    expect(announced).not_to_be_empty()
    assert announced.inner_text() in heard
    to("Save as srt")
    with page.expect_download() as download:
        keyboard.press("Enter")
    cues = webvtt.from_srt(str(download.value.path()))
    assert " ".join(cue.text for cue in cues).replace("\n", " ") == heard


def test_a_dropped_file_is_written_with_the_words_and_times_that_the_command_has(
    visiting: Visiting, transcriber: Transcriber
) -> None:
    visit = visiting()
    visit.drop(FILE.name, FILE.read_bytes())
    expect(visit.page.locator("article h2")).to_have_text(FILE.name)
    visit.until("idle")
    expected = transcriber.transcribe(FILE)
    expect(visit.page.locator("#status")).to_have_text(f"0:{int(expected.seconds):02} transcribed")
    assert visit.paragraphs == [expected.text]
    saved = json.loads(visit.saved("json"))
    assert saved["text"] == expected.text
    assert saved["duration"] == round(expected.seconds, 3)
    assert saved["words"] == [
        {"word": word.text.strip(), "start": round(word.start, 3), "end": round(word.end, 3)}
        for word in expected.words
    ]


def test_drafts_are_grey_until_final_and_a_pause_begins_a_paragraph(visiting: Visiting) -> None:
    script = Script()
    visit = visiting(prepare=script)
    page = visit.page
    visit.record()
    visit.until("hearing")
    script.say("transcription.text.draft", text=" Wall")
    expect(page.locator(".draft")).to_have_text("Wall")
    script.word(*PAUSED[0])
    script.say("transcription.text.draft", text=" yes")
    expect(page.locator("article p")).to_have_text("0:00Well, yes")
    script.say("transcription.text.draft", text="")
    expect(page.locator(".draft")).to_be_empty()
    for word in PAUSED[1:]:
        script.word(*word)
    expect(page.locator("article time")).to_have_text(["0:00", "0:01"])
    assert visit.paragraphs == ["Well, yes.", "And then?"]


def test_the_session_has_the_chosen_delay_and_draft(visiting: Visiting) -> None:
    script = Script()
    visit = visiting(prepare=script)
    delay = visit.page.get_by_label("Delay")
    expect(delay.locator("option").first).to_have_text("Default (480 ms)")
    delay.select_option("2400")
    visit.record()
    audio = {"encoding": "pcm_s16le", "sample_rate": 16000}
    assert script.first(visit.page) == {
        "type": "session.update",
        "session": {
            "audio_format": audio,
            "target_streaming_delay_ms": 2400,
            "draft_streaming_delay_ms": 160,
        },
    }


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda script: script.sockets[-1].close(code=1011), "lost"),
        (lambda script: script.say("transcription.done", text="Well, yes", words=[]), "has ended"),
    ],
    ids=["lost", "ended"],
)
def test_a_session_that_the_user_did_not_end_keeps_its_text_and_can_be_taken_up_again(
    visiting: Visiting, end: Callable[[Script], None], told: str
) -> None:
    script = Script()
    visit = visiting(prepare=script)
    visit.record()
    visit.until("hearing")
    script.word(*PAUSED[0])
    script.say("transcription.text.delta", text=" yes", words=[])
    script.say("transcription.text.draft", text=" no")
    expect(visit.page.locator(".draft")).to_have_text("no")
    end(script)
    assert told in visit.notice
    expect(visit.page.locator(".draft")).to_be_empty()
    visit.page.get_by_role("button", name="Reconnect").click()
    visit.until("hearing")
    script.word(*PAUSED[2])
    expect(visit.page.locator("article")).to_have_count(2)
    assert visit.paragraphs == ["Well, yes", "And"]
    cues = webvtt.from_string(visit.saved("vtt"))
    assert [cue.text for cue in cues] == ["Well, yes", "And"]


def test_a_server_that_is_gone_and_one_that_is_full_are_told_in_words(
    visiting: Visiting, transcriber: Transcriber
) -> None:
    with served(transcriber) as other:
        visit = visiting(other.url, expected="ERR_CONNECTION_REFUSED")
        visit.drop(FILE.name, FILE.read_bytes())
        visit.page.locator("article").wait_for()
        visit.until("idle")
    visit.record()
    assert "does not answer" in visit.notice
    assert visit.paragraphs == [transcriber.transcribe(FILE).text]
    with served(transcriber, replace(PLAIN, limits=Limits(sessions=0))) as full:
        visit = visiting(full.url, expected="503")
        visit.record()
        assert "try again later" in visit.notice.lower()
        visit.until("idle")


def test_of_several_opened_files_one_that_is_no_audio_is_named_and_the_others_are_written(
    visiting: Visiting, transcriber: Transcriber, tmp_path: Path
) -> None:
    visit = visiting(expected="status of 400")
    bad = tmp_path / "notes.txt"
    bad.write_text("no sound at all")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Open file").click()
    chooser.value.set_files([FILE, bad, SPOKEN])
    assert "notes.txt" in visit.notice
    assert visit.paragraphs == [transcriber.transcribe(clip).text for clip in (FILE, SPOKEN)]


def test_a_microphone_that_is_not_allowed_says_what_to_do(visiting: Visiting) -> None:
    visit = visiting(permissions=())
    visit.record()
    assert "Allow it" in visit.notice
    visit.until("idle")


def test_a_page_without_https_says_so_and_still_opens_files_and_copies(
    visiting: Visiting, server: Served
) -> None:
    visit = visiting(f"http://{INSECURE_NAME}:{server.port}")
    page = visit.page
    assert "https" in visit.notice
    visit.drop(FILE.name, FILE.read_bytes())
    page.locator("article").wait_for()
    visit.until("idle")
    page.evaluate(LABELS_OF_COPY)
    page.get_by_role("button", name="Copy").click()
    until(lambda: "Copied" in page.evaluate("labels"))
    page.evaluate("document.body.appendChild(document.createElement('textarea')).focus()")
    page.keyboard.press("ControlOrMeta+V")
    assert page.locator("textarea").input_value().strip() == visit.paragraphs[0]


def test_a_browser_that_cannot_change_the_rate_of_its_microphone_sends_its_own(visiting: Visiting) -> None:
    script = Script()

    def prepare(page: Page) -> None:
        """As in Firefox."""
        script(page)
        page.add_init_script("""
            const connect = AudioContext.prototype.createMediaStreamSource;
            AudioContext.prototype.createMediaStreamSource = function (stream) {
                if (this.sampleRate === 16000) throw new DOMException("", "NotSupportedError");
                return connect.call(this, stream);
            };""")

    visit = visiting(prepare=prepare)
    visit.record()
    session = script.first(visit.page)["session"]
    assert (
        session["audio_format"]["sample_rate"] == visit.page.evaluate("new AudioContext().sampleRate") > 16000
    )


def test_leaving_asks_until_the_text_is_saved_and_clearing_can_be_undone(visiting: Visiting) -> None:
    visit = visiting()
    page = visit.page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    visit.drop(FILE.name, FILE.read_bytes())
    page.locator("article").wait_for()
    visit.until("idle")
    page.get_by_role("button", name="Clear").click()
    assert visit.paragraphs == []
    page.get_by_role("button", name="Undo").click()
    text = visit.paragraphs[0]
    page.reload()
    assert asked == ["beforeunload"]
    page.locator("body[data-ready]").wait_for()
    visit.drop(FILE.name, FILE.read_bytes())
    page.locator("article").wait_for()
    visit.until("idle")
    assert visit.saved("txt") == f"{text}\n"
    page.reload()
    assert asked == ["beforeunload"]


def test_every_control_has_a_name(visiting: Visiting) -> None:
    visit = visiting()
    session = visit.page.context.new_cdp_session(visit.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    told = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"]]
    controls = [(role, name) for role, name in told if role in CONTROLS]
    assert {role for role, _ in controls} >= {"button", "combobox", "switch", "meter"}
    assert [role for role, name in controls if not name] == []


def test_text_has_the_contrast_of_wcag_aa_in_light_and_dark(visiting: Visiting) -> None:
    script = Script()
    visit = visiting(prepare=script)
    visit.record()
    script.first(visit.page)
    script.word(*PAUSED[0])
    script.say("transcription.text.draft", text=" yes")
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        for element in (
            ".final",
            ".draft",
            "article time",
            "#model",
            "#status",
            "#clock",
            "#record",
            "label",
        ):
            ink, paper = visit.page.locator(element).first.evaluate(COLOURS)
            assert contrast(ink, paper) >= 4.5, (scheme, element)


@pytest.mark.parametrize("size", [16, 32])
def test_a_phone_shows_all_without_scrolling_sideways(visiting: Visiting, size: int) -> None:
    """`size`: the browser's font size, in pixels."""
    visit = visiting(viewport={"width": 320, "height": 640})
    fonts = {"standard": size, "fixed": size}
    visit.page.context.new_cdp_session(visit.page).send("Page.setFontSizes", {"fontSizes": fonts})
    visit.drop("a-name-that-is-much-too-long-for-a-phone.flac", FILE.read_bytes())
    visit.page.locator("article").wait_for()
    visit.until("idle")
    assert visit.page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)") == size
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320
    for part in visit.page.locator("button:visible, select:visible, article .final").all():
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 320, part
        middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        assert part.evaluate(IS_SEEN, middle), part


def test_a_phone_shows_the_whole_text_of_menus(visiting: Visiting) -> None:
    visit = visiting(viewport={"width": 360, "height": 640})
    expect(visit.page.locator("#delay option").first).to_have_text("Default (480 ms)")
    assert visit.page.locator("#delay").evaluate(SHOWN_WHOLE)


def test_a_server_with_a_key_asks_for_it_and_then_takes_speech_and_files(
    visiting: Visiting, transcriber: Transcriber
) -> None:
    with served(transcriber, replace(PLAIN, keys=("right",))) as locked:
        visit = visiting(locked.url, expected="401")
        key = visit.page.get_by_label("API key")
        expect(key).to_be_focused()
        key.fill("wrong")
        key.press("Enter")
        expect(visit.page.get_by_text("does not accept this API key")).to_be_visible()
        key.fill("right")
        key.press("Enter")
        expect(visit.page.locator("#model")).to_have_text("tiny")
        expect(key).to_be_hidden()
        visit.drop(FILE.name, FILE.read_bytes())
        visit.page.locator("article").wait_for()
        visit.until("idle")
        visit.record()
        visit.until("hearing")
        visit.page.get_by_role("button", name="Stop").click()
        visit.until("idle")
        expect(visit.page.locator(".notice")).to_have_count(0)
        assert visit.paragraphs == [transcriber.transcribe(FILE).text]


def test_the_page_loads_nothing_from_elsewhere(server: Served) -> None:
    with httpx.Client(base_url=server.url) as client:
        page = client.get("/")
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'self'" in policy
        assert {source for rule in policy for source in rule.split()[1:]} == {"'self'", "'none'", "blob:"}
        for address in re.findall(r'(?:src|href)="(.*?)"', page.text):
            part = client.get(f"/{address}")
            assert part.status_code == 200, address
            assert part.headers["Content-Security-Policy"] == page.headers["Content-Security-Policy"]


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG's ratio of two colours, each red, green and blue of 0 to 255."""

    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)
