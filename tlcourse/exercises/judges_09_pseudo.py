"""The check of chapter 09's pseudo-labels: the labels that must not be read are wrong, and reading them is noticed."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call

CLASSES, ITEMS = 3, 40


class Unlabelled:
    """Items of which somebody knows the labels, for the test: `x` `[n, 4]`, and `y`, which nobody may read."""

    def __init__(self, x, y):
        self.x, self._hidden, self.read = x, y, False

    def __len__(self) -> int:
        return len(self.x)

    @property
    def y(self):
        self.read = True
        return self._hidden


def model_and_items():
    """A classifier `[n, 4]` -> scores `[n, 3]`, and 40 items: `model, items`; what `items.y` holds is for the test."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, CLASSES))
        for p in model.parameters():
            p.data.mul_(2.6)
        x = 1.5 * torch.randn(ITEMS, 4)
    model.eval()
    with torch.no_grad():
        y = (model(x).argmax(1) + 1) % CLASSES  # no item has the label that the model gives it
    return model, Unlabelled(x, y)


def sure_answers(surest) -> None:
    """09.3: the items whose largest share reaches the threshold, with the model's own answers as labels."""
    import torch

    with torch.random.fork_rng(devices=[]):
        for threshold in (0.9, 0.7):
            model, items = model_and_items()
            before, x = {name: t.clone() for name, t in model.state_dict().items()}, items.x.clone()
            kept, y = _pair(call(surest, model, items, threshold))
            if items.read:
                raise NotYet(
                    "Your function reads `items.y`. Nobody has labelled these items; the labels are there for the test "
                    "only. What the model answers takes their place."
                )
            if not torch.equal(items.x, x):
                raise NotYet("Your function changes `items.x`. Choose rows of it, and leave it as it is.")
            if any(
                t.dtype != before[name].dtype or not torch.equal(t, before[name])
                for name, t in model.state_dict().items()
            ):
                raise NotYet("Your function trains the model. It is only asked: its weights stay as they are.")
            _judge(kept, y, x, *_shares(model, x), threshold)
        model, items = model_and_items()
        model[-1].weight.data.mul_(1e4)  # nearly all shares are exactly 1
        kept, y = _pair(call(surest, model, items, 1.0))
        shares, scores = _shares(model, items.x)
        right = shares.max(1).values >= 1
        if len(kept) < int(right.sum()):
            raise NotYet(
                "A share that is just as large as the threshold is sure enough: *at least* `threshold`, which is `>=`."
            )
        _judge(kept, y, items.x, shares, scores, 1.0)
        model, items = model_and_items()
        model.train()
        kept, y = _pair(call(surest, model, items, 0.7))
        model.eval()
        shares, _ = _shares(model, items.x)
        right = shares.max(1).values >= 0.7
        if not (kept.shape == items.x[right].shape and torch.equal(kept, items.x[right])):
            raise NotYet(
                "When the model comes in training mode, its dropout makes the answers random. Call `model.eval()` "
                "before you ask it."
            )


def _pair(result):
    import torch

    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet("Return two things: the kept items' `x`, and their pseudo-labels.")
    kept, y = result
    if not isinstance(kept, torch.Tensor) or not isinstance(y, torch.Tensor):
        raise NotYet("Two tensors are wanted: the kept items' `x`, and their pseudo-labels.")
    if kept.ndim != 2 or kept.shape[1] != 4:
        raise NotYet(
            f"The first result has the shape {list(kept.shape)}; the kept rows of `items.x` have the shape [n, 4]."
        )
    if y.is_floating_point() or y.dtype == torch.bool or y.ndim != 1:
        raise NotYet("Pseudo-labels are class numbers, one an item: the place of the largest score, `argmax(1)`.")
    if len(kept) != len(y):
        raise NotYet(
            f"You return {len(kept)} items and {len(y)} labels. The same choice has to be made of both: `y[sure]`."
        )
    return kept.detach().float(), y


def _shares(model, x):
    import torch

    with torch.no_grad():
        scores = model(x)
    return scores.softmax(1), scores


def _judge(kept, y, x, shares, scores, threshold) -> None:
    import torch

    sure = shares.max(1).values

    def chose(mask) -> bool:
        return len(kept) == int(mask.sum()) and torch.equal(kept, x[mask])

    right = sure >= threshold
    if chose(right) or chose(sure > threshold):
        if not torch.equal(y, scores.argmax(1)[right]):
            if torch.equal(y, scores.argmin(1)[right]):
                raise NotYet("The labels are the classes with the *smallest* score. The surest answer is the largest.")
            raise NotYet("The kept items are right, their labels are not: take the class with the largest score.")
        return
    for mask, words in (
        (sure < threshold, "below"),
        (torch.ones_like(right), "all"),
        (scores.max(1).values >= threshold, "scores"),
        (scores.sigmoid().max(1).values >= threshold, "sigmoid"),
        (torch.zeros_like(right), "none"),
        (scores.softmax(0).max(1).values >= threshold, "none"),
        (shares.min(1).values >= 1 - threshold, "smallest"),
        (shares.min(1).values <= 1 - threshold, "smallest"),
        (_top(sure, threshold), "share"),
        (_top(sure, 1 - threshold), "share"),
        (shares[:, 0] >= threshold, "one class"),
    ):
        if chose(mask):
            raise NotYet(_CHOSEN[words])
    if len(kept) == int(right.sum()) and all((x[right] == row).all(1).any() for row in kept):
        raise NotYet("You keep the right items, in another order. Leave them in the order of `items.x`.")
    raise NotYet(
        f"With `threshold` = {threshold:g} your function keeps {len(kept)} of {ITEMS} items; {int(right.sum())} have a "
        "largest share of at least that. Make shares of the scores, take the largest of each item, and compare."
    )


def _top(sure, share):
    import torch

    mask = torch.zeros(len(sure), dtype=torch.bool)
    mask[sure.argsort(descending=True)[: round(share * len(sure))]] = True
    return mask


_CHOSEN = {
    "below": "You keep the items that the model is *unsure* of. Their answers are the ones that are often wrong.",
    "all": "You keep every item. Then the model learns its own mistakes as well; `threshold` is there to leave out "
    "what it is unsure of.",
    "scores": "You compare scores with the threshold. A score may be any number; make shares of them first, "
    "`scores.softmax(1)`.",
    "sigmoid": "You made a share of each score by itself (`sigmoid`), so an item can be sure of two classes at once. "
    "The classes compete: `softmax(1)`.",
    "none": "You keep no item at all, or next to none. Softmax over the items, `softmax(0)`, makes all shares small, "
    "and so does a mean: the *classes* of an item compete, `softmax(1)`, and its largest share counts.",
    "smallest": "You look at the smallest share. How sure an answer is, the largest one tells.",
    "share": "You keep a fixed number of items. Here the threshold is a confidence: keep as many as reach it.",
    "one class": "You look at one class only. Each item's own largest share counts.",
}
