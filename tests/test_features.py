"""`extract` gives what the chain gives, whatever is asked of it at once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from small_nets import Letters, Scale, image_net, images, text_net, texts
from torch import nn
from torchvision.transforms import v2

from tlcourse import CourseError, UnknownName, extract, hardware, load, set_stages, stages
from tlcourse.datasets import Split
from tlcourse.features import Features, room
from tlcourse.models import Tokens


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def by_hand(model, x, stage):
    """The chain up to a stage, one after the other."""
    with torch.no_grad():
        for name, step in stages(model.eval()).named_children():
            x = step(x)
            if name == stage:
                return x
    raise AssertionError(stage)


@pytest.mark.parametrize("stage", ["stem", "body", "neck", "pool", "head"])
def test_images_pass_the_chain_in_evaluation_mode(stage):
    net, data = image_net(dropout=0.5).train(), images()
    features = extract(net, data, stage, batch=7)
    expected = by_hand(image_net(), Scale()(data.x), stage)
    assert torch.allclose(features.x, expected, atol=1e-6)
    assert features.stage == stage and not features.kept
    assert features.y.tolist() == data.y.tolist() and features.ids == data.ids and features.classes == data.classes


def test_several_stages_in_one_pass_equal_one_at_a_time():
    passes = []
    net, data = image_net(), images()
    net.stem.register_forward_hook(lambda *_: passes.append(1))
    several = extract(net, data, ["body", "stem", "pool"], batch=100, cache=False)
    assert len(passes) == 1 and list(several) == ["body", "stem", "pool"]
    for stage, features in several.items():
        # the body begins with a ReLU in place: it must not reach into what was taken at the stem
        assert torch.equal(features.x, extract(net, data, stage, batch=100, cache=False).x), stage


@pytest.mark.parametrize("stage", ["embeddings", "layer1", "pool"])
def test_texts_come_back_in_their_order_and_padding_does_not_leak(stage):
    net, data = text_net().train(), texts()
    features = extract(net, data, stage, batch=5)
    for i, text in enumerate(data.x):
        alone = by_hand(net, net.transform([text]), stage)
        if stage == "pool":
            assert torch.allclose(features.x[i], alone[0], atol=1e-5)
        else:
            assert features.mask[i].sum() == len(text)
            assert torch.allclose(features.x[i, : len(text)], alone.x[0], atol=1e-5)
            assert features.mask[i, len(text) :].sum() == 0


def test_a_text_of_few_letters_may_have_many_tokens():
    @dataclass(frozen=True)
    class Upside(Letters):
        def __call__(self, some):
            return super().__call__([text[0] * (20 - len(text)) for text in some])

    net, data = text_net(), texts()
    features = extract(net, data, "embeddings", transform=Upside(), batch=5)
    assert features.mask.sum(1).tolist() == [20 - len(text) for text in data.x]
    whole = by_hand(net, Upside()(data.x), "embeddings")
    assert torch.allclose(features.x * features.mask[..., None], whole.x * whole.mask[..., None], atol=1e-5)


def test_pooled_maps_are_averaged_over_places_and_texts_over_their_own_tokens():
    data = images()
    whole, pooled = (extract(image_net(), data, "body", pooled=p) for p in (False, True))
    assert torch.allclose(pooled.x, whole.x.mean((2, 3)), atol=1e-6)
    data = texts()
    pooled = extract(text_net(), data, "layer3", pooled=True, batch=6)
    assert torch.allclose(pooled.x, extract(text_net(), data, "pool", batch=24).x, atol=1e-5)
    assert pooled.mask is None


@pytest.mark.parametrize("fails", [False, True])
def test_every_module_has_its_mode_back(fails):
    net = image_net().train()
    net.body.eval()
    before = [module.training for module in net.modules()]

    def transform(x):
        if fails:
            raise RuntimeError("broken on purpose")
        return Scale()(x)

    net.transform = transform
    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            extract(net, images())
    else:
        extract(net, images())
    assert [module.training for module in net.modules()] == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("kept", [False, True])
def test_a_head_can_be_trained_on_features(kept):
    net, data = image_net(), images()
    if kept:
        extract(net, data)
    features = extract(net, data)
    assert features.kept is kept and not features.x.requires_grad and not features.x.is_inference()
    head = nn.Linear(8, 2)
    nn.functional.cross_entropy(head(features.x), features.y).backward()
    assert head.weight.grad.abs().sum() > 0
    features.x.add_(1)  # private to this process: the file keeps what it held
    assert torch.allclose(extract(net, data).x + 1, features.x)


def test_float16_halves_the_size_and_goes_on_in_float32():
    full, half = (extract(image_net(), images(), "body", dtype=d) for d in (torch.float32, torch.float16))
    assert half.x.dtype == torch.float16 and half.x.nbytes * 2 == full.x.nbytes
    assert torch.allclose(half.x.float(), full.x, atol=1e-2)
    assert half.batch(torch.tensor([0, 3])).dtype == torch.float32


def test_modules_beside_the_model_are_in_evaluation_mode_too():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 8), nn.Linear(4, 2)

    net = Net()
    set_stages(net, {"body": [net.conv, nn.Flatten(), nn.Dropout(0.5)], "head": net.fc})
    features = extract(net, images(), "body", transform=Scale())
    assert (features.x == 0).sum() == 0


# random views ------------------------------------------------------------------------------------


def test_views_differ_are_reproducible_and_belong_to_their_item():
    data, flip = images(), v2.RandomHorizontalFlip()
    net = nn.Sequential(nn.Flatten())
    net.transform = Scale()
    views = extract(net, data, "0", augment=flip, views=6, batch=5, cache=False, seed=3)
    assert views.x.shape == (24, 6, 3 * 8 * 8) and views.views == 6
    straight = Scale()(data.x).flatten(1)
    turned = Scale()(data.x.flip(-1)).flatten(1)
    is_straight = (views.x == straight[:, None]).all(-1)
    assert (is_straight | (views.x == turned[:, None]).all(-1)).all()
    share = is_straight.float().mean()
    assert 0.3 < share < 0.7
    assert len({tuple(v.tolist()) for v in is_straight.T}) == 6, "the images of a batch were all turned alike"
    again, other = (extract(net, data, "0", augment=flip, views=6, batch=5, cache=False, seed=s) for s in (3, 4))
    assert torch.equal(again.x, views.x) and not torch.equal(other.x, views.x)
    assert views[5].x.shape == (1, 6, 192) and torch.equal(views[5].x[0], views.x[5])
    x, y = views.flat()
    assert torch.equal(x[6:12], views.x[1]) and y[6:12].tolist() == [int(data.y[1])] * 6
    assert torch.equal(views.batch(torch.tensor([2]), view=7), views.x[2:3, 1])


@pytest.mark.parametrize(
    "random",
    [
        v2.RandomHorizontalFlip(0.01),
        v2.Compose([v2.RandomRotation(5), v2.ToDtype(torch.float32, scale=True)]),
        v2.ColorJitter(0.1),
        lambda x: x.float() + torch.rand(1),
    ],
)
def test_random_images_are_refused_without_views(random):
    net, data = nn.Sequential(nn.Flatten()), images()
    for more in ({"transform": random}, {"transform": Scale(), "augment": random}):
        with pytest.raises(CourseError, match="views=4"):
            extract(net, data, "0", **more)


def test_the_random_numbers_of_the_caller_go_on_as_if_nothing_happened():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    extract(image_net(), images(), augment=v2.RandomHorizontalFlip(), views=2)
    extract(image_net(), images(), transform=lambda x: x.float())
    assert torch.equal(torch.rand(3), expected)


# what comes back ---------------------------------------------------------------------------------


def test_features_are_chosen_like_the_data():
    data = images()
    features = extract(image_net(), data)
    for index in (3, slice(2, 9), [4, 1], data.y == 1, (data.y == 1).numpy()):
        chosen = features[index]
        assert chosen.ids == data[index].ids and chosen.y.tolist() == data[index].y.tolist()
        assert torch.equal(chosen.x, torch.stack([features.x[data.ids.index(i)] for i in chosen.ids]))
    assert features.shots(3, seed=2).ids == data.shots(3, seed=2).ids
    text = extract(text_net(), texts(), "layer1")[[2, 0]]
    assert text.mask.sum(1).tolist() == [len(texts().x[2]), len(texts().x[0])]


def test_features_tell_what_they_are_and_what_they_cost():
    features = extract(image_net(), images(), "body")
    assert "24 items of 2 classes" in repr(features) and "6x3x3 each" in repr(features) and "computed" in repr(features)
    assert features.seconds > 0 and features.memory > 10
    data = images()
    odd = Split("train", "image", data.x, data.y, ("<b>", "&"), data.ids)
    assert "<b>" not in extract(image_net(), odd)._repr_html_().removeprefix("<p>")


def test_a_batch_of_texts_is_cut_to_its_longest():
    data = texts()
    features = extract(text_net(), data, "layer1")
    short = sorted(range(len(data)), key=lambda i: len(data.x[i]))[:3]
    batch = features.batch(torch.tensor(short))
    assert isinstance(batch, Tokens) and batch.x.shape[1] == batch.mask.shape[1] == len(data.x[short[2]])


# memory ------------------------------------------------------------------------------------------


def test_inputs_are_made_a_batch_at_a_time():
    seen = []

    @dataclass(frozen=True)
    class Watching(Scale):
        def __call__(self, x):
            seen.append(len(x))
            return super().__call__(x)

    extract(image_net(), images(50), transform=Watching(), batch=8, views=1, cache=False)
    assert max(seen) == 8


ONE_COPY = """
import sys, psutil
sys.path.insert(0, {here!r})
from small_nets import Scale, images
from torch import nn
from tlcourse.features import extract

