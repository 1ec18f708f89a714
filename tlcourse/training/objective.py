"""What a batch is scored by while training: the loss, and what may be added to it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.chain import stages
from tlcourse.digest import digest
from tlcourse.errors import CourseError, UnknownName, real_number

MIXES = ("mixup", "cutmix")


class Objective:
    """Logits and labels of a batch -> one number to make small.

    Arguments:
        data: the training items, for their classes.
        loss: (logits `[n, classes]`, labels `[n]`) -> scalar; None for cross-entropy.
        label_smoothing: share of each label that is spread over all classes.
        class_weights: `"balanced"`, one number a class, or None.
        mix: `"mixup"`, `"cutmix"`, a map of (images, labels), or None.
        penalty: a function without arguments, e.g. from `l2_sp`, whose value is added.
    """

    def __init__(self, data, loss=None, label_smoothing=0.0, class_weights=None, mix=None, penalty=None):
        if loss is not None and not callable(loss):
            raise CourseError(f"loss={loss!r} is no function.", do="Pass one, e.g. loss=nn.CrossEntropyLoss().")
        if loss is not None and (label_smoothing or class_weights is not None):
            raise CourseError(
                "label_smoothing= and class_weights= belong to the course's own cross-entropy.",
                do="Put them into your loss, e.g. nn.CrossEntropyLoss(label_smoothing=0.1), or leave out loss=.",
            )
        real_number("label_smoothing", label_smoothing, below=1)
        if penalty is not None and not callable(penalty):
            raise CourseError("penalty= is a function without arguments.", do="Pass e.g. penalty=l2_sp(model, 0.01).")
        self.loss, self.label_smoothing, self.penalty = loss, label_smoothing, penalty
        self.weights = None if class_weights is None else weights_of(class_weights, data)
        self.mix = _mixer(mix, len(data.classes)) if mix is not None else None

    def mixed(self, x, y):
        """Images and labels, blended with each other where that was asked for; labels are then `[n, classes]`."""
        return self.mix(x, y) if self.mix is not None else (x, y)

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.loss is not None:
            value = self.loss(logits, labels)
        elif self.weights is None:
            value = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        else:
            each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
            weights = self.weights.to(logits)
            value = (each * (weights[labels] if labels.ndim == 1 else labels.to(weights) @ weights)).mean()
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise CourseError(
                "The loss must be one number for the batch.",
                do='Pass a function or an object, e.g. loss=nn.CrossEntropyLoss(), and leave out reduction="none".',
            )
        return value if self.penalty is None else value + self.penalty()


def weights_of(class_weights, data) -> torch.Tensor:
    """One weight a class, `[classes]`; `"balanced"` gives rare classes as much say in the mean as frequent ones.

    A class of `n` items among `N` of `K` classes weighs `N / (K n)`, so that the mean over the items is 1.

    >>> from types import SimpleNamespace
    >>> weights_of("balanced", SimpleNamespace(y=torch.tensor([0, 0, 0, 1]), classes=("often", "rare")))
    tensor([0.6667, 2.0000])
    """
    counts = torch.bincount(data.y, minlength=len(data.classes)).float()
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise UnknownName("kind of class weights", class_weights, ("balanced",))
        return torch.where(counts > 0, len(data.y) / (len(data.classes) * counts.clamp(min=1)), 0.0)
    try:
        weights = torch.as_tensor(class_weights, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        weights = torch.empty(0)
    if weights.shape != counts.shape:
        raise CourseError(
            f"class_weights={class_weights!r} does not give each class a weight.",
            do=f'Pass "balanced", or {len(data.classes)} numbers, one for each of {", ".join(data.classes)}.',
        )
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise CourseError("Class weights are 0 or more, and not all 0.", do="Check the numbers.")
    return weights


def l2_sp(model: nn.Module, strength: float = 0.01) -> Callable[[], torch.Tensor]:
    """A penalty for moving away from where the weights stand now: (strength / 2) times the squared distance.

    Call it before training, when the model still has its pretrained weights. The head is left out: it starts from
    random numbers, and there is nothing to stay near to.

    Arguments:
        model: the model to be trained.
        strength: 0 for no pull, 0.01 to 0.1 usually.

    Returns a function without arguments whose value is a scalar, for `fit(..., penalty=)`.

    >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))
    >>> penalty = l2_sp(net, strength=2.0)
    >>> _ = net[0].weight.data.add_(1.0)
    >>> penalty().item()
    4.0

    Li, Grandvalet and Davoine 2018 (L2-SP); chapter 04.
    """
    real_number("strength", strength)
    body = [s for s in stages(model).children() if any(True for _ in s.parameters())][:-1]
    start = [(p, p.detach().clone()) for stage in body for p in stage.parameters()]

    def penalty() -> torch.Tensor:
        moving = [((p - p0) ** 2).sum() for p, p0 in start if p.requires_grad]
        return strength / 2 * torch.stack(moving).sum() if moving else torch.zeros(())

    penalty.pulls = [p for p, _ in start]
    penalty.described = lambda: f"l2_sp({strength}) from {digest({str(i): p0 for i, (_, p0) in enumerate(start)})}"
    return penalty


def _mixer(mix, classes: int) -> Callable:
    from torchvision.transforms import v2

    if callable(mix):
        return mix
    if mix not in MIXES:
        raise UnknownName("mix", mix, MIXES)
    return v2.MixUp(num_classes=classes, alpha=0.2) if mix == "mixup" else v2.CutMix(num_classes=classes)
