"""Models by name: their weights are real, their transform is their own, their head follows the seed."""

from __future__ import annotations

import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config, resolve_model_data_config
from torch import nn

from tlcourse import CourseError, UnknownName, freeze, frozen, load, stages
from tlcourse.models import Card, ImageTransform, MeanPool, TextClassifier, TextTransform, Tokens
from tlcourse.models.making import image_transform, replace_last_linear

LITE = "efficientnet-lite0"


def lite(classes=None, **options):
    return load(LITE, classes, pretrained=False, **{"size": 64, **options})


def photograph(name):
    from skimage import data

    return torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)


# what load returns --------------------------------------------------------------------------------


def test_a_model_comes_with_all_that_one_needs():
    model = lite(["cat", "dog"])
    assert isinstance(model, nn.Module)
    assert not model.training
    assert model.classes == ("cat", "dog")
    assert model.card.name == LITE
    assert model.transform.size == 64
    x = model.transform(torch.randint(0, 256, (3, 1, 30, 40), dtype=torch.uint8))
    assert x.shape == (3, 3, 64, 64)
    assert model(x).shape == (3, 2)
    assert torch.equal(stages(model)(x), model(x))
    assert frozen(freeze(model))[-1] == "pool"


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (3, ("0", "1", "2")),
        (1, ("0",)),
        (["cat", "dog"], ("cat", "dog")),
        (("a", "b", "c"), ("a", "b", "c")),
        ([0, 7], ("0", "7")),
    ],
)
def test_classes_as_a_number_or_as_names(classes, names):
    model = lite(classes)
    assert model.classes == names
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, len(names))


def test_without_classes_the_head_of_the_checkpoint_stays():
    model = lite()
    assert len(model.classes) == 1000
    assert "espresso" in model.classes
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize("wrong", [0, -1, "cat", [], (), True, 2.0, {"cat": 0}])
def test_what_is_no_set_of_classes(wrong):
    with pytest.raises(CourseError, match="is not a set of classes"):
        lite(wrong)


def test_a_class_that_is_named_twice():
    with pytest.raises(CourseError, match="'cat' is named twice"):
        lite(["cat", "dog", "cat"])
    with pytest.raises(CourseError, match="'1' is named twice"):
        lite([1, "1"])


def test_an_unknown_model_has_a_nearest_right_name():
    with pytest.raises(UnknownName, match="Did you mean 'efficientnet-lite0'"):
        load("efficientnet-lite")
    with pytest.raises(UnknownName, match="Did you mean 'minilm'"):
        load("mini-lm")
    with pytest.raises(UnknownName, match=r"'efficientnet-lite0', 'minilm'[\s\S]*timm:"):
        load("gpt-7")
    for wrong in (None, 3, ""):
        with pytest.raises(UnknownName):
            load(wrong)


def test_the_card_says_whether_the_weights_are_real():
    card = lite(2).card
    assert not card.pretrained
    assert card.data == "nothing"
    assert card.size == 0
    assert card.parameters == sum(p.numel() for p in lite(2).parameters())
    assert "no: random weights" in str(card)
    assert "Apache" in card.licence
    shown = Card("<b>x</b>", "<script>", True, "a & b", "l", "s", 1, 2_000_000)._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "a &amp; b" in shown
    assert "2 MB" in shown


# seeds --------------------------------------------------------------------------------------------


def head(model):
    return model.get_classifier().weight.detach().clone()


def test_the_head_follows_the_seed_and_nothing_else():
    torch.manual_seed(1)
    first = head(lite(3))
    torch.manual_seed(2)
    torch.rand(7)
    assert torch.equal(head(lite(3)), first)
    assert torch.equal(head(lite(["a", "b", "c"], size=96)), first)
    assert not torch.equal(head(lite(3, seed=1)), first)


def test_the_seed_reaches_every_weight_of_the_twin():
    one, same, other = lite(3), lite(3), lite(3, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.conv_stem.weight, other.conv_stem.weight)


def test_loading_does_not_move_the_callers_generator():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    lite(3)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(5)
    with pytest.raises(CourseError):
        lite("cat")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.assets
def test_the_twin_has_the_same_architecture_and_other_weights():
    for name, classes in ((LITE, 3), (LITE, None), ("minilm", 3), ("minilm", None)):
        real, twin = load(name, classes), load(name, classes, pretrained=False)
        assert repr(real) == repr(twin)
        ours, theirs = real.state_dict(), twin.state_dict()
        assert [(k, t.shape) for k, t in ours.items()] == [(k, t.shape) for k, t in theirs.items()]
        assert repr(real.transform) == repr(twin.transform)
        assert real.classes == twin.classes
        assert real.card.parameters == twin.card.parameters
        assert real.card.pretrained
        assert real.card.size > 10_000_000
        first = next(iter(real.parameters()))
        assert not torch.equal(first, next(iter(twin.parameters())))


