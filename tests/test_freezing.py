"""Freezing, unfreezing, and what tells the truth about it."""

from __future__ import annotations

import copy
import gc
import io
import itertools
import pickle
import weakref

import hypothesis.strategies as st
import pytest
import timm
import torch
import torchvision
import transformers
from hypothesis import given
from torch import nn

from tlcourse import (
    CourseError,
    UnknownName,
    audit,
    changed,
    freeze,
    frozen,
    parameter_groups,
    set_stages,
    snapshot,
    stages,
    unfreeze,
)
from tlcourse.models import TextClassifier, Tokens


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))


def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=3)


def bert(**more):
    torch.manual_seed(0)
    config = {
        "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
        "num_labels": 3, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3,
    }  # fmt: skip
    return transformers.BertForSequenceClassification(transformers.BertConfig(**{**config, **more}))


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


# frozen, and no longer frozen ---------------------------------------------------------------------


def test_freeze_returns_the_model_and_keeps_its_tensors():
    model = resnet()
    before, keys = snapshot(model), list(model.state_dict())
    assert freeze(model, until="stage2") is model
    assert list(model.state_dict()) == keys
    assert changed(model, before)[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert unfreeze(model) is model
    assert list(model.state_dict()) == keys


def test_which_stages_a_choice_freezes():
    everything = ("stem", "stage1", "stage2", "stage3", "stage4", "pool", "head")
    assert frozen(resnet()) == ()
    assert frozen(freeze(resnet())) == everything[:-1]
    assert frozen(freeze(resnet(), "*")) == everything
    assert frozen(freeze(resnet(), until="stage2")) == everything[:3]
    assert frozen(freeze(resnet(), "stage[13]", "stem")) == ("stem", "stage1", "stage3")
    assert frozen(freeze(resnet(), last=1)) == ("head",)
    assert frozen(freeze(resnet(), last=0)) == ()
    assert frozen(unfreeze(freeze(resnet(), "*"), last=2)) == everything[:4]
    assert frozen(unfreeze(freeze(resnet()), "pool")) == everything[:5]
    assert frozen(freeze(freeze(resnet(), "stem"), "stage2")) == ("stem", "stage2")


def test_a_wrong_name_freezes_nothing():
    model = resnet()
    with pytest.raises(UnknownName, match="Did you mean 'stage4'"):
        freeze(model, "stem", "stage44")
    with pytest.raises(CourseError, match="by its name, not by a list"):
        freeze(model, ["stem"])
    assert frozen(model) == ()


@pytest.mark.parametrize(
    "make",
    [
        resnet,
        lambda: timm.create_model("tf_efficientnet_lite0", num_classes=3, drop_rate=0.3),
        lambda: timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=32, depth=2),
        lambda: torchvision.models.VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=3),
        bert,
        lambda: transformers.DistilBertForSequenceClassification(
            transformers.DistilBertConfig(n_layers=2, dim=16, n_heads=2, hidden_dim=16, vocab_size=30)
        ),
        lambda: TextClassifier(bert().bert, 3),
    ],
)
def test_every_prefix_is_frozen_as_chosen(make):
    """Also where a stage holds no module of the model, such as a pool that takes the first token."""
    model = make()
    names = [name for name, _ in stages(model).named_children()]
    assert frozen(model) == ()
    for i, name in enumerate(names):
        assert frozen(freeze(model, until=name)) == tuple(names[: i + 1])
    for i, name in enumerate(names):
        assert frozen(unfreeze(model, name)) == tuple(names[i + 1 :])


