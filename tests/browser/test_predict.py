"""The prediction widget, driven by mouse and by keys, with good files and bad ones; the kernel is asked what it saw."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tlcourse import photograph

MAKE = """
from tlcourse import Predict, load
import timm, torch
network = load("efficientnet-lite0")
asking = Predict(network, top=3)
asking
"""
ODD = "<img src=x onerror=alert(1)>"
TEXT = f"""
from tlcourse import Predict, load
import torch
model = load("minilm", classes=["{ODD}", "good 🙂"])
torch.manual_seed(0)
_ = torch.nn.init.normal_(model.head.weight, std=0.4)
reading = Predict(model)
reading
"""
BEST, TURN = "print(asking.prediction.names[0])", "print(asking.state['turn'])"
DROP = """(root, [name, type, data]) => {
    const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), carried = new DataTransfer();
    carried.items.add(new File([bytes], name, {type}));
    for (const kind of ['dragenter', 'dragover', 'drop']) {
        root.querySelector('.tlc-ask').dispatchEvent(
            new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
    }
}"""


def image(name="coffee", **to) -> Image.Image:
    return Image.fromarray(photograph(name).permute(1, 2, 0).numpy())


def saved(picture, kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def exif(how):
    tags = Image.Exif()
    tags[274] = how
    return tags


def noisy(megapixels: float) -> bytes:
    """A large PNG: noise does not compress."""
    side = int((megapixels * 1e6) ** 0.5)
    return saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)))


@pytest.fixture(scope="module")
def pages(lab):
    lab.open(lab.server.write("predict.ipynb", MAKE, TEXT))
    lab.run_all()
    found = lab.page.locator(".tlc-of-image").first, lab.page.locator(".tlc-of-text").first
    for shown in found:
        shown.wait_for(timeout=60_000)
    found[0].locator(".tlc-bars button").first.wait_for()
    yield found
    assert lab.errors() == [] and lab.problems == []
    lab.close()


@pytest.fixture
def asking(lab, pages):
    lab.ask("from tlcourse import photograph; _ = asking.ask(photograph('coffee'), 'coffee')")
    pages[0].get_by_role("button", name="espresso").wait_for()
    return pages[0]


@pytest.fixture
def reading(pages):
    return pages[1]


def give(lab, asking, name, data, kind="application/octet-stream"):
    """Choose a file, and wait for the answer or for the line that says why not."""
    with lab.page.expect_file_chooser() as chooser:
        button = asking.get_by_role("button", name="Choose a file")
        button.focus()
        button.press("Enter")
    chooser.value.set_files({"name": name, "mimeType": kind, "buffer": data})
    done(asking)


def done(asking):
    asking.locator(".tlc-busy:empty").wait_for(state="attached", timeout=30_000)
    asking.and_(asking.page.locator(":not([aria-busy])")).wait_for()


def drop(asking, name, data, kind="image/png"):
    asking.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])
    done(asking)


def line(asking):
    return asking.locator(".tlc-status").inner_text()


def lightness(asking, corner):
    return asking.locator("canvas").evaluate(
        """(c, [x, y]) => {
            const p = c.getContext('2d').getImageData(x * c.width, y * c.height, c.width / 4, c.height / 4).data;
            return p.reduce((a, b) => a + b) / p.length;
        }""",
        corner,
    )


def test_it_begins_with_a_photograph(lab, asking):
    assert asking.locator(".tlc-bars button").count() == 3
    assert asking.locator(".tlc-bars button").first.inner_text().split() == ["espresso", "95.1", "%"]
    assert "Half of what speaks for espresso" in asking.locator(".tlc-said").inner_text()
    assert asking.locator("canvas").get_attribute("aria-label").startswith("What the model saw of coffee. Half of")


def test_a_file_is_chosen_by_keyboard(lab, asking):
    give(lab, asking, "my tripod.png", saved(image("camera")))
    lab.until(BEST, "tripod")
    assert asking.locator(".tlc-seen .tlc-name").inner_text() == "my tripod.png"
    assert line(asking) == ""


def test_an_image_is_dropped(lab, asking):
    drop(asking, f"{ODD} 🙂.jpg", saved(image("motorcycle"), "JPEG"))
    lab.until(BEST, "moped")
    assert asking.locator(".tlc-seen .tlc-name").inner_text() == f"{ODD} 🙂.jpg"
    assert asking.locator("img").count() == 0


def test_a_photograph_of_the_course_is_picked_by_keyboard(lab, asking):
    asking.get_by_label("A photograph of the course").select_option("rocket")
    lab.until("print(asking.state['source'])", "rocket")


def test_each_class_has_its_own_map_and_the_veil_is_lifted(lab, asking):
    first = lightness(asking, [0, 0.75])
    second = asking.locator(".tlc-bars button").nth(1)
    second.focus()
    second.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"
    assert "speaks for cup" in asking.locator(".tlc-said").inner_text()
    assert lightness(asking, [0, 0.75]) != first
    asking.get_by_role("button", name="show where it looked").click()
    plain = lightness(asking, [0, 0.75])
    assert plain > first
    asking.get_by_role("button", name="show where it looked").click()


FILES = {
    "animation.gif": (lambda: saved(image().quantize(64), "GIF", save_all=True,
                                    append_images=[Image.new("P", image().size)]), "the first is used"),
    "cmyk.jpg": (lambda: saved(image().convert("CMYK"), "JPEG"), ""),
    "sixteen bits.png": (lambda: saved(Image.fromarray(np.asarray(image().convert("L")).astype("uint16") * 257)),
                         "scaled to 8"),
    "palette.png": (lambda: saved(image().quantize(200)), ""),
    "turned.jpg": (lambda: saved(image().rotate(90, expand=True), "JPEG", exif=exif(6)), ""),
    "fifty megapixels.jpg": (lambda: saved(image().resize((8660, 5774)), "JPEG", quality=30), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_of_any_kind(lab, asking, name):
    data, note = FILES[name]
    give(lab, asking, name, data())
    lab.until("print(asking.state['source'])", name)
    assert lab.ask(BEST) == "espresso" and line(asking) == ""
    assert note in asking.locator(".tlc-notes").inner_text()


def test_a_file_of_many_megabytes_is_made_smaller_first(lab, asking):
    data = noisy(9)
    assert len(data) > 20e6
    drop(asking, "noise.png", data)
    lab.until("print(asking.state['source'])", "noise.png", seconds=30)
    assert (
        "made smaller before it was sent: 3000 × 3000 became 1024 × 1024" in asking.locator(".tlc-notes").inner_text()
    )


BAD = {
    "cut.jpg": (lambda: saved(image(), "JPEG")[:3000], "'cut.jpg' cannot be read", "damaged"),
    "diary.txt": (lambda: b"Dear diary, " * 9, "'diary.txt' cannot be read", "it is text, not an image"),
    "empty.png": (lambda: b"", "'empty.png' cannot be read", "the file is empty"),
    "many.png": (lambda: saved(Image.new("1", (9000, 9000))), "81 million pixels, more than 64 million", "scale it"),
    "large.bin": (lambda: bytes(5_000_000), "“large.bin” has 5 MB", "Up to 4 MB are sent as they are"),
    f"{ODD}.png": (lambda: b"<svg></svg>", f"'{ODD}.png' cannot be read", "web page or a drawing"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_gets_a_line_and_loses_nothing(lab, asking, name):
    data, *told = BAD[name]
    turn = lab.ask(TURN)
    for _ in range(2):  # the same line twice is no reason to wait for ever
        drop(asking, name, data(), "application/octet-stream")
        asking.locator(".tlc-status", has_text=told[0]).wait_for()
        assert told[1] in line(asking)
    assert lab.ask(TURN) == turn and asking.get_by_role("button", name="espresso").is_visible()
    assert asking.locator("img").count() == 0
    drop(asking, "good.png", saved(image("camera")))
    lab.until(BEST, "tripod")
    asking.locator(".tlc-status:empty").wait_for(state="attached")


def test_a_model_that_has_changed_says_so(lab, asking):
    lab.page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")  # another cell runs
    lab.ask("before = network.classifier.weight.detach().clone()")
    lab.ask("torch.nn.init.zeros_(network.classifier.weight); asking.refresh()")
    asking.locator(".tlc-status", has_text="has changed since this answer").wait_for()
    lab.ask("with torch.no_grad(): network.classifier.weight.copy_(before)")


def test_a_sentence_is_typed(lab, reading):
    typed = reading.get_by_role("textbox")
    typed.fill("It is good, but it broke.")
    typed.press("Enter")
    lab.until("print(reading.prediction.text)", "It is good, but it broke.")
    assert reading.locator(".tlc-letters").all_text_contents() == ["It", "is", "good,", "but", "it", "broke."]
    weights = [w.strip() for w in reading.locator(".tlc-points").all_text_contents()]
    told = "f'{100 * w:+.0f}'.replace('-', '−') if abs(w) >= .005 else ''"
    first = lab.ask(f"print([{told} for w in reading.prediction.weights[0]])")
    assert str(weights) == first
    reading.locator(".tlc-bars button").nth(1).click()
    other = [w.strip() for w in reading.locator(".tlc-points").all_text_contents()]
    assert [w.translate(str.maketrans("+−", "−+")) for w in other] == weights
    assert reading.locator("img").count() == 0 and ODD in reading.locator(".tlc-bars").inner_text()


@pytest.mark.parametrize("text", ["👍🏽 👨‍👩‍👧 super", "שלום עולם טוב", ODD, "very good " * 900])
def test_any_sentence(lab, reading, text):
    reading.get_by_role("textbox").fill(text)
    reading.get_by_role("button", name="Ask").click()
    done(reading)
    lab.until("print(len(reading.prediction.parts) > 0)", "True")
    shown = reading.locator(".tlc-text").evaluate(
        "e => [...e.querySelectorAll('.tlc-letters')].map(x => x.textContent)"
    )
    assert shown == list(eval(lab.ask("print(reading.prediction.parts)")))
    assert reading.locator("img").count() == 0
    if len(text) > 1000:
        assert "reads the first 126 of 1800 words" in reading.locator(".tlc-notes").inner_text()


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_sentence(lab, reading, text):
    reading.get_by_role("textbox").fill("fine")
    reading.get_by_role("button", name="Ask").click()
    lab.until("print(reading.prediction.text)", "fine")
    reading.get_by_role("textbox").fill(text)
    reading.get_by_role("button", name="Ask").click()
    reading.locator(".tlc-status", has_text="The text is empty").wait_for()
    assert lab.ask("print(reading.prediction.text)") == "fine"


def test_keys_in_the_box_are_not_commands_of_jupyterlab(lab, reading):
    cells = "window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = lab.page.evaluate(cells)
    typed = reading.get_by_role("textbox")
    typed.fill("")
    typed.press_sequentially("abdd")
    typed.press("Shift+Enter")
    typed.press_sequentially("x")
    assert typed.input_value() == "abdd\nx" and lab.page.evaluate(cells) == before


def test_how_a_refusal_looks(lab, asking):
    drop(asking, "diary.txt", b"Dear diary", "text/plain")
    lab.shot(asking, "predict-refused")


def test_a_file_dropped_on_a_model_of_sentences(lab, reading):
    reading.evaluate(DROP, ["a.txt", "text/plain", ""])
    assert "This model reads sentences" in line(reading)
