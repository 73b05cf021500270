"""The report page in a real Chromium, opened as a file."""

import pytest
from evaluations import DELAYS, VARIANTS, made_up

from voxbuild.evaluate.page.render import render

pytest.importorskip("playwright")
from browser import browser, executable, new_page
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no Chromium: install one, or name it in CHROME_BIN"),
]


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def visit(chromium, tmp_path):
    """Open the page of an evaluation. In the end nothing may have been loaded, nor anything gone wrong."""
    contexts, wrong = [], []

    def visited(evaluation=None, audio=None, **how):
        path = tmp_path / "evaluation.html"
        path.write_text(render(evaluation or made_up(), audio or {}), encoding="utf-8")
        page = new_page(chromium, **how)
        contexts.append(page.context)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on(
            "request", lambda request: wrong.append(request.url) if request.url != path.as_uri() else None
        )
        page.goto(path.as_uri())
        return page

    yield visited
    for context in contexts:
        context.close()
    assert wrong == []


def column(page, table, number):
    return page.locator(f"#{table} tbody tr > :nth-child({number})")


def test_tables_and_charts_show_every_variant_and_delay(visit):
    page = visit()
    expect(column(page, "summary", 1)).to_have_text(["unquantized", "8bit", "4bit"])
    names, delays, rates = (column(page, "figures", number).all_inner_texts() for number in (1, 3, 4))
    shown = list(zip(names, delays, strict=True))
    assert sorted(shown) == sorted((name, f"{delay} ms") for name in VARIANTS for delay in DELAYS)
    assert "8.50 [7.50, 9.50]" in rates
    expect(page.locator("#curves figure")).to_have_count(2)  # beside the source, which is in each
    expect(page.locator("#difference svg g")).to_have_count(2)
    expect(page.locator("#fidelity svg g")).to_have_count(2)


def test_filters_choose_clips_delay_and_variants(visit):
    page = visit()
    page.get_by_role("combobox", name="Clips").select_option("signs")
    page.get_by_role("combobox", name="Delay").select_option("160 ms")
    page.locator("#variants > summary").click()
    page.get_by_role("checkbox", name="8bit").uncheck()
    expect(column(page, "figures", 1)).to_have_text(["unquantized", "4bit"])
    expect(column(page, "figures", 3)).to_have_text(["160 ms", "160 ms"])
    expect(page.locator(".clip summary b")).to_have_text(["signs/one"])
    expect(page.locator("#difference-note")).to_contain_text("At 160 ms, over the 1 clip of signs")


def test_a_table_is_sorted_by_the_keyboard(visit):
    page = visit()
    heading = page.locator("#summary th button", has_text="variant")
    heading.focus()
    page.keyboard.press("Enter")
    expect(column(page, "summary", 1)).to_have_text(["4bit", "8bit", "unquantized"])
    expect(page.locator("#summary th").first).to_have_attribute("aria-sort", "ascending")
    page.keyboard.press("Enter")  # the heading has kept the focus
    expect(column(page, "summary", 1)).to_have_text(["unquantized", "8bit", "4bit"])


def test_a_clip_shows_who_wrote_what_with_the_differences_marked(visit):
    page = visit(audio={"calls/one": "../few/one.flac"})
    page.locator(".clip > summary", has_text="calls/one").click()
    clip = page.locator(".clip[open]")
    rows = clip.locator(".text")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("unquantized, 8bit at 160 ms")
    other = rows.nth(2)
    expect(other.locator(".swap del")).to_have_text("said: one")
    expect(other.locator(".swap ins")).to_have_text("heard: to")
    expect(other.locator(".words > ins")).to_have_text("added: it")
    expect(clip.locator("audio")).to_have_attribute("src", "../few/one.flac")


def test_languages_without_spaces_are_compared_by_character(visit):
    page = visit()
    page.locator(".clip > summary", has_text="signs/one").click()
    marked = page.locator(".clip[open] .text").last
    expect(marked.locator("del")).to_have_text(["said: 按", "said: 一"])
    expect(marked.locator("ins")).to_have_text(["heard: 一", "heard: 二"])


def test_a_transcript_with_html_is_shown_as_text(visit):
    page = visit()
    page.locator(".clip > summary", has_text="calls/two").click()
    expect(page.locator(".clip[open]")).to_contain_text("</script><script>alert(1)</script><b>two</b>")


def test_ten_thousand_clips_are_shown_on_demand(visit):
    page = visit(made_up(10_000))
    clips = page.locator(".clip")
    expect(clips).to_have_count(50)
    page.get_by_role("button", name="Show 50 more of 9953").click()
    expect(clips).to_have_count(100)
    page.get_by_label("Search").fill("press 777")
    expect(page.get_by_role("status")).to_have_text("11 clips")  # 777, and 7770 to 7779


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(visit, scheme):
    page = visit(viewport={"width": 360, "height": 740}, is_mobile=True, color_scheme=scheme)
    page.locator(".clip > summary").first.click()
    expect(page.locator(".clip .words").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for part in (page.locator(".clip .words").first, page.locator(".clip b").first):
        assert part.evaluate("element => element.parentElement.clientWidth") > 300
        assert part.bounding_box()["height"] < 60  # not squeezed into a column of letters
