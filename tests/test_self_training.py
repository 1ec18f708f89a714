"""Pseudo-labels are a model's own, of the items it is surest of; heads learn from them; real labels stay unread."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from small_nets import image_net, images

from tlcourse import CourseError, fit, linear_probe, pseudo_label, self_train
from tlcourse.features import Features
from tlcourse.optimization.heads import best_head


def two(n=100, seed=0, shift=0.0, share=0.5, d=5, apart=2.0):
    """Two classes that differ in the first number."""
    y = (torch.arange(n) < share * n).long()
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += apart * (2 * y - 1)
    return Features(x + shift, y, tuple(map(str, range(n))), ("low", "high"), "pool")


# pseudo-labels


def test_the_surest_of_each_class_in_the_datas_order():
    scores = torch.tensor([[0.0, 3.0], [5.0, 0.0], [0.0, 1.0], [4.0, 0.0], [0.0, 2.0], [0.0, 9.0]])
    chosen = pseudo_label(scores, two(6), share=0.5)
    assert chosen.ids == ("0", "1", "5") and chosen.y.tolist() == [1, 0, 1]
    assert len(pseudo_label(scores, two(6), share=1)) == 6
    assert pseudo_label(scores, two(6), share=0.01).ids == ("1", "5"), "one of each class that is seen"


def test_a_confidence_leaves_out_the_unsure():
    scores = torch.tensor([[0.0, 3.0], [0.1, 0.0], [0.0, 0.2], [4.0, 0.0]])
    assert pseudo_label(scores, two(4), share=1, confidence=0.9).ids == ("0", "3")
    with pytest.raises(CourseError, match=r"probability of 0.99(.|\n)*at most 0.98"):
        pseudo_label(scores, two(4), share=1, confidence=0.99)


def test_labels_are_the_models_own_and_the_real_ones_are_not_read():
    data, head = two(), best_head(two(seed=1))
    wanted = pseudo_label(head, data)
    for y in (None, 1 - data.y, torch.full((100,), 99), "poisoned.." * 10):
        found = pseudo_label(head, replace(data, y=y))
        assert found.ids == wanted.ids and torch.equal(found.y, wanted.y)
    assert torch.equal(wanted.y, head.logits(wanted.x).argmax(1))


def test_a_whole_model_labels_images():
    net, data = image_net(), images(24)
    fit(net, data, epochs=5, lr=0.02)
    chosen = pseudo_label(net, images(12, seed=5), share=0.5)
    assert type(chosen) is type(data) and 5 <= len(chosen) <= 7
    assert set(chosen.ids) < set(data.ids) and chosen.classes == data.classes
    fit(net, chosen, epochs=1)


# heads


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_is_the_one_that_scikit_learn_finds(classes):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, :classes] + torch.randn(60, classes, generator=torch.Generator().manual_seed(1))).argmax(1)
    data = Features(x, y, tuple(map(str, range(60))), tuple("abc"[:classes]), "pool")
    weights = torch.linspace(0.1, 1, 60).double() / torch.linspace(0.1, 1, 60).double().sum()
    head = best_head(data, weights, decay=0.2)
    scaled = ((x.double() - head.centre) / head.scale).numpy()
    theirs = LogisticRegression(C=(2 if classes == 2 else 1) / 0.2, tol=1e-8, max_iter=2000)
    theirs.fit(scaled, y.numpy(), sample_weight=weights.numpy())
    assert torch.allclose(head.logits(x).softmax(1), torch.from_numpy(theirs.predict_proba(scaled)), atol=1e-5)


@pytest.mark.parametrize("classes", [("low", "high"), ("low", "high", "odd")])
def test_where_a_head_begins_changes_nothing_but_the_way(classes):
    y = torch.arange(90) % len(classes)
    first = replace(two(90), y=y, classes=classes)
    other = replace(two(90, seed=1, shift=3.0), y=y, classes=classes)
    head = best_head(other)
    begun = best_head(other, start=best_head(first))
    assert torch.allclose(begun.weight, head.weight, atol=1e-5) and torch.allclose(begun.bias, head.bias, atol=1e-5)


# self-training


def test_rounds_are_what_plain_rounds_of_new_heads_give():
    source, target = two(), two(60, seed=1, shift=1.0)
    head = best_head(source, decay=0.1)
    for number in (1, 2):
        guessed = pseudo_label(head, target, share=number / 2)
        both = replace(
            source, x=torch.cat([source.x, guessed.x]), y=torch.cat([source.y, guessed.y]), ids=source.ids + guessed.ids
        )
        weights = torch.cat([torch.full((len(part),), 0.5 / len(part)) for part in (source, guessed)])
        head = best_head(both, weights, decay=0.1)
    assert torch.allclose(self_train(source, target, rounds=2).weight, head.weight, atol=1e-5)


def test_no_round_is_the_head_of_the_labelled_items():
    assert torch.equal(self_train(two(), two(seed=1), rounds=0).weight, best_head(two(), decay=0.1).weight)


def test_a_first_head_that_is_there_already_changes_nothing():
    source, target = two(), two(60, seed=1, shift=1.0)
    first = self_train(source, target[:5], rounds=0)
    assert self_train(source, target, rounds=0, first=first) is first
    assert torch.equal(
        self_train(source, target, rounds=2, first=first).weight, self_train(source, target, rounds=2).weight
    )


def test_it_closes_a_part_of_a_gap_and_reads_no_label():
    source, target, test = two(), two(200, seed=1, shift=1.5), two(400, seed=2, shift=1.5)
    head = self_train(source, target)
    assert head.score(test).accuracy > best_head(source).score(test).accuracy + 0.03
    for y in (None, 1 - target.y, torch.full((200,), 7)):
        assert torch.equal(self_train(source, replace(target, y=y)).weight, head.weight)


def test_a_few_labels_and_many_texts_without():
    few, many, test = two(2000, d=40).shots(2), two(300, seed=1, d=40), two(400, seed=2, d=40)
    assert self_train(few, many).score(test).accuracy > linear_probe(few, test).accuracy


def test_order_and_rounds():
    source, target = two(), two(60, seed=1, shift=1.0)
    shuffled = target[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    assert torch.allclose(self_train(source, shuffled).weight, self_train(source, target).weight, atol=1e-4)
    assert torch.equal(self_train(source, target).weight, self_train(source, target).weight)
    assert not torch.allclose(self_train(source, target, rounds=1).weight, self_train(source, target).weight)


def test_a_target_of_one_item_or_one_class_still_works():
    source, target = two(), two(60, seed=1, share=1.0)
    assert self_train(source, target[:1]).weight.isfinite().all()
    assert self_train(source, target).score(two(seed=2)).accuracy > 0.8
    flat = replace(target, x=torch.ones(60, 5))
    assert self_train(source, flat).weight.isfinite().all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: self_train(f[:1], f), "no item of low|no item of high"),
        (lambda f: self_train(f[:0], f), "no items"),
        (lambda f: self_train(f, f[:0]), "no items"),
        (lambda f: self_train(f, replace(f, x=f.x[:, :3])), "5 numbers an item, the target's 3"),
        (lambda f: self_train(f, replace(f, stage="stem")), "'stem'"),
        (lambda f: self_train(f, replace(f, x=f.x * torch.nan)), "NaN"),
        (lambda f: self_train(replace(f, x=f.x * torch.nan), f), "NaN"),
        (lambda f: self_train(f, f, rounds=-1), "rounds=-1"),
        (lambda f: self_train(f, f, decay=0), "decay=0"),
        (lambda f: self_train(f, f.x), "reads features"),
        (lambda f: self_train(f, f, first=f), "a head, not a Features"),
        (lambda f: self_train(f, f, first=best_head(replace(f, classes=("a", "b")))), "tells a, b; (.|\\n)*low, high"),
        (lambda f: self_train(f, f, first=best_head(replace(f, x=f.x[:, :3]))), "reads 3 numbers"),
        (lambda f: pseudo_label(f.x, f), r"\[100, 5\], for 100 items and 2 classes"),
        (lambda f: pseudo_label(f.x[:3, :2], f), "for 100 items"),
        (lambda f: pseudo_label(f.x[:, :2] * torch.nan, f), "NaN"),
        (lambda f: pseudo_label(f.x[:, :2], f, share=0), "share=0"),
        (lambda f: pseudo_label(f.x[:, :2], f, share=1.1), "share=1.1"),
        (lambda f: pseudo_label(f.x[:, :2], f, confidence=2), "confidence=2"),
        (lambda f: pseudo_label(f.x[:0, :2], f[:0]), "no items"),
        (lambda f: pseudo_label("minilm", f), "not from a str"),
        (lambda f: pseudo_label(best_head(f), images(4)), "reads features"),
        (lambda f: pseudo_label(best_head(f), [1]), "not a list"),
        (lambda f: pseudo_label(best_head(f), replace(f, x=f.x[:, :3])), "reads 5 numbers(.|\\n)*have 3"),
    ],
)
def test_bad_input_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call(two())


def test_a_confidence_that_is_told_can_be_reached():
    scores = torch.tensor([[0.0, 6.9], [6.0, 0.0]])  # 0.99899 and less: rounded to two digits it would be 1.00
    with pytest.raises(CourseError, match=r"at most 0\.998993"):
        pseudo_label(scores, two(2), confidence=0.9999)
    assert len(pseudo_label(scores, two(2), share=1, confidence=0.998993)) == 1


def test_data_that_are_none_and_missing_labels_are_told():
    with pytest.raises(CourseError, match="not a list"):
        pseudo_label(torch.zeros(2, 2), [1, 2])
    with pytest.raises(CourseError, match="have no labels"):
        self_train(replace(two(4), y=None), two(4))
