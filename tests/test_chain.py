"""A chain of stages is the model: the same numbers, the same modules, every tensor in exactly one stage."""

from __future__ import annotations

import copy
import io

import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn
from torch.nn import functional as F

from tlcourse import CourseError, UnknownName, set_stages, stages
from tlcourse.chain import pick
from tlcourse.models import TextClassifier, Tokens


def names(model):
    return [name for name, _ in stages(model).named_children()]


def numbered(name, n, start=1):
    return [f"{name}{i}" for i in range(start, n + start)]


def timm_model(name, **options):
    return lambda: timm.create_model(name, num_classes=5, **options)


def tv_model(name, **options):
    return lambda: torchvision.models.get_model(name, weights=None, num_classes=5, **options)


IMAGES = {
    # name: (how it is made, side of its images, its stages)
    "timm efficientnet": (
        timm_model("tf_efficientnet_lite0", drop_rate=0.2, drop_path_rate=0.2),
        64,
        ["stem", *numbered("stage", 7), "neck", "pool", "head"],
    ),
    "timm mobilenetv3": (
        timm_model("mobilenetv3_small_050", drop_rate=0.2),
        64,
        ["stem", *numbered("stage", 6), "pool", "neck", "head"],
    ),
    "timm resnet18": (
        timm_model("resnet18", drop_rate=0.3, drop_path_rate=0.2),
        64,
        ["stem", *numbered("stage", 4), "pool", "head"],
    ),
    "timm regnet": (
        timm_model("regnetx_002", drop_rate=0.2),
        64,
        ["stem", *numbered("stage", 4), "neck", "pool", "head"],
    ),
    "timm convnext": (
        timm_model("convnext_tiny", drop_rate=0.2, drop_path_rate=0.2),
        64,
        ["stem", *numbered("stage", 4), "neck", "pool", "head"],
    ),
    "timm convnext, norm first": (
        timm_model("convnext_atto", head_norm_first=True, drop_rate=0.2),
        64,
        ["stem", *numbered("stage", 4), "neck", "pool", "head"],
    ),
    "timm vit": (
        timm_model("vit_tiny_patch16_224", img_size=64, drop_rate=0.2, drop_path_rate=0.2, attn_drop_rate=0.1),
        64,
        ["embeddings", *numbered("layer", 12, 0), "neck", "pool", "head"],
    ),
    "timm vit, registers and attention pool": (
        timm_model("vit_tiny_patch16_224", img_size=64, depth=2, reg_tokens=2, global_pool="map", class_token=False),
        64,
        ["embeddings", "layer0", "layer1", "neck", "pool", "head"],
    ),
    "torchvision resnet18": (tv_model("resnet18"), 64, ["stem", *numbered("stage", 4), "pool", "head"]),
    "torchvision resnet50": (tv_model("resnet50"), 64, ["stem", *numbered("stage", 4), "pool", "head"]),
    "torchvision regnet": (tv_model("regnet_x_400mf"), 64, ["stem", *numbered("stage", 4), "pool", "head"]),
    "torchvision efficientnet": (tv_model("efficientnet_b0"), 64, ["stem", *numbered("stage", 8), "pool", "head"]),
    "torchvision mobilenetv2": (tv_model("mobilenet_v2"), 64, ["stem", *numbered("stage", 18), "pool", "head"]),
    "torchvision mobilenetv3": (tv_model("mobilenet_v3_small"), 64, ["stem", *numbered("stage", 12), "pool", "head"]),
    "torchvision convnext": (tv_model("convnext_tiny"), 64, ["stem", *numbered("stage", 7), "pool", "head"]),
    "torchvision vit": (
        lambda: torchvision.models.VisionTransformer(64, 16, 2, 2, 32, 64, 0.1, 0.1, num_classes=5),
        64,
        ["embeddings", "layer0", "layer1", "neck", "pool", "head"],
    ),
    "torchvision alexnet": (tv_model("alexnet"), 64, [*numbered("stage", 3), "pool", "head"]),
    "torchvision vgg": (tv_model("vgg11_bn"), 32, [*numbered("stage", 5), "pool", "head"]),
}

