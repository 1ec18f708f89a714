"""The embedding explorer, driven by mouse and by keys; the kernel is asked what it was told."""

from __future__ import annotations

import time

import pytest

ODD = "<img src=x onerror=alert(1)>"
MAKE = f"""
import torch
from torch import nn
from tlcourse.datasets import Split
from tlcourse.models import ImageTransform
from tlcourse.widgets import EmbeddingExplorer
torch.manual_seed(0)
names = ("plain", "{ODD}", "שלום 🙂", "w" * 90)
def split(name, n, seed):
    y = torch.arange(n) % 4
    x = torch.randint(0, 90, (n, 3, 12, 12), generator=torch.Generator().manual_seed(seed))
    x = x + 40 * y[:, None, None, None]
    return Split(name, "image", x.to(torch.uint8), y, names, tuple(f"{{name}} {{i}}" for i in range(n)))
model = nn.Sequential()
for i in range(10):
    layer = nn.Sequential(nn.Conv2d(3 if not i else 8, 8, 3, padding=1), nn.ReLU())
    model.add_module(("stem", "<b>bold</b>", *map(str, range(2, 10)))[i], layer)
model.transform = ImageTransform(size=12, crop=1.0)
explorer = EmbeddingExplorer(model, {{"here": split("here", 300, 0), "there": split("there", 100, 1)}}, cache=False)
explorer
"""
MANY = f"""
import numpy as np
from tlcourse.explain import Embedding
places = np.random.default_rng(0).normal(size=(200, 800, 2)).cumsum(0)
places = places / np.abs(places).max((1, 2), keepdims=True)
texts = ["{ODD} 🙂", "שלום עולם", "long " * 90, *(f"text {{i}}" for i in range(797))]
many = EmbeddingExplorer(Embedding(
    stages=tuple(f"layer{{i}}" for i in range(200)), points=places, held=np.full(200, .3), widths=(8,) * 200,
    agree={{"class": np.linspace(.1, .9, 200).tolist()}}, usual={{"class": 0.5}}, y=np.arange(800) % 2,
    domain=np.zeros(800, int), classes=("bad", "good"), domains=("all",), kind="text", x=texts,
    ids=tuple(map(str, range(800))), of=800))
many
"""
LONG = """
long = EmbeddingExplorer(
    model, {"d" * 500: split("here", 20, 0), "e" * 500: split("there", 20, 1)}, ["stem"], cache=False)
long
"""
ANSWERS = """async root => {
    const slider = root.querySelector('.tlc-slider'), plot = root.querySelector('.tlc-plot'), times = [];
    for (const share of [0, 1, 0.3, 0.7, 0.1, 0.8]) {
        const begun = performance.now();
        slider.value = Math.round(share * slider.max);
        slider.dispatchEvent(new Event('input', {bubbles: true}));
        const wanted = root.querySelector('.tlc-where strong').textContent;
        while (plot.dataset.stage !== wanted) await new Promise(requestAnimationFrame);
        times.push(performance.now() - begun);
    }
    return times.sort((a, b) => a - b)[3] / 1000;
}"""
HANGS = 1.0  # seconds; it answers within 0.1 on a quiet machine
STAGE, CHOSEN, BY = "print(explorer.stage)", "print(explorer.chosen)", "print(explorer.by)"


@pytest.fixture(scope="module")
def opened(lab):
    lab.open(lab.server.write("explorer.ipynb", MAKE, MANY, LONG))
    lab.run_all()
    shown = lab.page.locator(".tlc-explorer").first
    shown.wait_for()
    yield shown
    assert lab.errors() == [] and lab.problems == []
    lab.close()


@pytest.fixture
def explorer(lab, opened):
    lab.page.wait_for_timeout(150)  # what the last test did has reached the kernel
    lab.ask("explorer.stage, explorer.by, explorer.chosen = explorer.embedding.stages[-1], 'class', -1")
    lab.page.mouse.move(0, 0)
    opened.locator(".tlc-plot[data-stage='9']").wait_for()
    return opened


def plot(explorer):
    return explorer.locator(".tlc-plot")