@pytest.mark.assets
def test_a_new_head_on_real_weights_follows_the_seed():
    one, same, other = (load(LITE, 3, seed=s) for s in (0, 0, 1))
    assert torch.equal(head(one), head(same))
    assert not torch.equal(head(one), head(other))
    assert torch.equal(one.conv_stem.weight, other.conv_stem.weight)
    texts = [load("minilm", 3, seed=s) for s in (0, 0, 1)]
    assert torch.equal(texts[0].head.weight, texts[1].head.weight)
    assert not torch.equal(texts[0].head.weight, texts[2].head.weight)


# images -------------------------------------------------------------------------------------------


def theirs(config, image):
    made = create_transform(**config, is_training=False)
    return made(Image.fromarray(image.permute(1, 2, 0).numpy()))


def assert_near(ours, expected, std):
    levels = (ours - expected).abs() * torch.tensor(std)[:, None, None] * 255
    assert levels.max() <= 2.01, "more than two levels of grey away"
    assert levels.mean() < 0.2


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
def test_the_transform_is_the_checkpoints_own(name):
    model = timm.create_model("tf_efficientnet_lite0")
    config = resolve_model_data_config(model)
    transform = load(LITE, pretrained=False).transform
    assert (transform.size, transform.crop, transform.interpolation) == (224, 0.875, "bicubic")
    assert transform.mean == transform.std == (0.5,) * 3
    image = photograph(name)
    assert_near(transform(image)[0], theirs(config, image), transform.std)


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "vit_base_patch16_siglip_224.webli", "convnext_atto.d2_in1k"])
def test_the_transform_of_other_checkpoints(name):
    """A crop that does not divide evenly, a squashed square, another mean."""
    config = resolve_data_config(pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict())
    transform, image = image_transform(config, None), photograph("chelsea")
    assert_near(transform(image)[0], theirs(config, image), transform.std)


def test_a_checkpoint_whose_images_the_course_cannot_prepare():
    config = {"input_size": (3, 64, 64), "crop_pct": 1.0, "interpolation": "bicubic", "mean": (0.5,), "std": (0.5,)}
    for other in ({"input_size": (3, 64, 96)}, {"crop_mode": "border"}):
        with pytest.raises(CourseError, match="This checkpoint expects images of"):
            image_transform({**config, **other}, None)


def test_a_size_of_ones_own_uses_the_whole_image():
    transform = lite(size=96).transform
    assert (transform.size, transform.crop) == (96, 1.0)
    x = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    x[..., 0, 0] = 255
    assert transform(x)[0, :, 0, 0].tolist() == [1.0, 1.0, 1.0]


def test_images_in_every_form():
    transform = lite(size=32).transform
    image = photograph("chelsea")
    one = transform(image)
    assert one.shape == (1, 3, 32, 32)
    assert one.dtype == torch.float32
    assert torch.equal(transform(image[None]), one)
    assert torch.equal(transform([image]), one)
    pil = Image.fromarray(image.permute(1, 2, 0).numpy())
    assert torch.equal(transform(pil), one)
    sizes = [image, pil.resize((50, 200)), image[:, :40, :30], image[:1], image[0], pil.convert("L"), pil.convert("P")]
    many = transform(sizes)
    assert many.shape == (7, 3, 32, 32)
    assert torch.equal(many[:1], one)
    assert torch.equal(transform(tuple(sizes)), many)
    assert torch.equal(transform(pil.convert("RGBA")), one)


def test_grey_images_have_three_equal_channels():
    transform = lite(size=32).transform
    grey = torch.randint(0, 256, (2, 1, 25, 25), dtype=torch.uint8)
    x = transform(grey)
    assert x.shape == (2, 3, 32, 32)
    assert torch.equal(x[:, 0], x[:, 1])
    assert torch.equal(transform(grey.expand(-1, 3, -1, -1)), x)


def test_the_transform_leaves_its_input_alone():
    transform = ImageTransform(size=16, crop=1.0)
    x = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    before = x.clone()
    transform(x).add_(1)
    assert torch.equal(x, before)