SMALL = {"vocab_size": 60, "max_position_embeddings": 24}
BERT = {
    "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 3,
    **SMALL,
}  # fmt: skip
DISTIL = {"n_layers": 2, "dim": 16, "n_heads": 2, "hidden_dim": 32, "num_labels": 3, **SMALL}
MINILM = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}


def encoder(**more):
    return transformers.BertModel(transformers.BertConfig(**{**BERT, **more}), add_pooling_layer=False)


def distilbert(kind):
    return getattr(transformers, kind)(transformers.DistilBertConfig(**DISTIL))


def roberta(kind, pad=1):
    return getattr(transformers, kind)(transformers.RobertaConfig(**BERT, pad_token_id=pad))


CLASSIFIER = ["embeddings", "layer0", "layer1", "pool", "head"]
TEXTS = {
    # name: (how it is made, its stages, the model's own output for ids and mask)
    "MiniLM": (
        lambda: TextClassifier(encoder(**MINILM), 3),
        ["embeddings", *numbered("layer", 6, 0), "pool", "head"],
        None,
    ),
    "classifier": (lambda: TextClassifier(encoder(), 3), CLASSIFIER, None),
    "classifier without a head": (lambda: TextClassifier(encoder()), CLASSIFIER, None),
    "classifier over DistilBERT": (lambda: TextClassifier(distilbert("DistilBertModel"), 3), CLASSIFIER, None),
    "BERT": (
        lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**BERT)),
        CLASSIFIER,
        "logits",
    ),
    "BERT, eager": (
        lambda: transformers.BertForSequenceClassification(
            transformers.BertConfig(**BERT, attn_implementation="eager")
        ),
        CLASSIFIER,
        "logits",
    ),
    "DistilBERT": (lambda: distilbert("DistilBertForSequenceClassification"), CLASSIFIER, "logits"),
    "RoBERTa": (lambda: roberta("RobertaForSequenceClassification"), CLASSIFIER, "logits"),
    "BERT's encoder": (lambda: encoder(), CLASSIFIER[:3], "last_hidden_state"),
    "BERT's encoder with its pooler": (
        lambda: transformers.BertModel(transformers.BertConfig(**BERT)),
        CLASSIFIER[:4],
        "pooler_output",
    ),
    "DistilBERT's encoder": (lambda: distilbert("DistilBertModel"), CLASSIFIER[:3], "last_hidden_state"),
}


def made(make):
    """A model in which everything counts: fresh ones have heads of zeros and blocks that do nothing yet."""
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim < 2 or not p.any():
                p.add_(0.1 * torch.randn_like(p))
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0  # statistics of the batch, so that signals do not die on their way
        if norms:
            model.train()(torch.randn(4, 3, 64, 64))
    return model.eval()


def tokens(padded=True):
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    if padded:
        for row, length in enumerate((9, 4, 1, 6)):
            mask[row, length:] = 0
        ids = ids.masked_fill(mask == 0, 1)
    return Tokens(ids, mask)


def run(function, x):
    torch.manual_seed(7)
    with torch.no_grad():
        return function(x)


def assert_same(ours, theirs):
    assert torch.equal(ours, theirs)
    assert theirs.isfinite().all()
    assert theirs.std(0).max() > 1e-6, "an output that does not depend on the input proves nothing"


def assert_whole(model, chain, keys):
    assert list(model.state_dict()) == keys, "making the chain changed the state_dict"
    for kind in ("named_parameters", "named_buffers"):
        ours = [id(t) for _, t in getattr(model, kind)()]
        theirs = [id(t) for stage in chain.children() for _, t in getattr(stage, kind)()]
        assert sorted(ours) == sorted(theirs), f"{kind}: not every tensor is in exactly one stage"