def test_keys_move_the_slider_and_the_kernel_is_told(lab, explorer):
    slider = explorer.get_by_role("slider", name="Stage")
    assert slider.get_attribute("aria-valuetext") == "9, 10 of 10"
    slider.focus()
    slider.press("ArrowLeft")
    lab.until(STAGE, "8")
    slider.press("Home")
    lab.until(STAGE, "stem")
    slider.press("ArrowRight")
    lab.until(STAGE, "<b>bold</b>")
    assert explorer.locator(".tlc-where strong").inner_text() == "<b>bold</b>"
    assert explorer.locator("b, img").count() == 0


def test_the_mouse_moves_the_slider(lab, explorer):
    slider = explorer.get_by_role("slider", name="Stage")
    box = slider.bounding_box()
    slider.click(position={"x": 3, "y": box["height"] / 2})
    lab.until(STAGE, "stem")
    plot(explorer).and_(explorer.locator("[data-stage='stem']")).wait_for()


def test_code_moves_the_slider(lab, explorer):
    lab.ask("explorer.stage = '4'")
    explorer.locator(".tlc-plot[data-stage='4']").wait_for()
    assert explorer.get_by_role("slider").get_attribute("aria-valuetext") == "4, 5 of 10"
    assert "no stage called" in lab.ask("explorer.stage = 'four'")


def test_a_move_answers_within_a_tenth_of_a_second_without_the_kernel(lab, explorer):
    seconds = explorer.evaluate(ANSWERS)
    assert seconds < HANGS


def test_points_travel_and_stand_still_where_motion_is_not_wanted(lab, explorer):
    def frames():
        return explorer.evaluate(
            """async root => {
                const slider = root.querySelector('.tlc-slider'), canvas = root.querySelector('canvas');
                const seen = new Set();
                slider.value = slider.value === '0' ? 9 : 0;
                slider.dispatchEvent(new Event('input', {bubbles: true}));
                const end = performance.now() + 450;
                while (performance.now() < end) {
                    await new Promise(requestAnimationFrame);
                    seen.add(canvas.toDataURL());
                }
                return seen.size;
            }"""
        )

    lab.page.emulate_media(reduced_motion="no-preference")
    moving = frames()
    lab.page.emulate_media(reduced_motion="reduce")
    still = frames()
    lab.page.emulate_media(reduced_motion="no-preference")
    assert moving > 3 and still <= 2


def test_keys_walk_the_points_and_say_what_is_there(lab, explorer):
    plot(explorer).focus()
    plot(explorer).press("Home")
    lab.until(CHOSEN, "0")
    assert explorer.locator(".tlc-quiet").inner_text().startswith("plain, here. Nearest: ")
    plot(explorer).press("PageDown")
    lab.until(CHOSEN, "1")
    assert explorer.locator(".tlc-item").inner_text() == "here 1"
    assert explorer.locator(".tlc-about .tlc-name").first.inner_text() == ODD
    before = lab.ask("print(explorer.embedding.framed()[-1][explorer.chosen][0])")
    plot(explorer).press("ArrowLeft")
    lab.until(f"print(explorer.embedding.framed()[-1][explorer.chosen][0] < {before})", "True")
    plot(explorer).press("Escape")
    lab.until(CHOSEN, "-1")


def test_the_mouse_points_and_a_click_keeps(lab, explorer):
    x, y = map(float, lab.ask("print(*explorer.embedding.framed()[-1][7])").split())
    box = plot(explorer).bounding_box()
    side = box["width"] - 2
    at = {"x": side * (0.5 + 0.465 * x), "y": side * (0.5 - 0.465 * y)}
    plot(explorer).hover(position=at)
    item = explorer.locator(".tlc-item").inner_text()
    where = f"explorer.embedding.framed()[-1][explorer.embedding.ids.index({item!r})]"
    assert lab.ask(f"print(abs({where} - [{x}, {y}]).max() < 0.02)") == "True"
    assert lab.ask(CHOSEN) == "-1"
    plot(explorer).click(position=at)
    lab.until(f"print(abs(explorer.embedding.framed()[-1][explorer.chosen] - [{x}, {y}]).max() < 0.02)", "True")
    lab.page.mouse.move(0, 0)
    assert explorer.locator(".tlc-thumb").is_visible()


def test_the_small_image_is_that_of_the_item(lab, explorer):
    for number in (0, 3):
        lab.ask(f"explorer.chosen = {number}")
        lab.until(CHOSEN, str(number))
        shown = explorer.locator(".tlc-thumb").evaluate(
            "c => [...c.getContext('2d').getImageData(8, 8, 16, 16).data].reduce((a, b) => a + b) / 1024"
        )
        mean = float(lab.ask(f"print((explorer.embedding.x[{number}].mean() * 3 + 255) / 4)"))
        assert abs(shown - mean) < 12