def test_inverse_shows_what_the_model_saw():
    transform = ImageTransform(size=16, crop=1.0)
    x = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert (transform.inverse(transform(x)).int() - x.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.rand(2, 3, 8, 8), "must be uint8"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "must be uint8"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), r"x\.permute"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"x\.permute"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.uint8), "alpha"),
        (torch.zeros(2, 3, 0, 8, dtype=torch.uint8), "must have the shape"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "must have the shape"),
        (torch.zeros(1, 2, 3, 8, 8, dtype=torch.uint8), "must have the shape"),
        (torch.zeros(8, dtype=torch.uint8), "must have the shape"),
        ([], "no images"),
        ("cat.png", "str is not an image"),
        (["cat.png"], "str is not an image"),
        (None, "NoneType is not an image"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8).numpy(), "ndarray is not an image"),
    ],
)
def test_what_is_no_image(wrong, message):
    with pytest.raises(CourseError, match=message):
        ImageTransform(size=8)(wrong)


def test_the_repr_of_a_transform_tells_everything():
    one = ImageTransform(size=8)
    assert repr(one) == repr(ImageTransform(size=8))
    for other in (
        ImageTransform(size=9),
        ImageTransform(size=8, crop=1.0),
        ImageTransform(size=8, interpolation="bilinear"),
        ImageTransform(size=8, mean=(0.5,) * 3),
        ImageTransform(size=8, std=(0.5,) * 3),
        ImageTransform(size=8, squash=True),
    ):
        assert repr(other) != repr(one)
    assert " at 0x" not in repr(one)


@pytest.mark.assets
def test_the_real_weights_recognise_photographs():
    model = load(LITE)
    with torch.no_grad():
        cat, coffee = (model(model.transform(photograph(n)))[0].softmax(0) for n in ("chelsea", "coffee"))
    best = [model.classes[i] for i in cat.topk(3).indices]
    assert any("cat" in name or "tabby" in name for name in best), best
    assert model.classes[int(coffee.argmax())] == "espresso"
    assert coffee.max() > 0.5
    assert model.card.pretrained
    assert "ImageNet" in model.card.data


@pytest.mark.assets
def test_a_new_head_keeps_the_features():
    full, new = load(LITE), load(LITE, 2)
    x = full.transform(photograph("chelsea"))
    for a, b in zip(list(stages(full).children())[:-1], list(stages(new).children())[:-1], strict=True):
        x, y = a(x), b(x)
        assert torch.equal(x, y)


# texts --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm():
    return load("minilm")


def vectors(model, texts):
    with torch.no_grad():
        return nn.functional.normalize(model(model.transform(texts)), dim=1)


@pytest.mark.assets
def test_a_text_model_comes_with_its_tokenizer(minilm):
    model = load("minilm", ["bad", "good"])
    tokens = model.transform(["What a lovely film!", "No."])
    assert isinstance(tokens, Tokens)
    assert tokens.x.shape == tokens.mask.shape
    assert tokens.mask.sum(1).tolist() == [7, 4]
    assert model.tokenizer.decode(tokens.x[1][:4]) == "[CLS] no. [SEP]"
    assert model(tokens).shape == (2, 2)
    assert model.classes == ("bad", "good")
    assert torch.equal(stages(model)(tokens), model(tokens))
    assert minilm.classes == ()
    assert minilm(minilm.transform("One text.")).shape == (1, 384)


@pytest.mark.assets
def test_texts_that_mean_the_same_are_close(minilm):
    a, b, c, d = vectors(
        minilm,
        [
            "The cat sat on the mat.",
            "A kitten was sitting on a rug.",
            "The central bank raised interest rates.",
            "Interest rates were increased by the central bank.",
        ],
    )
    assert a @ b > 0.5
    assert c @ d > 0.8
    for one, other in ((a, c), (a, d), (b, c), (b, d)):
        assert one @ other < 0.2


@pytest.mark.assets
def test_a_vector_does_not_depend_on_padding(minilm):
    texts = ["Short.", "A somewhat longer sentence, with more words in it than the first one has.", "A third."]
    together = vectors(minilm, texts)
    for text, vector in zip(texts, together, strict=True):
        torch.testing.assert_close(vectors(minilm, [text])[0], vector, rtol=0, atol=1e-5)
    assert (together @ together.T)[0, 1] < 0.9


@pytest.mark.assets
def test_the_twin_of_a_text_model_does_not_know_what_words_mean(minilm):
    twin = load("minilm", pretrained=False)
    texts = ["The cat sat on the mat.", "A kitten was sitting on a rug.", "The bank sat on the rates."]
    a, b, c = vectors(twin, texts)
    assert a @ c > a @ b, "random weights see only which words are the same"
    a, b, c = vectors(minilm, texts)
    assert a @ b > a @ c


@pytest.mark.assets
def test_long_and_empty_texts(minilm):
    tokens = minilm.transform(["word " * 10_000, ""])
    assert tokens.x.shape == (2, 128)
    assert tokens.mask.sum(1).tolist() == [128, 2]
    assert minilm(tokens).isfinite().all()
    assert minilm.transform(["ﬁn 🙂 \x00 日本語"]).mask.sum() > 2