@pytest.mark.parametrize("case", IMAGES)
def test_the_chain_of_an_image_model_is_the_model(case):
    make, side, expected = IMAGES[case]
    model = made(make)
    keys = list(model.state_dict())
    chain = stages(model)
    assert names(model) == expected
    assert_whole(model, chain, keys)
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    assert_same(run(chain, x), run(model, x))

    model.train()
    twin = copy.deepcopy(model)  # BatchNorm's statistics move in training mode: each way gets its own
    assert_same(run(stages(twin), x), run(model, x))
    for (name, ours), theirs in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
def test_the_chain_of_a_text_model_is_the_model(case, padded):
    make, expected, output = TEXTS[case]
    model = made(make)
    keys = list(model.state_dict())
    assert names(model) == expected
    assert_whole(model, stages(model), keys)

    def whole(t):
        return model(t) if output is None else getattr(model(input_ids=t.x, attention_mask=t.mask), output)

    for train in (False, True):
        model.train(train)
        ours = run(stages(model), tokens(padded))
        assert_same(ours.x if isinstance(ours, Tokens) else ours, run(whole, tokens(padded)))


def test_training_mode_is_different_from_evaluation_where_there_is_dropout():
    """Else the equality in training mode would prove nothing."""
    for case in ("timm resnet18", "timm vit", "torchvision vit"):
        make, side, _ = IMAGES[case]
        model, x = made(make), torch.randn(2, 3, side, side)
        before = run(stages(model), x)
        model.train()
        assert not torch.equal(run(stages(model), x), before)


def test_an_inner_stage_of_texts_maps_tokens_to_tokens():
    model = made(TEXTS["BERT"][0])
    x = tokens()
    for name, stage in stages(model).named_children():
        x = stage(x)
        if name in ("embeddings", "layer0", "layer1"):
            assert x.x.shape == (4, 9, 16)
            assert torch.equal(x.mask, tokens().mask)
    assert x.shape == (4, 3)


def test_the_chain_in_half_precision():
    model = made(IMAGES["timm vit"][0]).bfloat16()
    x = torch.randn(2, 3, 64, 64).bfloat16()
    assert torch.equal(run(stages(model), x), run(model, x))
    model = made(TEXTS["classifier"][0]).bfloat16()
    assert run(stages(model), tokens()).dtype == torch.bfloat16
    assert torch.equal(run(stages(model), tokens()), run(model, tokens()))