def test_train_leaves_frozen_stages_in_evaluation_mode():
    model = freeze(resnet(), until="stage3")
    for _ in range(2):
        assert model.train() is model
        assert model.training
        assert model.layer4.training
        assert not any(m.training for name in ("bn1", "layer1", "layer3") for m in getattr(model, name).modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert model.train(True) is model
    assert model.train(mode=False) is model
    assert not model.layer4.training


def test_train_called_on_an_inner_module():
    model = freeze(resnet())
    assert model.layer1.train() is model.layer1
    assert model.layer1[0].bn1.train() is model.layer1[0].bn1
    model.layer1[0].train(mode=True)
    assert not any(m.training for m in model.layer1.modules())
    assert "stage1" in frozen(model)


def test_unfreeze_restores_modes_and_gradients():
    for train in (True, False):
        model = resnet().train(train)
        before = modes(model)
        unfreeze(freeze(model, "*"))
        assert modes(model) == before
        assert all(p.requires_grad for p in model.parameters())
        assert not any("train" in vars(m) for m in model.modules())
    model = unfreeze(freeze(resnet().train()), "stage4", "stage3")
    assert frozen(model) == ("stem", "stage1", "stage2", "pool")
    assert all(m.training for m in model.layer4.modules())
    assert not any(m.training for m in model.layer2.modules())
    assert all(p.requires_grad for p in model.layer3.parameters())
    assert not any(p.requires_grad for p in model.layer2.parameters())


def test_dropout_of_a_frozen_stage_is_off_and_of_another_is_on():
    model, x = small().train(), torch.randn(64, 6)
    freeze(model, until="2").train()
    boundary = stages(model)[:3]
    assert torch.equal(boundary(x), boundary(x))
    assert not torch.equal(model(x), model(x))
    freeze(model, "3").train()
    assert torch.equal(model(x), model(x))
    unfreeze(model, "3")
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv3_small_050"])
def test_the_dropout_that_timm_writes_as_a_function_is_frozen_with_the_head(name):
    model = timm.create_model(name, num_classes=3, drop_rate=0.5)
    nn.init.normal_(model.get_classifier().weight)
    x = torch.randn(2, 3, 64, 64)
    freeze(model).train()
    assert not torch.equal(model(x), model(x)), "the head is not frozen: its dropout is on"
    freeze(model, "head").train()
    assert torch.equal(model(x), model(x))
    assert torch.equal(stages(model)(x), model(x))
    freeze(model, "head")  # twice is as once
    twin = copy.deepcopy(model)
    unfreeze(model, "head").train()
    assert model.drop_rate == 0.5
    assert not torch.equal(model(x), model(x))
    assert torch.equal(twin(x), twin(x))
    assert unfreeze(twin).drop_rate == 0.5


def test_the_output_of_a_frozen_batch_norm_does_not_depend_on_its_batch():
    model, x = freeze(resnet()).train(), torch.randn(4, 3, 64, 64)
    alone, together = model(x[:1]), model(x)[:1]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_an_optimizer_with_momentum_does_not_move_what_is_frozen_in_the_middle_of_training():
    for make in (
        lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9, weight_decay=0.01),
        lambda ps: torch.optim.AdamW(ps, 0.1),
        lambda ps: torch.optim.RMSprop(ps, 0.1, momentum=0.9),
    ):
        model, x = small().train(), torch.randn(16, 6)
        optimizer = make(model.parameters())

        def step(model=model, x=x, optimizer=optimizer):
            optimizer.zero_grad(set_to_none=False)
            model(x).square().sum().backward()
            optimizer.step()

        step()
        model(x).sum().backward()  # a gradient that waits for a step
        freeze(model)
        assert all(p.grad is None for p in model[0].parameters())
        before = snapshot(model)
        optimizer.step()
        for _ in range(3):
            step()
        moved = changed(model, before)
        assert moved.loc[["0", "1"], ["parameters moved", "buffers moved"]].to_numpy().sum() == 0
        assert moved.loc["4", "parameters moved"] == 2


def test_a_learner_who_sets_requires_grad_is_seen():
    model = freeze(resnet())
    model.requires_grad_(True)
    assert frozen(model) == ("pool",)
    table = audit(model)
    assert (table["requires grad"].drop("pool") == "yes").all()
    assert not table.loc["stage1", "frozen"]
    model = freeze(resnet())
    model.layer2[0].conv1.weight.requires_grad_(True)
    assert "stage2" not in frozen(model)
    assert audit(model).loc["stage2", "requires grad"] == "part"


def test_a_learner_who_sets_the_mode_by_hand_is_seen():
    model = freeze(resnet())
    model.layer1[0].bn1.training = True
    assert "stage1" not in frozen(model)
    assert audit(model).loc["stage1", "buffers that move"] == 3
    assert "stage1" in frozen(freeze(model))


def test_a_new_module_in_a_frozen_stage_is_seen():
    model = freeze(resnet())
    model.layer1[0].bn1 = nn.BatchNorm2d(64)
    assert "stage1" not in frozen(model)
    model = freeze(resnet(), "*")
    model.fc = nn.Linear(512, 7)
    assert frozen(model)[-1] == "pool"