def test_colours_by_domain(lab, explorer):
    explorer.get_by_role("button", name="domain", exact=True).press("Enter")
    lab.until(BY, "domain")
    assert explorer.locator(".tlc-legend button").all_text_contents() == [" here 300", " there 100"]
    lab.ask("explorer.by = 'class'")
    explorer.locator(".tlc-legend button").nth(3).wait_for()


def test_the_legend_hides_a_class_and_keys_pass_it_by(lab, explorer):
    first = explorer.locator(".tlc-legend button").first
    first.click()
    assert first.get_attribute("aria-pressed") == "false"
    plot(explorer).press("Home")
    lab.until("print(explorer.embedding.y[explorer.chosen])", "1")
    first.click()


def test_an_item_that_is_hidden_is_not_told_of(lab, explorer):
    lab.ask("explorer.chosen = 0")
    near, buttons = explorer.locator(".tlc-near"), explorer.locator(".tlc-legend button")
    near.wait_for()
    for button in buttons.all():
        button.click()
    explorer.get_by_text("Point at an item").wait_for()
    assert near.count() == 0 and not explorer.locator(".tlc-thumb").is_visible()
    for button in buttons.all():
        button.click()
    near.wait_for()


def test_names_may_be_anything(lab, explorer):
    assert explorer.locator("img").count() == 0
    assert explorer.locator(".tlc-legend .tlc-name").all_inner_texts()[1:3] == [ODD, "שלום 🙂"]


def test_images_stand_in_place_of_points(lab, explorer):
    def picture():
        return explorer.locator(".tlc-plot canvas").evaluate("c => c.toDataURL()")

    button, points = explorer.get_by_role("button", name="images in place of points"), picture()
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true" and picture() != points
    lab.shot(explorer, "embedding-explorer-images")
    button.press("Enter")
    assert picture() == points


def test_a_dark_theme_changes_what_is_drawn(lab, explorer):
    """The rim of the points is as the ground, and the ring around the chosen one as the text."""

    def picture():
        return explorer.locator(".tlc-plot canvas").evaluate("c => c.toDataURL()")

    def until(seen, seconds=20):
        """Wait until what is drawn is so: a theme arrives when its style sheet does."""
        end = time.monotonic() + seconds
        while not seen(picture()) and time.monotonic() < end:
            lab.page.wait_for_timeout(100)
        return seen(picture())

    lab.ask("explorer.chosen = 5")
    lab.page.wait_for_timeout(400)
    light = picture()
    lab.theme("JupyterLab Dark")
    assert until(lambda now: now != light)
    lab.theme("JupyterLab Light")
    assert until(lambda now: now == light)


def test_two_hundred_stages_of_eight_hundred_texts(lab, explorer):
    many = lab.page.locator(".tlc-explorer").nth(1)
    many.wait_for()
    assert many.evaluate(ANSWERS) < HANGS
    plot(many).focus()
    for text in (f"{ODD} 🙂", "שלום עולם", ("long " * 60)[:299].strip() + "…"):
        plot(many).press("PageDown")
        many.locator(".tlc-item", has_text=text[:100].strip()).wait_for()
        assert many.locator(".tlc-item").inner_text()[:290] == text[:290]
    assert (
        many.locator(".tlc-quiet").inner_text().startswith("long long")
        and many.locator("img, canvas.tlc-thumb:visible").count() == 0
    )
    lab.until("print(many.chosen)", "2")
    assert many.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


def test_a_second_view_follows_and_a_closed_one_leaves_nothing(lab, explorer):
    lab.ask("explorer.chosen = 2")
    again = "from IPython.display import display; other = EmbeddingExplorer(explorer.embedding); print(other.stage)"
    assert lab.ask(again) == "9"
    lab.ask("other.close()")


def test_long_names_of_domains_are_cut(lab, explorer):
    line = lab.page.locator(".tlc-explorer").nth(2).locator(".tlc-legend p")
    assert line.bounding_box()["height"] < 60
    assert line.locator(".tlc-name").nth(1).get_attribute("title") == "e" * 500