net = nn.Sequential(nn.ReLU(), nn.Upsample(scale_factor=16))
net.transform = Scale()
extract(net, images(16), "1", batch=8, cache=False)
before = psutil.Process().memory_info().rss
features = extract(net, images(400), "1", batch=8, cache=False)
print((features.memory * 1e6 - before) / features.x.nbytes)
"""


def test_memory_holds_one_copy_of_the_features():
    # in a process of its own: memory that an earlier test has freed would be used again
    done = subprocess.run(
        [sys.executable, "-c", ONE_COPY.format(here=str(Path(__file__).parent))], capture_output=True, text=True
    )
    assert 0.8 < float(done.stdout) < 1.7, done.stderr


def test_features_that_do_not_fit_are_refused_before_the_kernel_dies(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: (50_000, 50_000))
    with pytest.raises(CourseError, match="pooled=True"):
        extract(image_net(), images(4000), "stem", cache=False)
    assert len(extract(image_net(), images(100), "stem", pooled=True, cache=False)) == 100
    assert hardware.free_memory()[0] > 1_000_000


# wrong calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"stage": "bodi"}, "Did you mean 'body'"),
        ({"data": images().x}, "not from a Tensor"),
        ({"data": images()[:0]}, "empty"),
        ({"views": 0}, "views=0"),
        ({"batch": 0}, "batch=0"),
        ({"transform": lambda x: [1]}, "returned a list"),
        ({"data": texts(), "augment": v2.RandomHorizontalFlip(), "views": 2}, "texts"),
    ],
)
def test_wrong_calls_say_what_to_do(more, says):
    with pytest.raises(CourseError, match=says):
        extract(**{"model": image_net(), "data": images(), "transform": None, **more})
    assert issubclass(UnknownName, CourseError)


def test_a_model_without_a_transform_is_told_to_have_one():
    net = image_net()
    del net.transform
    with pytest.raises(CourseError, match="transform="):
        extract(net, images())


def test_a_real_network_at_every_stage():
    net = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    data = images(6)
    names = [name for name, _ in stages(net).named_children()]
    for name, features in extract(net, data, names, batch=4, cache=False).items():
        assert torch.allclose(features.x, by_hand(net, net.transform(data.x), name), atol=1e-4), name


def test_features_labels_and_ids_must_be_of_the_same_items():
    x, y = torch.zeros(4, 2), torch.tensor([0, 1])
    with pytest.raises(CourseError, match="x has 4, y has 2, ids has 2"):
        Features(x, y, ("a", "b"), ("low", "high"), "pool")
    assert Features(x[:2], None, ("a", "b"), ("low", "high"), "pool").y is None