def test_stages_given_by_hand_can_be_frozen():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.body(x).relu())

    net = Net()
    set_stages(net, {"body": net.body, "relu": nn.ReLU(), "drop": nn.Dropout(0.5), "head": net.head})
    x = torch.randn(9, 4)
    freeze(net).train()
    assert frozen(net) == ("body", "relu", "drop")
    chain = stages(net)
    assert torch.equal(chain(x), chain(x))
    assert frozen(copy.deepcopy(net)) == ("body", "relu", "drop")
    unfreeze(net, "drop").train()
    assert frozen(net) == ("body", "relu")
    assert not torch.equal(chain(x), chain(x))


def test_spectral_norm_and_lazy_layers_stand_still_when_frozen():
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 1))
    freeze(model).train()
    before = snapshot(model)
    for _ in range(3):
        model(torch.randn(5, 4))
    assert changed(model, before)["buffers moved"].sum() == 0

    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 1))
    for function in (snapshot, audit, freeze):
        with pytest.raises(CourseError, match="first batch"):
            function(model)
    assert frozen(model) == ()
    model(torch.randn(5, 3))
    freeze(model).train()
    assert frozen(model) == ("0", "1")
    before = snapshot(model)
    model(torch.randn(5, 3))
    assert changed(model, before)["buffers moved"].sum() == 0


# copies and files ---------------------------------------------------------------------------------