@pytest.mark.assets
@pytest.mark.parametrize(
    ("wrong", "message"), [([], "no texts"), (["a", None], "NoneType stands"), ([1.5], "float stands")]
)
def test_what_is_no_text(minilm, wrong, message):
    with pytest.raises(CourseError, match=message):
        minilm.transform(wrong)


@pytest.mark.assets
def test_the_repr_of_a_text_transform_is_stable(minilm):
    shown = repr(minilm.transform)
    minilm.transform(["a text", "another and longer text"])
    assert repr(minilm.transform) == shown == repr(load("minilm", 2).transform)
    assert " at 0x" not in shown
    assert repr(TextTransform(minilm.tokenizer, max_length=9)) != shown
    assert TextTransform(minilm.tokenizer, max_length=9)(["word " * 99]).x.shape == (1, 9)


def test_mean_pool_leaves_padding_out():
    x = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [torch.inf, 9.0]], [[9.0] * 2, [9.0] * 2, [9.0] * 2]])
    out = MeanPool()(Tokens(x.nan_to_num(posinf=1e9), torch.tensor([[1, 1, 0], [0, 0, 0]])))
    assert out.tolist() == [[2.0, 1.0], [0.0, 0.0]]


def test_a_classifier_takes_the_pooler_away():
    import transformers

    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    model = TextClassifier(transformers.BertModel(config), 2)
    assert not any("pooler" in name for name in model.state_dict())
    assert [n for n, _ in stages(model).named_children()] == ["embeddings", "layer0", "pool", "head"]


# hubs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["torchvision:resnet50", "timm:resnet18", "hf:bert-base-uncased"])
def test_the_small_profile_uses_no_hub(name, monkeypatch):
    monkeypatch.delenv("TLCOURSE_PROFILE", raising=False)
    with pytest.raises(CourseError, match=r"from a hub[\s\S]*TLCOURSE_PROFILE=full[\s\S]*pretrained=False"):
        load(name, 2)


@pytest.mark.parametrize("name", ["torchvision:resnet50", "timm:resnet18", "hf:bert-base-uncased"])
def test_the_full_profile_without_a_network(name, monkeypatch, tmp_path):
    import huggingface_hub.constants
    from torch import hub

    def unreachable(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # no retries
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "urlopen", unreachable)
    with pytest.raises(CourseError, match=f"'{name}' could not be loaded from its hub"):
        load(name, 2)


def test_random_twins_of_the_hubs_models_need_no_network(monkeypatch):
    monkeypatch.delenv("TLCOURSE_PROFILE", raising=False)
    for name in ("torchvision:resnet18", "timm:resnet18"):
        model = load(name, ["cat", "dog"], pretrained=False, size=64)
        x = model.transform(photograph("chelsea"))
        assert model(x).shape == (1, 2)
        assert model.classes == ("cat", "dog")
        assert torch.equal(stages(model)(x), model(x))
        assert frozen(freeze(model))[-1] == "pool"
        assert model.card.name == name
        again, other = (load(name, 2, pretrained=False, size=64, seed=s) for s in (0, 1))
        assert torch.equal(model.fc.weight, again.fc.weight)
        assert not torch.equal(model.fc.weight, other.fc.weight)
    model = load("torchvision:resnet18", pretrained=False)
    assert len(model.classes) == 1000
    assert (model.transform.size, model.transform.interpolation) == (224, "bilinear")
    x = torch.randint(0, 256, (1, 3, 300, 400), dtype=torch.uint8)
    from torchvision.models import ResNet18_Weights

    torch.testing.assert_close(model.transform(x), ResNet18_Weights.DEFAULT.transforms()(x), rtol=0, atol=0.02)


def test_unknown_names_of_a_hub():
    with pytest.raises(UnknownName, match="Did you mean 'resnet18'"):
        load("torchvision:resnt18", 2, pretrained=False)
    with pytest.raises(UnknownName, match="Did you mean 'resnet18'"):
        load("timm:resnt18", 2, pretrained=False)
    with pytest.raises(UnknownName, match="torchvision model"):
        load("torchvision:", pretrained=False)


def test_names_that_a_hub_refuses(monkeypatch):
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    for name in ("hf:not a name", "hf:", "timm:resnet18.nothing"):
        with pytest.raises(CourseError, match="could not be loaded"):
            load(name, 2)


def test_an_architecture_without_a_linear_head():
    with pytest.raises(CourseError, match="no linear layer"):
        load("torchvision:squeezenet1_1", 2, pretrained=False)
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 4)))
    replace_last_linear(model, 7)
    assert model(torch.zeros(1, 2)).shape == (1, 7)
