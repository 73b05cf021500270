"""The report page as a file: what is in it, and that it stays whole whatever a transcript holds."""

import json
import re
from html.parser import HTMLParser

from evaluations import DELAYS, VARIANTS, made_up

from voxbuild.evaluate.page.render import render


class Scripts(HTMLParser):
    """The scripts of a page, as a browser finds them, and the addresses that it would load."""

    def __init__(self):
        super().__init__()
        self.scripts, self.loaded, self._inside = [], [], False

    def handle_starttag(self, tag, attributes):
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")
        self.loaded += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag):
        self._inside = False


def read(page):
    parser = Scripts()
    parser.feed(page)
    return parser


def data_of(page):
    return json.loads(read(page).scripts[0])


def test_a_transcript_with_html_stays_a_text():
    hostile = "</script><script>alert(1)</script><b>two</b>"
    page = render(made_up(), {"calls/two": 'x.flac"><script>alert(2)</script>'})
    assert len(read(page).scripts) == 2  # the data, and the page's own
    texts = [text["text"] for clip in data_of(page)["clips"] for text in clip["texts"]]
    assert hostile in texts
    assert hostile not in page


def test_the_page_loads_nothing():
    page = render(made_up(), {})
    assert read(page).loaded == []
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_every_cell_and_text_is_on_the_page():
    evaluation = made_up()
    data = data_of(render(evaluation, {}))
    names = [variant["name"] for variant in data["variants"]]
    assert names == ["unquantized", "8bit", "4bit"]  # the source, then by size
    cells = {
        (names[c["variant"]], data["delays"][c["delay"]], data["groups"][c["group"]]["name"])
        for c in data["cells"]
    }
    groups = ("all clips", "calls", "signs")
    assert cells == {(variant, delay, group) for variant in VARIANTS for delay in DELAYS for group in groups}
    for clip in data["clips"]:
        stored = evaluation["clips"][clip["name"]]
        heard = {name: [clip["texts"][n] for n in clip["heard"][place]] for place, name in enumerate(names)}
        assert heard == {name: [stored["texts"][n] for n in stored["heard"][name]] for name in names}


def test_equal_evaluations_give_equal_pages_in_any_order():
    def backwards(value):
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return value

    evaluation = made_up()
    again = backwards(json.loads(json.dumps(evaluation)))
    assert render(again, {}) == render(evaluation, {})


def test_a_page_of_many_clips_is_small():
    few, many = (len(render(made_up(more), {})) for more in (0, 1000))
    assert (many - few) / 1000 < 300  # bytes for each clip of three variants at two delays
