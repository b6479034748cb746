"""Pages as a browser shows them: nothing fails, all can be read, reached and followed."""

import shutil

import pytest

from anokit.report.comparison import write_comparison
from anokit.report.reading import read_run
from anokit.report.sweep import RunOfSweep, write_sweep_page
from anokit.report.tried import write_tried
from anokit.results.result_table import Cell, Line, ResultTable
from anokit.runs.compare import compare

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

CONTRAST = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        const [R, G, B] = [r, g, b].map((c) => linear(c / 255));
        return 0.2126 * R + 0.7152 * G + 0.0722 * B;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
        if (["SCRIPT", "STYLE"].includes(element.tagName)) continue;
        const style = getComputedStyle(element);
        const ink = parse(element instanceof SVGElement ? style.fill : style.color);
        const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        const text = walker.currentNode.textContent.trim().slice(0, 40);
        if (ratio < 4.5) faint.push(`${text}: ${ratio.toFixed(2)}`);
    }
    return [...new Set(faint)];
}"""

REACHABLE = "a[href], button, input, summary, [tabindex='0']"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def result_table():
    """Make the figures of two systems at three contaminations, some of them unknown."""

    def cell(mean, gamma, score, seeds=(1, 2)):
        return Cell(
            mean=mean,
            deviation=0.01,
            low=mean - 0.02,
            high=mean + 0.02,
            seeds=list(seeds),
            contamination=gamma,
            score=score,
            published=0.7 if gamma == 0 else None,
        )

    def line(system, score, means, **more):
        cells = {f"γ {g}": cell(m, g, score) for m, g in zip(means, (0.0, 0.1, 0.4), strict=True)}
        return Line(system=system, score=score, cells=cells, **more)

    lines = [
        line("ours", "lo", (0.72, 0.6, 0.5), baseline=False, primary=True, remarks=[0]),
        line("theirs", "a", (0.9, 0.81, 0.15), baseline=False, primary=True, remarks=[0, 1]),
        line("theirs", "pixel-knn", (0.45, 0.4, 0.35), baseline=True, remarks=[0]),
    ]
    return ResultTable(
        metric="auroc",
        columns=[f"γ {g}" for g in (0.0, 0.1, 0.4)],
        lines=lines,
        remarks=["quick run: shows the path, not the quality", "added later"],
        sources=["Somebody, Table 2"],
    )


@pytest.fixture(scope="module")
def unlabelled(finish, tmp_path_factory):
    """Finish a toy run on files without labels, as `anokit scan` does."""
    folder = tmp_path_factory.mktemp("images")
    return finish("unlabelled", "dataset.labels=none", f"dataset.folder='{folder}'")


@pytest.fixture(scope="module")
def pages(finished, unlabelled, tmp_path_factory):
    """Make one page of each kind; return the paths by kind."""
    folder = tmp_path_factory.mktemp("pages")
    found = compare([f"{finished}:error", f"{finished}:far"], resamples=100)
    write_comparison(found, folder / "comparison.html")
    write_tried(read_run(unlabelled), folder / "tried.html")
    runs = [
        RunOfSweep("one", "finished", report="cells/one/report.html", figure="0.720", value=0.72),
        RunOfSweep("two", "failed", "the disk is full"),
    ]
    (folder / "cells" / "one").mkdir(parents=True)
    (folder / "cells" / "one" / "report.html").write_text("<p>one</p>")
    write_sweep_page("A sweep", result_table(), result_table(), runs, folder / "sweep.html")
    write_sweep_page("Nothing yet", None, None, runs[1:], folder / "empty.html")
    return {
        "run": finished / "report.html",
        "unlabelled": unlabelled / "report.html",
        "tried": folder / "tried.html",
        "comparison": folder / "comparison.html",
        "sweep": folder / "sweep.html",
        "empty": folder / "empty.html",
    }


@pytest.fixture
def show(browser, pages):
    """Open a page of a kind, at a width and in a colour scheme; errors and requests are kept."""
    opened = []

    def open_page(kind, width=1000, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.wrong, page.asked = [], []
        page.on("console", lambda message: page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(pages[kind].as_uri())
        return page

    yield open_page
    for page in opened:
        page.close()


KINDS = pytest.mark.parametrize(
    "kind", ["run", "unlabelled", "tried", "comparison", "sweep", "empty"]
)


@KINDS
def test_nothing_fails_and_nothing_is_fetched(kind, show, pages):
    page = show(kind)
    assert page.wrong == []
    assert [url for url in page.asked if not url.startswith("data:")] == [pages[kind].as_uri()]


@KINDS
def test_every_link_leads_somewhere(kind, show, pages):
    page = show(kind)
    for address in page.eval_on_selector_all(
        "a[href]", "all => all.map(a => a.getAttribute('href'))"
    ):
        if address.startswith("#"):
            assert page.locator(f"[id='{address[1:]}']").count() == 1, address
        else:
            assert (pages[kind].parent / address).exists(), address
    ids = page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))


@KINDS
def test_a_telephone_shows_it_without_scrolling_sideways(kind, show):
    page = show(kind, width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    small = page.evaluate(
        "() => [...document.querySelectorAll('p, td, dd, li')]"
        ".filter(e => e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 10).length"
    )
    assert small == 0


@KINDS
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(kind, scheme, show):
    assert show(kind, scheme=scheme).evaluate(CONTRAST) == []


@KINDS
def test_the_keyboard_reaches_everything_and_shows_where_it_is(kind, show):
    page = show(kind)
    wanted = page.locator(REACHABLE).count()
    assert wanted
    page.evaluate(
        f'document.querySelectorAll("{REACHABLE}").forEach((e, n) => e.dataset.place = n)'
    )
    reached = set()
    for _ in range(wanted + 1):
        page.keyboard.press("Tab")
        place, outline = page.evaluate(
            "() => [document.activeElement.dataset.place, "
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        if place is not None:
            reached.add(place)
            assert outline != "none", page.evaluate("document.activeElement.outerHTML")
    assert len(reached) == wanted


def column(page, number):
    return page.eval_on_selector_all(
        "#all-figures-1 tbody tr:not([hidden])",
        f"rows => rows.map(r => r.cells[{number}].innerText)",
    )


def test_figures_are_sorted_by_their_value_and_back(show):
    page = show("sweep")
    button = page.get_by_role("button", name="AUROC", exact=True)
    button.click()
    values = [float(text.split()[0]) for text in column(page, 3)]
    assert values == sorted(values)
    assert len(values) == 9
    button.press("Enter")
    assert [float(text.split()[0]) for text in column(page, 3)] == sorted(values, reverse=True)
    head = page.locator("#all-figures-1 th[aria-sort]")
    assert head.count() == 1
    assert head.get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="γ", exact=True).click()
    assert column(page, 2) == ["0 %"] * 3 + ["10 %"] * 3 + ["40 %"] * 3
    page.get_by_role("button", name="Published").click()
    assert [bool(text) for text in column(page, 6)] == [True] * 3 + [False] * 6  # unknown ones last


def test_a_filter_leaves_the_lines_with_all_its_words(show):
    page = show("sweep")
    field = page.locator("input[data-filter='all-figures-1']")
    field.fill("Theirs base")
    assert column(page, 1) == ["pixel-knn\nbaseline"] * 3
    assert page.get_by_text("3 of 9").count() == 1
    field.fill("")
    assert len(column(page, 0)) == 9


def test_what_all_lines_share_is_said_once_and_failures_are_told(show):
    page = show("sweep")
    assert page.get_by_text("Quick run: shows the path").count() == 1
    assert page.get_by_text("added later").count() > 1
    assert page.get_by_text("the disk is full").count() == 1
    assert page.get_by_text("1 of 2 runs are not finished.").count() == 1
