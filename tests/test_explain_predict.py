"""`predict`: any image or sentence in, the model's answer and what counted out; bad input gets a reason."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from small_nets import CLASSES, image_net, images, text_net
from test_explain_gradcam import same, trace
from torch import nn

from tlcourse import CourseError, load, load_dataset, photograph, predict
from tlcourse.explain.items import picture, sentence
from tlcourse.models import ImageTransform


@pytest.fixture(scope="module")
def network():
    return load("efficientnet-lite0")


def small(size=32, **options):
    net = image_net()
    net.transform, net.classes = ImageTransform(size=size, crop=1.0, **options), CLASSES
    return net


def words_net():
    net = text_net()
    net.classes = ("bad", "good")
    return net


def saved(image, format="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def coffee() -> Image.Image:
    return Image.fromarray(photograph("coffee").permute(1, 2, 0).numpy())


def test_it_says_what_the_network_says(network):
    made = predict(network, photograph("coffee"), top=3)
    with torch.no_grad():
        expected = network(network.transform(photograph("coffee"))).softmax(1)[0].topk(3)
    assert made.names == tuple(network.classes[i] for i in expected.indices)
    assert np.allclose(made.shares, expected.values, atol=1e-5)
    assert made.names[0] == "espresso" and made.classes == 1000
    assert made.where.shape == (3, 7, 7) and made.where.max((1, 2)).tolist() == [1, 1, 1] and made.where.min() >= 0
    assert made.picture.shape == (224, 224, 3) and "Grad-CAM at stage neck" in made.how
    assert str(made).startswith("espresso 95 %, cup 2 %") and "Half of what speaks for espresso" in str(made)


def test_the_cup_is_where_the_network_looks(network):
    # pasted into a corner of plain grey, the only thing to see is there
    canvas = torch.full((3, 224, 224), 128, dtype=torch.uint8)
    canvas[:, 112:, :112] = torch.from_numpy(np.array(coffee().resize((112, 112)))).permute(2, 0, 1)
    made = predict(network, canvas)
    # nearly all lies in the corner and on its edge; a map of 7 by 7 has no finer place
    assert made.where[0][3:, :4].sum() > 0.7 * made.where[0].sum()


@pytest.mark.parametrize("name", ["path", "text path", "bytes", "pil", "array", "tensor", "split"])
def test_an_image_may_come_in_any_form(network, tmp_path, name):
    file = tmp_path / "a cup.png"
    file.write_bytes(saved(coffee()))
    x = photograph("coffee")
    split = load_dataset("surfaces").test[0]
    item = {
        "path": file, "text path": str(file), "bytes": file.read_bytes(), "pil": coffee(),
        "array": np.asarray(coffee()), "tensor": x, "split": split,
    }[name]  # fmt: skip
    made = predict(network, item, top=1, where=False)
    if name == "split":
        assert made.names == (network.classes[network(network.transform(split.x)).argmax()],)
    else:
        assert made.names == ("espresso",) and made.where is None and made.looked() == ""
        assert made.shares[0] == pytest.approx(predict(network, x, where=False).shares[0], abs=1e-4)


MODES = {
    "CMYK": lambda im: saved(im.convert("CMYK"), "JPEG", quality=95),
    "palette": lambda im: saved(im.quantize(256), "PNG"),
    "palette GIF": lambda im: saved(im.quantize(256), "GIF"),
    "grey": lambda im: saved(im.convert("L"), "PNG"),
    "16 bit": lambda im: saved(
        Image.fromarray(np.asarray(im.convert("L")).astype(np.uint16) * 257), "PNG"
    ),
    "alpha": lambda im: saved(im.convert("RGBA"), "PNG"),
    "turned": lambda im: saved(im.rotate(90, expand=True), "JPEG", exif=_turned(6), quality=95),
    "webp": lambda im: saved(im, "WEBP"),
    "one bit": lambda im: saved(im.convert("1"), "PNG"),
}  # fmt: skip


def _turned(how):
    exif = Image.Exif()
    exif[274] = how
    return exif


@pytest.mark.parametrize("mode", MODES)
def test_files_of_any_colours(mode):
    net, cup = small(), coffee().resize((60, 40))
    made = predict(net, MODES[mode](cup), where=False)
    plain = predict(net, cup.convert("L") if mode in ("grey", "16 bit") else cup, where=False)
    far = np.abs(made.picture.astype(int) - plain.picture).mean()
    assert far < (60 if mode == "one bit" else 8), mode
    assert ("16" in " ".join(made.notes) or "8" in " ".join(made.notes)) == (mode == "16 bit")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
def test_pil_images_of_any_mode(mode):
    grey = coffee().resize((30, 20)).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode in ("I", "F"):
        image = Image.fromarray(
            np.asarray(grey).astype("int32" if mode == "I" else "float32") * (257 if mode == "I" else 1)
        )
    else:
        image = grey.convert("RGBA").convert("LA").convert("PA") if mode == "PA" else grey.convert("RGB").convert(mode)
    pixels, _ = picture(image)
    assert pixels.shape == (3, 20, 30) and pixels.dtype == torch.uint8
    if mode not in ("1", "P"):  # of few colours
        assert (pixels[0].float() - torch.from_numpy(np.array(grey)).float()).abs().mean() < 12


def test_a_photograph_turned_by_its_camera_and_opened_with_pil():
    turned = Image.open(io.BytesIO(MODES["turned"](coffee().resize((60, 40)))))
    assert picture(turned)[0].shape == (3, 40, 60)


def test_an_animation_is_told(network):
    frames = [coffee().resize((64, 64)).quantize(64), Image.new("P", (64, 64))]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert "Several pictures in one file: the first is used." in predict(small(), data).notes


def test_an_image_of_fifty_megapixels_is_read_smaller(network):
    tall = Image.new("RGB", (10_000, 5_000), "white")
    tall.paste(coffee().resize((5_000, 5_000)), (2_500, 0))
    made = predict(network, saved(tall, "JPEG"), top=1)
    assert made.names == ("espresso",)


def test_too_many_pixels_are_refused_with_the_limit():
    # a header is enough: nothing is decoded
    data = bytearray(saved(Image.new("1", (8, 8)), "PNG"))
    import struct
    import zlib

    data[16:24] = struct.pack(">II", 10_000, 9_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    with pytest.raises(CourseError, match=r"90 million pixels, more than 64 million"):
        predict(small(), bytes(data))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (lambda: b"", "empty"),
        (lambda: b"Dear diary, today", "it is text, not an image: it begins with 'Dear diary"),
        (lambda: saved(coffee(), "JPEG")[:2000], "damaged"),
        (lambda: saved(coffee(), "PNG")[:2000], "damaged"),
        (lambda: b"<svg onload=alert(1)></svg>", "drawing"),
        (lambda: b"\x00\x01\x02" * 50, "not an image in a format"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "svg", "noise"],
)
def test_files_that_are_no_images(data, match):
    with pytest.raises(CourseError, match=match):
        predict(small(), data())


@pytest.mark.parametrize(
    ("item", "match"),
    [
        ("nowhere.jpg", "there is no such file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        (".", "not a file"),
        (None, "NoneType is not an image"),
        (3.5, "float is not an image"),
        (np.array(["a"]), "is not an image"),
        (np.zeros((5, 5, 2), "uint8"), r"has \[5, 5, 2\]"),
        (np.zeros((0, 5, 3), "uint8"), "needs the shape"),
        (np.full((4, 4, 3), -1.0), "not pixels: float64"),
        (np.full((4, 4, 3), np.nan), "not pixels"),
        (np.full((4, 4, 3), 300), "not pixels: int64"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "One is needed, not 2"),
        (["a.png", "b.png"], "One is needed, not 2"),
    ],
)
def test_what_is_no_image(item, match):
    with pytest.raises(CourseError, match=match):
        predict(small(), item)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((6, 7), "uint8"),
        np.zeros((6, 7, 4), "uint8"),
        np.zeros((6, 7, 1), bool),
        np.ones((6, 7, 3), "float32"),
        np.zeros((3, 6, 7), "int64"),
        torch.rand(1, 6, 7),
        [np.zeros((6, 7, 3), "uint8")],
    ],
)
def test_arrays_of_any_layout(x):
    pixels, _ = picture(x)
    assert pixels.shape == (3, 6, 7) and pixels.dtype == torch.uint8


def test_transparent_parts_of_an_array_are_white():
    assert picture(np.zeros((2, 2, 4), "uint8"))[0].min() == 255


def test_a_sentence_and_its_words():
    net = words_net()
    made = predict(net, "aaa xx e")
    assert made.kind == "text" and set(made.names) == {"bad", "good"} and made.parts == ("aaa", "xx", "e")
    assert made.weights.shape == (2, 3) and np.allclose(made.weights.sum(0), 0, atol=1e-6)
    without = predict(net, "aaa e", where=False)
    shares = dict(zip(without.names, without.shares, strict=True))
    assert made.weights[0, 1] == pytest.approx(made.shares[0] - shares[made.names[0]], abs=1e-5)
    assert made.how == "each word left out in turn"


@pytest.mark.parametrize(
    "text", ["👍🏽 👨‍👩‍👧", "שלום עולם טוב", "<img src=x onerror=alert(1)>", "a\nb\tc", "ok \ud83d half", "真好", "x"]
)
def test_texts_of_any_kind(text):
    made = predict(load("minilm", classes=["<b>bad</b>", "good"]), text)
    assert made.parts and sum(made.shares) == pytest.approx(1) and str(made)
    assert "<b>bad" not in made._repr_html_() and "<img" not in made._repr_html_()


def test_a_very_long_text_is_read_to_where_the_model_reads():
    made = predict(load("minilm", classes=2), "very good " * 2000)
    assert "The model reads the first 126 of 4000 words; the rest does not count." in made.notes
    assert len(made.parts) <= 48 and "few words" in made.how


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a" * 50_000, "1 word is unknown to the model, which reads a blank there."),
        ("a-b" * 20_000, "The model reads the first 188 of 60,000 letters; the rest does not count."),
        ("fine " + "b" * 500 + " " + "c" * 500, "2 words are unknown to the model, which reads a blank there."),
        ("A plain sentence.", ""),
    ],
    ids=["one word", "one run of letters", "two words", "plain"],
)
def test_what_of_a_text_is_not_read_is_told(text, note):
    made = predict(load("minilm", classes=["bad", "good"]), text)
    assert made.notes == ((note,) if note else ())


@pytest.mark.parametrize(
    ("item", "match"), [("", "empty"), (" \n", "empty"), (3, "not a int"), (None, "not a None"), (b"ab", "not a bytes")]
)
def test_what_is_no_sentence(item, match):
    with pytest.raises(CourseError, match=match):
        sentence(item)


def test_the_model_stays_as_it_was():
    net = image_net(dropout=0.5).train()
    before = trace(net)
    predict(net, images(1).x[0])
    assert same(before, trace(net))


def test_a_model_without_names_and_one_with_two_cranes(network):
    net = small()
    net.classes = ()
    made = predict(net, images(1).x[0], where=False)
    assert set(made.names) == {"class 0", "class 1"} and "no names for its classes" in made.notes[0]
    assert len([i for i, name in enumerate(network.classes) if name == "crane"]) == 2


def test_a_vision_transformer_is_asked_by_covering():
    import timm

    net = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3, depth=2)
    net.transform = ImageTransform(size=32)
    made = predict(net, photograph("cat"))
    assert made.where.shape == (3, 7, 7) and made.how == (
        "no stage gives a map of places, so 49 squares were covered in turn"
    )


def test_a_model_whose_stages_are_not_known_is_covered_too():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(x.mean((2, 3)))

    net = Net()
    net.transform = ImageTransform(size=16)
    assert predict(net, photograph("cat")).where.shape == (2, 7, 7)


def test_what_no_place_speaks_for_is_said_so():
    net = small()
    with torch.no_grad():
        net.head[1].weight.zero_()
    made = predict(net, images(1).x[0])
    assert made.where.max() == 0 and "No place of the picture speaks for" in made.looked()


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: image_net().apply(_broken), "scores are not numbers"),
        (lambda: nn.Linear(2, 2), "no transform of its own"),
        (lambda: "efficientnet", "A model is needed"),
    ],
)
def test_models_that_cannot_say(model, match):
    with pytest.raises(CourseError, match=match):
        predict(model(), photograph("cat"))


@pytest.mark.parametrize("name", ["minilm", "backbone"])
def test_a_model_without_a_head_names_nothing(name):
    model, item = load("minilm"), "Well done."
    if name == "backbone":
        model, item = load("efficientnet-lite0", pretrained=False, size=32), photograph("cat")
        model.classifier = nn.Identity()
    with pytest.raises(CourseError, match="no head"):
        predict(model, item)


def _broken(module):
    if isinstance(module, nn.Linear):
        nn.init.constant_(module.weight, float("nan"))


@pytest.mark.parametrize("top", [0, -1, 2.5, True])
def test_a_number_of_classes_that_will_not_do(top):
    with pytest.raises(CourseError):
        predict(small(), photograph("cat"), top=top)


def test_more_classes_than_there_are():
    assert len(predict(small(), photograph("cat"), top=99, where=False).names) == 2