def test_training_the_chain_trains_the_model():
    model = made(IMAGES["torchvision resnet18"][0])
    chain, x = stages(model), torch.randn(2, 3, 64, 64)
    chain(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        chain.head.bias.add_(1)
    assert torch.equal(model.fc.bias, chain.head.bias)


def test_the_chain_follows_the_mode_of_the_model_and_of_itself():
    model, x = made(IMAGES["timm resnet18"][0]), torch.randn(2, 3, 64, 64)
    chain = stages(model)
    still = run(chain, x)
    model.train()
    assert not torch.equal(run(chain, x), still)
    model = made(IMAGES["timm resnet18"][0])
    chain = stages(model.train())
    chain.eval()
    assert torch.equal(run(chain, x), still)


def test_the_chain_of_a_copy_is_the_copy():
    for make, x in ((IMAGES["timm vit"][0], torch.randn(1, 3, 64, 64)), (TEXTS["BERT"][0], tokens())):
        model = made(make)
        chain = copy.deepcopy(stages(model))
        before = run(chain, x)
        with torch.no_grad():
            for p in model.parameters():
                p.zero_()
        assert torch.equal(run(chain, x), before)


def test_wrapped_models_are_unwrapped():
    model = made(IMAGES["torchvision resnet18"][0])
    expected = IMAGES["torchvision resnet18"][2]
    compiled = torch.compile(model)
    for wrapped in (compiled, nn.DataParallel(model), nn.DataParallel(compiled)):
        assert names(wrapped) == expected
        assert stages(wrapped).head is model.fc


# models that have no adapter ----------------------------------------------------------------------


class Net(nn.Module):
    """A hand-written network, with lines of code between its modules."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        x = self.block(x).mean((2, 3))
        return self.fc(F.dropout(x, 0.5, self.training))


def given(net):
    return {
        "stem": [net.conv, net.bn, nn.ReLU()],
        "body": net.block,
        "pool": [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        "head": [nn.Dropout(0.5), net.fc],
    }


def test_stages_given_by_hand():
    net, x = Net().eval(), torch.randn(3, 3, 9, 9)
    keys = list(net.state_dict())
    set_stages(net, given(net))
    assert names(net) == ["stem", "body", "pool", "head"]
    assert_whole(net, stages(net), keys)
    torch.testing.assert_close(run(stages(net), x), run(net, x))
    net.train()
    torch.testing.assert_close(run(stages(net), x), run(net, x))


def test_a_dropout_that_is_not_the_models_own_follows_its_mode():
    net, x = Net().eval(), torch.randn(3, 3, 9, 9)
    set_stages(net, given(net))
    chain = stages(net)
    assert torch.equal(chain(x), chain(x))
    net.train()
    net.bn.eval()
    assert not torch.equal(chain(x), chain(x))


def test_a_copy_keeps_its_stages():
    net = Net().eval()
    set_stages(net, given(net))
    twin = copy.deepcopy(net)
    assert names(twin) == names(net)
    assert stages(twin).body is twin.block
    buffer = io.BytesIO()
    torch.save(net, buffer)
    buffer.seek(0)
    assert names(torch.load(buffer, weights_only=False)) == names(net)


def test_a_new_head_is_found_where_the_old_one_was():
    net = Net()
    set_stages(net, given(net))
    net.fc = nn.Linear(4, 7)
    assert stages(net.eval())(torch.randn(1, 3, 9, 9)).shape == (1, 7)
    del net.fc
    with pytest.raises(CourseError, match="no part 'fc' any more"):
        stages(net)


WRONG = {
    "nothing": (lambda n: {}, "No stages were given"),
    "a list": (lambda n: [n.conv], "No stages were given"),
    "left out": (lambda n: {"stem": [n.conv, n.bn], "head": n.fc}, r"'block.0.weight'"),
    "left out, a buffer": (lambda n: {"stem": n.conv, "body": n.block, "head": n.fc}, r"'bn.weight'"),
    "twice": (lambda n: {**given(n), "again": n.block}, "is in two stages, 'body' and 'again'"),
    "a dot": (lambda n: {"stem.1": n.conv}, "Call it 'stem_1'"),
    "no name": (lambda n: {"": n.conv}, "cannot be the name"),
    "a number": (lambda n: {0: n.conv}, "Call it 'stage0'"),
    "a method's name": (lambda n: {"forward": n.conv}, "cannot be the name"),
    "a stranger": (lambda n: {**given(n), "more": nn.Linear(2, 2)}, "Stage 'more' holds a Linear that is not a part"),
    "a function": (lambda n: {**given(n), "more": F.relu}, "Stage 'more' holds"),
    "a name": (lambda n: {"stem": "conv"}, "Stage 'stem' holds 'conv'"),
    "itself": (lambda n: {"all": n}, "the model itself"),
}


@pytest.mark.parametrize("case", WRONG)
def test_stages_that_are_not_the_model_are_refused_and_the_earlier_choice_stays(case):
    wrong, message = WRONG[case]
    net = Net()
    with pytest.raises(CourseError, match=message):
        set_stages(net, wrong(net))
    with pytest.raises(CourseError, match="not known"):
        stages(net)
    set_stages(net, given(net))
    with pytest.raises(CourseError, match=message):
        set_stages(net, wrong(net))
    assert names(net) == ["stem", "body", "pool", "head"]


def test_an_unknown_architecture_says_how_to_give_its_stages():
    for model in (
        Net(),
        torchvision.models.squeezenet1_0(weights=None),
        transformers.GPT2Model(transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=9)),
        TextClassifier(transformers.GPT2Model(transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=9))),
        transformers.BertModel(transformers.BertConfig(**BERT, is_decoder=True)),  # its mask is causal
        transformers.BertForMaskedLM(transformers.BertConfig(**BERT)),
        nn.Sequential(),
    ):
        with pytest.raises(CourseError, match=r"stages of .* are not known") as caught:
            stages(model)
        assert "set_stages(model" in caught.value.do
    with pytest.raises(CourseError, match="not a str"):
        stages("resnet18")


def test_a_known_architecture_with_its_parts_taken_away_is_unknown():
    model = tv_model("convnext_tiny")()
    model.classifier = nn.Identity()
    with pytest.raises(CourseError, match="not known"):
        stages(model)


def test_a_sequential_is_its_children():
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert names(net) == ["0", "1", "2"]
    x = torch.randn(5, 4)
    assert torch.equal(stages(net)(x), net(x))

    class Own(nn.Sequential):
        pass

    assert names(Own(nn.Linear(1, 1), nn.ReLU())) == ["0", "1"]


def test_a_module_that_is_applied_twice_is_applied_twice():
    shift = nn.Softplus()
    net = nn.Sequential(nn.Linear(4, 3), shift, nn.Linear(3, 2), shift)
    assert names(net) == ["0", "1", "2", "3"]
    x = torch.randn(5, 4)
    assert torch.equal(stages(net)(x), net(x))
    x = torch.randn(5, 4).clone()
    for _, stage in stages(net).named_children():
        x = stage(x)
    assert x.shape == (5, 2)
    assert (x > 0).all()


def test_weights_that_two_stages_share_are_refused():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    with pytest.raises(CourseError, match=r"'0.weight' is in two stages, '0' and '1'") as caught:
        stages(net)
    assert "tied" in caught.value.do
    tied = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), nn.Linear(3, 1))
    tied[0][1].weight = tied[0][0].weight
    assert names(tied) == ["0", "1"]


def test_lazy_modules_have_a_chain_before_their_first_batch():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    assert names(net) == ["0", "1", "2", "3"]
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(stages(net.eval())(x), net(x))


# choosing stages ----------------------------------------------------------------------------------


@pytest.fixture
def net():
    net = Net()
    set_stages(net, given(net))
    return net


def test_pick(net):
    assert pick(net) == []
    assert pick(net, "head", "stem") == ["stem", "head"]
    assert pick(net, "*o*") == ["body", "pool"]
    assert pick(net, "[sb]*") == ["stem", "body"]
    assert pick(net, until="stem") == ["stem"]
    assert pick(net, until="pool") == ["stem", "body", "pool"]
    assert pick(net, last=0) == []
    assert pick(net, last=1) == ["head"]
    assert pick(net, last=2) == ["body", "pool", "head"]
    assert pick(net, last=3) == names(net)
    assert pick(net, "head", until="stem") == ["stem", "head"]


def test_pick_in_real_models():
    lite = timm.create_model("tf_efficientnet_lite0")
    assert pick(lite, "stage[1-3]") == ["stage1", "stage2", "stage3"]
    assert pick(lite, last=2) == ["neck", "pool", "head"]
    text = TextClassifier(encoder(), 2)
    assert pick(text, "layer*") == ["layer0", "layer1"]
    assert pick(text, last=2) == ["layer1", "pool", "head"]


def test_pick_names_the_nearest_right_name(net):
    with pytest.raises(UnknownName, match="Did you mean 'stem'"):
        pick(net, "sterm")
    with pytest.raises(UnknownName, match="Did you mean 'pool'"):
        pick(net, until="pol")
    with pytest.raises(UnknownName, match="'stem', 'body', 'pool', 'head'"):
        pick(net, "layer*")
    with pytest.raises(UnknownName):
        pick(net, until="s*")
    with pytest.raises(UnknownName):
        pick(net, until=1)
    for wrong in (4, -1, 1.0, "1", True):
        with pytest.raises(CourseError, match="3 stages with parameters: stem, body, head"):
            pick(net, last=wrong)
    for wrong in (0, ["stem"], net.conv):
        with pytest.raises(CourseError, match="by its name"):
            pick(net, wrong)
