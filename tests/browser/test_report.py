"""What a reader's browser makes of a report: nothing is asked for, charts are drawn, tables sort, and it fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
DRAWN = "() => !document.querySelector('[data-chart]:not([data-drawn])')"


@contextmanager
def opened(browser: Browser, address: str, width: int = 1440, complaints: int = 0, **options: Any) -> Iterator[Page]:
    """A page whose charts are drawn. What the browser asks for besides the page, or complains of beyond what is meant
    to be, fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    context.set_default_timeout(120_000)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_function(DRAWN)
    yield page
    assert len(said) == complaints, said
    assert asked == [address]
    context.close()


def test_charts_are_drawn_and_no_script_of_the_stores_runs(browser: Browser, report: str):
    with opened(browser, report) as page:
        places = page.locator("[data-chart]")
        assert places.count() >= 15
        for i in range(places.count()):
            place = places.nth(i)
            assert place.get_attribute("data-drawn") == "yes"
            assert place.locator("svg .mark-symbol path, svg .mark-line path, svg .mark-rect path").count() > 0
        assert page.evaluate("window.pwned") is None
        assert page.locator("img, iframe, main script").count() == 0


def test_the_policy_forbids_other_scripts(browser: Browser, report: str):
    with opened(browser, report, complaints=1) as page:
        page.evaluate(
            """() => {
                window.refused = [];
                document.addEventListener('securitypolicyviolation', e => {
                    window.refused.push(e.effectiveDirective);
                    e.stopImmediatePropagation();
                });
                const script = document.createElement('script');
                script.textContent = 'window.pwned = 1';
                document.body.append(script);
            }"""
        )
        page.wait_for_function("window.refused.length > 0")
        assert page.evaluate("window.refused[0]").startswith("script-src")
        assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_it_fits_in_both_themes(browser: Browser, report: str, width: int, theme: Any):
    with opened(browser, report, width, color_scheme=theme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        too_wide = page.evaluate(
            """() => [...document.querySelectorAll('.chart svg')]
                .filter(svg => svg.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert too_wide == 0
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"report-{width}-{theme}.png", full_page=True)


def test_the_theme_follows_the_system_and_the_button(browser: Browser, report: str):
    def look(page: Page) -> list[str]:
        return page.evaluate(
            """() => [getComputedStyle(document.body).backgroundColor,
                getComputedStyle(document.querySelector('.chart svg text')).fill]"""
        )

    with opened(browser, report, color_scheme="light") as page:
        light = look(page)
        page.emulate_media(color_scheme="dark")
        dark = look(page)
        assert all(a != b for a, b in zip(light, dark, strict=True))
        button = page.get_by_role("button", name="theme")
        button.click()
        assert look(page) == light and page.locator("#theme").inner_text() == "theme: light"
        button.click()
        page.emulate_media(color_scheme="light")
        assert look(page) == dark


def test_tables_are_sorted_by_click_and_by_key(browser: Browser, report: str):
    with opened(browser, report) as page:
        table = page.locator("#samples table").first
        head = table.locator("thead th").nth(3)

        def changes() -> list[float]:
            cells = [text.split(" → ") for text in table.locator("tbody tr > :nth-child(4)").all_inner_texts()]
            return [float(after) - float(before) for before, after in cells]

        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert changes() == pytest.approx(sorted(changes()), abs=2e-3)
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert changes() == pytest.approx(sorted(changes(), reverse=True), abs=2e-3)
        assert table.locator("thead th[aria-sort=none]").count() == table.locator("thead th").count() - 1


def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(browser: Browser, report: str):
    with opened(browser, report) as page:
        table = page.locator("#numbers table").first
        table.locator("thead th").nth(4).get_by_role("button").click()
        cells = [text.split("\n")[0] for text in table.locator("tbody tr > :nth-child(5)").all_inner_texts()]
        numbers = [float(cell) for cell in cells if cell not in ("", "–")]
        assert numbers == sorted(numbers) and numbers[0] == 1e-7
        assert set(cells[len(numbers) :]) <= {"", "–"}


def test_it_prints_light_and_whole(browser: Browser, report: str):
    with opened(browser, report, color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("nav").is_visible() and not page.locator("#theme").is_visible()
        assert page.pdf(format="A4").count(b"/Type /Page\n") > 3


def test_a_mark_tells_what_it_is_and_hostile_names_stay_text(browser: Browser, report: str):
    with opened(browser, report) as page:
        chart = page.locator("[data-chart=frontier-forget-probability-model-utility]")
        tip = page.locator("#vg-tooltip-element")
        said = []
        for mark in chart.locator("svg .mark-symbol.role-mark path").all():
            mark.hover(force=True)
            tip.and_(page.locator(".visible")).wait_for()
            said.append(tip.inner_text())
            box, at = tip.bounding_box(), mark.bounding_box()
            assert box is not None and at is not None and abs(box["y"] - at["y"]) < 200
        assert len(said) == 4 and all("forget.probability" in text for text in said)
        assert any("<script>" in text or "script>" in text for text in said)
        assert tip.locator("img, script").count() == 0 and page.evaluate("window.pwned") is None