def move(model, *x):
    """A step in training mode over everything that trains."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model.train()
    out = model(*x)
    (out if isinstance(out, torch.Tensor) else out.logits).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def still(model, before):
    table = changed(model, before)
    moved = table["parameters moved"] + table["buffers moved"]
    return tuple(moved.index[moved == 0])


X = torch.randn(8, 6, generator=torch.Generator().manual_seed(3))


def test_a_deep_copy_is_frozen_by_itself():
    model = freeze(small())
    twin = copy.deepcopy(model)
    assert frozen(twin) == frozen(model) == ("0", "1", "2", "3")
    unfreeze(model).eval()
    assert frozen(twin) == ("0", "1", "2", "3")
    before, other = snapshot(twin), snapshot(model)
    move(twin, X)
    assert still(twin, before) == ("0", "1", "2", "3")
    assert changed(model, other)["parameters moved"].sum() == 0
    twin.train()
    assert not twin[1].training
    assert not model[1].training  # the original's mode is its own: the copy's train() did not reach it
    model.train()
    assert model[1].training
    unfreeze(twin)
    move(twin, X)
    assert still(twin, before) == ("2", "3")


def test_a_frozen_stage_alone_can_be_copied_and_pickled():
    model = freeze(resnet())
    for twin in (copy.deepcopy(model.layer1), pickle.loads(pickle.dumps(model.layer1))):
        twin.train()
        assert not any(m.training for m in twin.modules())
        assert twin[0].bn1.train() is twin[0].bn1


@pytest.mark.parametrize("make", [small, resnet, bert])
def test_state_dict_and_whole_model_survive_files(make):
    model = freeze(make())
    state = pickle.loads(pickle.dumps(model.state_dict()))
    assert list(state) == list(make().state_dict())
    fresh = freeze(make(), "*")
    for p in fresh.parameters():
        p.data.add_(1)
    fresh.load_state_dict(state)
    assert frozen(fresh)[:-1] == frozen(model)
    assert all(torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), state.values(), strict=True))
    fresh.load_state_dict(state, assign=True)
    assert frozen(fresh)[:-1] == frozen(model)

    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert list(torch.load(file, weights_only=True)) == list(state)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    back = torch.load(file, weights_only=False)
    assert frozen(back) == frozen(model)
    back.train()
    assert frozen(back) == frozen(model)
    assert frozen(unfreeze(back)) == ()
    assert frozen(model) != ()


def test_to_half_and_back_keeps_what_is_frozen():
    model = freeze(small())
    names = frozen(model)
    assert frozen(model.half()) == frozen(model.to("cpu", torch.float32)) == names
    model.apply(lambda m: None)
    assert frozen(model) == names


def test_wrapped_models():
    model = resnet()
    wrapped = nn.DataParallel(torch.compile(model))
    assert freeze(wrapped) is wrapped
    assert frozen(model) == frozen(wrapped) == ("stem", "stage1", "stage2", "stage3", "stage4", "pool")
    wrapped.train()
    assert not model.layer1.training
    before = snapshot(wrapped)
    assert changed(model, before)["parameters moved"].sum() == 0
    assert audit(wrapped).equals(audit(model))
    assert parameter_groups(wrapped, lr=1.0)[0]["params"][0] is model.fc.weight
    unfreeze(wrapped)
    assert frozen(model) == ()
    assert model.layer1.training


# what tells the truth -----------------------------------------------------------------------------


def test_audit_tells_three_facts_apart():
    model = resnet()
    table = audit(model)
    assert list(table.index) == ["stem", "stage1", "stage2", "stage3", "stage4", "pool", "head"]
    assert table["parameters"].sum() == sum(p.numel() for p in model.parameters())
    assert list(table["requires grad"]) == ["yes"] * 5 + ["-", "yes"]
    assert set(table["in optimizer"]) == {"?"}
    assert list(table["buffers that move"]) == [3, 12, 15, 15, 15, 0, 0]
    assert not table["frozen"].any()

    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    table = audit(model)
    assert list(table["requires grad"]) == ["no"] * 5 + ["-", "yes"]
    assert table["buffers that move"].sum() == 60, "the mistake that the table is there to show"
    assert not table["frozen"].any()

    freeze(model)
    table = audit(model)
    assert table["buffers that move"].sum() == 0
    assert list(table["frozen"]) == [True] * 6 + [False]
    model.train()
    assert audit(model).equals(table)


def test_audit_tells_what_an_optimizer_holds():
    model = resnet()
    before = torch.optim.SGD(model.parameters(), 0.1)
    freeze(model)
    assert list(audit(model, before)["in optimizer"]) == ["yes"] * 5 + ["-", "yes"]
    after = torch.optim.SGD(parameter_groups(model, lr=0.1))
    assert list(audit(model, after)["in optimizer"]) == ["no"] * 5 + ["-", "yes"]
    unfreeze(model, "stage4")
    table = audit(model, after)
    assert table.loc["stage4", "requires grad"] == "yes"
    assert table.loc["stage4", "in optimizer"] == "no", "unfrozen, but no optimizer moves it"
    some = torch.optim.SGD([model.fc.weight], 0.1)
    assert audit(model, some).loc["head", "in optimizer"] == "part"


def test_what_audit_says_will_move_is_what_moves():
    model = resnet()
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    freeze(model, until="stage1")
    table, before = audit(model), snapshot(model)
    move(model, torch.randn(4, 3, 64, 64))
    moved = changed(model, before)
    assert (moved["buffers moved"] == table["buffers that move"]).all()
    assert list(moved.index[moved["parameters moved"] > 0]) == ["head"]
    assert (moved.loc[table.index[table["frozen"]], "largest change"] == 0).all()


def test_changed_finds_a_single_bit():
    model = small()
    with torch.no_grad():
        model[0].weight[2, 3] = 0.0
    for index, tensor in (("0", model[0].weight), ("1", model[1].running_var), ("1", model[1].num_batches_tracked)):
        before = snapshot(model)
        kind = "parameters" if isinstance(tensor, nn.Parameter) else "buffers"
        tensor.detach().reshape(-1).view(torch.uint8)[5] ^= 1
        table = changed(model, before)
        assert table.loc[index, f"{kind} moved"] == 1
        assert table[["parameters moved", "buffers moved"]].to_numpy().sum() == 1
        assert table.loc[index, "largest change"] > 0
    before = snapshot(model)
    with torch.no_grad():
        model[0].weight[2, 3] = -0.0
    assert changed(model, before).loc["0", "parameters moved"] == 1


def test_changed_with_nan():
    model = small()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
        model[0].weight[0, 1] = torch.inf
    before = snapshot(model)
    assert changed(model, before)["parameters moved"].sum() == 0
    with torch.no_grad():
        model[0].weight[1, 1] += 0.25
    table = changed(model, before)
    assert table.loc["0", "parameters moved"] == 1
    assert table.loc["0", "largest change"] == pytest.approx(0.25)
    with torch.no_grad():
        model[4].bias[0] = torch.nan
    assert changed(model, before).loc["4", "largest change"] == float("inf")


def test_changed_counts_tensors_and_numbers_the_largest_change():
    model = small()
    before = snapshot(model)
    with torch.no_grad():
        model[4].bias[1] += 2.0
        model[1].running_mean[0] -= 3.0
    table = changed(model, before)
    assert list(table["parameters"]) == [2, 2, 0, 0, 2]
    assert list(table["buffers"]) == [0, 3, 0, 0, 0]
    assert table.loc["4", "largest change"] == pytest.approx(2.0)
    assert table.loc["1", "largest change"] == pytest.approx(3.0)
    assert table.loc["1", "parameters moved"] == 0


def test_a_snapshot_is_a_copy_and_includes_what_state_dict_leaves_out():
    model = bert()
    before = snapshot(model)
    assert "bert.embeddings.position_ids" in before
    assert "bert.embeddings.position_ids" not in model.state_dict()
    model.bert.embeddings.position_ids += 1
    assert changed(model, before).loc["embeddings", "buffers moved"] == 1
    assert not any(t.requires_grad for t in before.values())


def test_another_models_snapshot_is_refused():
    before = snapshot(small())
    for other in (resnet(), nn.Sequential(nn.Linear(6, 5))):
        with pytest.raises(CourseError, match="does not fit this model"):
            changed(other, before)
    model = small()
    model[4] = nn.Linear(5, 4)
    with pytest.raises(CourseError, match="head may have been replaced"):
        changed(model, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_that_moved_to_another_device():
    model = freeze(small())
    before = snapshot(model)
    model.to("cuda")
    assert frozen(model) == ("0", "1", "2", "3")
    assert changed(model, before)["parameters moved"].sum() == 0
    move(model, X.cuda())
    assert still(model, before) == ("0", "1", "2", "3")


# parameter groups ---------------------------------------------------------------------------------


def rates(model, **options):
    return {g["stage"]: g["lr"] for g in parameter_groups(model, **options)}


def test_groups_hold_each_trainable_parameter_once():
    for make in (small, resnet, bert):
        model = freeze(make(), until="stage1" if make is resnet else "embeddings" if make is bert else "0")
        for weight_decay in (0.0, 0.1):
            groups = parameter_groups(model, 0.1, decay=0.5, weight_decay=weight_decay)
            ours = [id(p) for g in groups for p in g["params"]]
            assert sorted(ours) == sorted(id(p) for p in model.parameters() if p.requires_grad)
            assert all(g["params"] for g in groups)
            torch.optim.AdamW(groups)


def test_a_rate_depends_on_the_place_in_the_chain_and_not_on_what_is_frozen():
    everything = rates(resnet(), lr=1.0, decay=0.5)
    assert everything == {
        "head": 1.0, "stage4": 0.5, "stage3": 0.25, "stage2": 0.125, "stage1": 0.0625, "stem": 0.03125,
    }  # fmt: skip
    assert rates(freeze(resnet(), "head", "stage2", "stage4"), lr=1.0, decay=0.5) == {
        name: everything[name] for name in ("stem", "stage1", "stage3")
    }
    assert list(everything) == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]


def test_a_rate_of_the_heads_own():
    assert rates(resnet(), lr=0.5, decay=0.5, head_lr=2.0)["head"] == 2.0
    assert rates(resnet(), lr=0.5, decay=0.5, head_lr=2.0)["stage4"] == 0.5
    assert rates(resnet(), lr=0.5, decay=0.5, head_lr=2.0)["stage3"] == 0.25
    assert rates(freeze(resnet(), "head"), lr=0.5, head_lr=2.0)["stage4"] == 0.5
    assert rates(resnet(), lr=0.5, head_lr=0.0)["head"] == 0.0


def test_biases_and_the_scales_of_norms_do_not_decay():
    model = resnet()
    for group in parameter_groups(model, 0.1, weight_decay=0.2):
        for p in group["params"]:
            assert group["weight_decay"] == (0.2 if p.ndim > 1 else 0.0)
    assert all(g["weight_decay"] == 0.0 for g in parameter_groups(model, 0.1))


def test_nothing_to_train_and_wrong_rates_are_refused():
    with pytest.raises(CourseError, match=r"every stage is frozen[\s\S]*unfreeze\(model, last=1\)"):
        parameter_groups(freeze(resnet(), "*"), 0.1)
    for wrong in ({"lr": -1}, {"lr": 1, "decay": -0.1}, {"lr": 1, "head_lr": -1}, {"lr": float("nan")}):
        with pytest.raises(CourseError, match="will not do"):
            parameter_groups(resnet(), **wrong)


# any sequence of choices --------------------------------------------------------------------------

LAYERS = [
    lambda: nn.Linear(3, 3),
    lambda: nn.BatchNorm1d(3),
    nn.ReLU,
    lambda: nn.Dropout(0.5),
    lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)),
    nn.Identity,
]


@st.composite
def stories(draw):
    """A network, and what is done to it: (freeze or unfreeze, arguments, the stages that this means)."""
    layers = draw(st.lists(st.integers(0, len(LAYERS) - 1), min_size=1, max_size=7))
    names = [str(i) for i in range(len(layers))]
    weighty = [str(i) for i, kind in enumerate(layers) if kind in (0, 1, 4)]
    acts = []
    for _ in range(draw(st.integers(1, 6))):
        function = draw(st.sampled_from([freeze, unfreeze]))
        how = draw(st.sampled_from(["names", "until", "last", "glob", "both", "alone"]))
        if how == "names":
            chosen = draw(st.lists(st.sampled_from(names), min_size=1))
            acts.append((function, chosen, {}, set(chosen)))
        elif how == "until":
            until = draw(st.sampled_from(names))
            acts.append((function, [], {"until": until}, set(names[: int(until) + 1])))
        elif how == "last":
            n = draw(st.integers(0, len(weighty)))
            acts.append((function, [], {"last": n}, set(names[int(weighty[-n]) :]) if n else set()))
        elif how == "glob":
            acts.append((function, ["*"], {}, set(names)))
        elif how == "both":
            until, one = draw(st.sampled_from(names)), draw(st.sampled_from(names))
            acts.append((function, [one], {"until": until}, {one, *names[: int(until) + 1]}))
        elif function is unfreeze:
            acts.append((function, [], {}, set(names)))
        elif weighty:
            acts.append((function, [], {}, set(names[: int(weighty[-1])])))
    return layers, acts


@given(stories())
def test_any_sequence_of_choices_is_the_algebra_of_their_sets(story):
    layers, acts = story
    model = nn.Sequential(*(LAYERS[kind]() for kind in layers))
    expected: set[str] = set()
    for mode, (function, names, options, meant) in zip(itertools.cycle([True, False]), acts, strict=False):
        function(model, *names, **options)
        expected = expected | meant if function is freeze else expected - meant
        assert set(frozen(model)) == expected
        model.train(mode)
        assert set(frozen(model)) == expected
        for name, child in model.named_children():
            assert all(m.training == (mode and name not in expected) for m in child.modules())
            assert all(p.requires_grad == (name not in expected) for p in child.parameters())
    assert set(frozen(copy.deepcopy(model))) == expected
    assert frozen(unfreeze(model)) == ()


@given(stories(), st.booleans())
def test_whatever_is_frozen_stands_still(story, train):
    layers, acts = story
    model = nn.Sequential(*(LAYERS[kind]() for kind in layers)).train(train)
    for function, names, options, _ in acts:
        function(model, *names, **options)
    names, before = frozen(model), snapshot(model)
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    out = model(torch.randn(6, 3))
    if trainable:
        (out - 1).square().sum().backward()
        torch.optim.SGD(trainable, 0.1, momentum=0.9, weight_decay=0.1).step()
    assert set(names) <= set(still(model, before))


def test_padding_does_not_matter_to_a_frozen_encoder():
    model = freeze(TextClassifier(bert().bert, 2)).train()
    ids = torch.randint(5, 50, (2, 4))
    mask = torch.ones_like(ids)
    longer = Tokens(nn.functional.pad(ids, (0, 3)), nn.functional.pad(mask, (0, 3)))
    model.dropout.p = 0.0
    torch.testing.assert_close(model(Tokens(ids, mask)), model(longer), rtol=1e-4, atol=1e-5)


def test_a_frozen_network_leaves_memory_with_its_last_name():
    gc.collect()
    gc.disable()  # nobody comes to look for networks that refer to themselves
    try:
        net = freeze(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
        weight = weakref.ref(net[0].weight)
        del net
        assert weight() is None
    finally:
        gc.enable()
