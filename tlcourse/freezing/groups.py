"""Discriminative learning rates: what an optimizer is made from."""

from __future__ import annotations

from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, real_number


def parameter_groups(
    model: nn.Module,
    lr: float,
    *,
    decay: float = 1.0,
    head_lr: float | None = None,
    weight_decay: float = 0.0,
) -> list[dict]:
    """Parameter groups of the stages that train now, for any torch optimizer.

    Arguments:
        model: any model whose `stages` are known.
        lr: learning rate of the last stage with parameters, the head.
        decay: each stage further from the head has its rate multiplied by this; 1 gives one rate to all. A
            stage's rate depends on its place in the whole chain, not on what else is frozen.
        head_lr: a rate for the head of its own; the stages below then start from `lr`.
        weight_decay: of matrices and kernels; biases and the scales of norms never decay.

    Returns a list of dicts with `params`, `lr`, `weight_decay` and `stage`.
    Raises `CourseError` when nothing trains.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [(g["stage"], g["lr"]) for g in parameter_groups(net, lr=1.0, decay=0.5)]
    [('0', 0.5), ('2', 1.0)]

    Howard and Ruder 2018 (discriminative fine-tuning); chapter 04.
    """
    given = {"lr": lr, "decay": decay, "head_lr": 0.0 if head_lr is None else head_lr, "weight_decay": weight_decay}
    for name, value in given.items():
        real_number(name, value)
    groups = []
    with_parameters = [(n, s) for n, s in stages(model).named_children() if any(True for _ in s.parameters())]
    for depth, (name, stage) in enumerate(reversed(with_parameters)):
        rate = lr * decay**depth
        if head_lr is not None:
            rate = head_lr if depth == 0 else lr * decay ** (depth - 1)
        trainable = [p for p in stage.parameters() if p.requires_grad]
        matrices = [p for p in trainable if p.ndim > 1]
        vectors = [p for p in trainable if p.ndim <= 1]
        if not weight_decay:
            matrices, vectors = trainable, []
        for params, decayed in ((matrices, weight_decay), (vectors, 0.0)):
            if params:
                groups.append({"params": params, "lr": rate, "weight_decay": decayed, "stage": name})
    if not groups:
        raise CourseError(
            "Nothing trains: every stage is frozen.",
            do='Unfreeze at least the head, e.g. unfreeze(model, last=1) or unfreeze(model, "head").',
        )
    return groups[::-1]
