"""The page in a browser: it is quiet, asks nothing of any network, and does what its switches say."""

import re

import pytest

from helpers import pages
from helpers.browser import browser

pytest.importorskip("playwright")
pytest.importorskip("plotly")
pytest.importorskip("itables")
from rbench.report.page import render_page

ROWS = "details.sheet[open] table.dataTable tbody tr"
WIDE, PHONE = {"width": 1600, "height": 1000}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    trials = [pages.record(f"sgd[lr={rate}]", "digits[validation=true]") for rate in (0.01, 0.1, 1.0)]
    failed = pages.record("adam[lr=9.0]", "digits", status="diverged", reason="the loss is infinite")
    usual = pages.run("before", trials=trials)
    usual.records.append(failed)
    hostile = pages.run("<img src=x onerror=alert(1)>", methods=pages.HOSTILE, tasks=pages.HOSTILE[:2], seeds=1)
    hostile.records.extend(pages.record("sgd", status="crashed", reason=text) for text in pages.HOSTILE)
    hostile.warnings.extend(pages.HOSTILE)
    for name, runs in {"usual": [usual], "two": [usual, pages.run("after")], "hostile": [hostile]}.items():
        (folder / f"{name}.html").write_text(render_page(runs))
    return folder


@pytest.fixture
def opened(chromium, files):
    """Opens a page; what it complained of and what it asked for are looked at in the end."""
    noise, contexts = [], []

    def open_page(name="usual", size=WIDE, scheme="light"):
        context = chromium.new_context(viewport=size, color_scheme=scheme, permissions=["clipboard-write"])
        contexts.append(context)
        context.set_default_timeout(180_000)  # machines that test may be busy
        page = context.new_page()
        page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: (noise.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        own = (files / f"{name}.html").as_uri()
        page.on(
            "request", lambda ask: noise.extend([ask.url] if not ask.url.startswith((own, "blob:", "data:")) else [])
        )
        page.goto(own)
        page.wait_for_selector(ROWS)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


def drawn(page, place=0):
    """A plot that has been scrolled to and drawn."""
    figure = page.locator("figure[data-panel]").nth(place)
    figure.scroll_into_view_if_needed()
    figure.locator(".main-svg").first.wait_for()
    page.wait_for_function("n => document.querySelectorAll('figure[data-panel]')[n].dataset.drawn", arg=place)
    return figure


def column(page, title):
    """The texts of a column of the first table."""
    heads = page.locator("#sheet-0 thead th .dt-column-title").all_inner_texts()
    return page.locator(f"#sheet-0 tbody tr td:nth-child({heads.index(title) + 1})").all_inner_texts()


def axis_type(figure, axis):
    return figure.locator(".plot").evaluate(f"plot => plot._fullLayout.{axis}axis.type")


class TestTable:
    def test_a_click_on_a_heading_sorts_by_number(self, opened):
        page = opened()
        heading = page.locator("#sheet-0 th", has_text="test loss").locator(".dt-column-title")
        heading.click()
        page.locator("#sheet-0 th[aria-sort=ascending]").wait_for()  # it is drawn after the click returns
        once = [float(re.search(r"[\d.]+", text)[0]) for text in column(page, "test loss") if text != "–"]
        assert once == sorted(once)
        heading.click()
        page.locator("#sheet-0 th[aria-sort=descending]").wait_for()
        again = [float(re.search(r"[\d.]+", text)[0]) for text in column(page, "test loss") if text != "–"]
        assert again == once[::-1] != once

    def test_the_search_keeps_rows_with_the_words(self, opened):
        page = opened()
        page.get_by_label("Search").first.fill("diverged")
        assert page.locator("#sheet-0 tbody tr").count() == 1
        assert "the loss is infinite" in page.locator("#sheet-0 tbody tr").inner_text()

    def test_a_column_is_filtered_by_its_own_words(self, opened):
        page = opened()
        page.locator("#sheet-0 th", has_text="method").first.locator("button.dtcc-button_dropdown").click()
        page.locator(".dtcc-dropdown input").first.fill("adam")
        page.keyboard.press("Escape")
        page.wait_for_function("() => document.querySelectorAll('#sheet-0 tbody tr').length < 7")
        assert set(column(page, "method")) == {"adam", "adam, lr=0.01", "adam, lr=9.0"} & set(column(page, "method"))
        assert all(text.startswith("adam") for text in column(page, "method"))


class TestRecord:
    def test_a_click_opens_all_records_of_a_row_and_escape_closes_them(self, opened):
        page = opened()
        page.locator("#sheet-0 tbody tr").first.locator("td").nth(2).click()
        page.wait_for_selector("dialog[open]")
        text = page.locator("#record").inner_text()
        for words in ("seed 0", "seed 1", "seed 2", "rbench run --cell", "Evaluations (11)", "test_accuracy", "Abacus"):
            assert words in page.locator("#record").evaluate("dialog => dialog.textContent"), words
        page.locator("#record-choice button", has_text="seed 2").click()
        page.wait_for_function("before => document.querySelector('#record').innerText !== before", arg=text)
        assert '"seed":2' in page.locator("#record pre").inner_text()
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0

    def test_the_keyboard_reaches_a_row_and_comes_back_to_it(self, opened):
        page = opened()
        page.keyboard.press("Tab")
        for _ in range(60):
            if page.evaluate("document.activeElement.className") == "open":
                break
            page.keyboard.press("Tab")
        method = page.evaluate("document.activeElement.textContent")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        assert method.split()[0] in page.locator("#record-title").inner_text()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.textContent") == method


class TestPlots:
    def test_all_are_drawn(self, opened):
        page = opened()
        count = page.locator("figure[data-panel]").count()
        assert count > 6
        for place in range(count):
            drawn(page, place)

    def test_a_point_says_what_it_is(self, opened):
        page = opened()
        box = drawn(page).locator(".scatterlayer .point").first.bounding_box()
        page.mouse.move(box["x"], box["y"])
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector(".hoverlayer .hovertext")
        words = page.locator(".hoverlayer").first.text_content()
        labels = (
            page.locator(".picture").first.locator(".entry").evaluate_all("all => all.map((one) => one.dataset.label)")
        )
        assert any(label in words for label in labels)
        assert re.search(r"\(\d", words)

    def test_the_switch_of_an_axis_is_for_all_panels_of_a_picture(self, opened):
        page = opened()
        figure = drawn(page)
        picture = page.locator(".picture").first
        before = axis_type(figure, "y")
        button = picture.locator("[data-axis=y]")
        button.click()
        other = {"log": "linear", "linear": "log"}[before]
        page.wait_for_function("t => document.querySelector('.picture .plot')._fullLayout.yaxis.type === t", arg=other)
        assert button.get_attribute("aria-pressed") == str(other == "log").lower()
        assert {axis_type(drawn(page, n), "y") for n in range(picture.locator("figure").count())} == {other}

    def test_the_legend_hides_a_method_in_all_panels(self, opened):
        page = opened()
        picture = page.locator(".picture").first
        count = picture.locator("figure").count()
        figures = [drawn(page, place) for place in range(count)]
        entry = picture.locator(".entry").first
        entry.focus()
        page.keyboard.press("Space")
        assert entry.get_attribute("aria-pressed") == "false"
        page.wait_for_timeout(500)
        label = entry.get_attribute("data-label")
        for figure in figures:
            shown = figure.locator(".plot").evaluate("plot => plot.data.map((one) => [one.meta.label, one.visible])")
            assert {label_ for label_, visible in shown if not visible} == {label}

    def test_methods_differ_without_colour(self, opened):
        page = opened()
        figure = drawn(page)
        looks = figure.locator(".plot").evaluate(
            "plot => plot.data.filter((one) => one.name).map((one) => [one.line.dash, one.marker.symbol].join())"
        )
        assert len(set(looks)) == len(looks) > 2


class TestLook:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_the_theme_is_the_system_s_and_can_be_switched(self, opened, scheme):
        page = opened(scheme=scheme)
        drawn(page)
        paper = "getComputedStyle(document.body).backgroundColor"
        ink = "document.querySelector('.plot')._fullLayout.font.color"
        before = [page.evaluate(one) for one in (paper, ink)]
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        page.locator("#theme").click()
        page.wait_for_function(f"before => {ink} !== before", arg=before[1])
        assert page.evaluate("document.documentElement.dataset.theme") != scheme
        assert page.evaluate(paper) != before[0]

    @pytest.mark.parametrize("name", ["usual", "two", "hostile"])
    def test_a_phone_scrolls_no_page_sideways(self, opened, name):
        page = opened(name, PHONE)
        for place in range(page.locator("figure[data-panel]").count()):
            drawn(page, place)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        page.locator("button.open").first.click()
        page.wait_for_selector("dialog[open]")
        assert page.locator("#record").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")


def test_a_run_is_hidden_in_tables_and_plots(opened):
    page = opened("two")
    figure = drawn(page)
    labels = "plot => plot.data.filter((one) => one.visible).map((one) => one.meta.run)"
    assert set(figure.locator(".plot").evaluate(labels)) == {0, 1}
    page.locator("[data-run='1']").click()
    page.wait_for_function("() => document.querySelector('.plot').data.some((one) => !one.visible)")
    assert set(figure.locator(".plot").evaluate(labels)) == {0}
    assert set(column(page, "run")) == {"before"}


def test_hostile_text_is_text(opened):
    page = opened("hostile")
    for place in range(page.locator("figure[data-panel]").count()):
        drawn(page, place)
    page.locator("#sheet-0 th", has_text="method").first.locator("button.dtcc-button_dropdown").click()
    page.keyboard.press("Escape")
    for place in range(page.locator("#sheet-0 button.open").count()):
        page.locator("#sheet-0 button.open").nth(place).click()
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
    assert page.locator("img, [onload], [onerror], main b, a:not([href^='#'])").count() == 0
    texts = page.locator("#sheet-0 tbody").inner_text()
    assert "<script>alert(1)</script>" in texts
    assert "{{ 7 * 7 }}" in texts


def test_a_large_run_is_a_small_file(opened, files):
    text = render_page([pages.many(2000)])
    assert len(text.encode()) < 15e6
    (files / "many.html").write_text(text)
    page = opened("many")
    assert "of 100 entries" in page.locator("#sheet-0 .dt-info").inner_text()
    page.locator("#sheet-1 summary").click()
    page.wait_for_selector("#sheet-1 table.dataTable tbody tr")
    assert "of 2,000 entries" in page.locator("#sheet-1 .dt-info").inner_text()
