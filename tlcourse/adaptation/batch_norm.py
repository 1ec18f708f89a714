"""`adapt_batch_norm`: BatchNorm's statistics from another domain, everything that was learned left as it is."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlcourse.adaptation.clouds import blind
from tlcourse.chain import stages
from tlcourse.chain.core import unwrapped
from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Features
from tlcourse.features.modes import at_once, evaluating
from tlcourse.freezing.freeze import tensors_of
from tlcourse.models import Tokens
from tlcourse.training.source import Source


def adapt_batch_norm(model: nn.Module, target, *, batch: int | None = None) -> nn.Module:
    """Give each BatchNorm the mean and variance that the target's items have there, in place.

    Each norm in turn, from the input to the output: its statistics are those of what reaches it when all norms before
    it have theirs. So the items come out as they would in training mode as one batch, and neither their order nor
    `batch` matters. The maps of all items at one stage are held in memory.

    No label is read and no parameter moves. Frozen stages get new statistics as well: frozen means that no training
    moves a stage, and this is no training but the one call that is made to move statistics. `changed` shows that
    buffers moved, features that were kept before no longer fit, and what was frozen still is.

    Arguments:
        model: a model with a `transform`.
        target: a `Split` of the target domain, at least two items; or `Features` of one of the model's stages: only
            the norms behind it get new statistics then.
        batch: items at once; only memory and seconds hang on it.

    Returns the model. Raises `CourseError` when no BatchNorm keeps statistics, for fewer than two items, or for NaN.

    >>> from tlcourse.features import Features
    >>> net = nn.Sequential(nn.Identity(), nn.BatchNorm1d(1), nn.Linear(1, 2))
    >>> items = Features(torch.tensor([[4.0], [6.0]]), None, ("a", "b"), ("low", "high"), "0")
    >>> adapt_batch_norm(net, items)[1].running_mean
    tensor([5.])

    Li et al. 2017 (AdaBN); chapter 09.
    """
    target = blind(target, tuple(getattr(model, "classes", ())) or None)
    if batch is not None:
        whole_number("batch", batch)
    list(tensors_of(model))  # says so when a lazy norm has no values yet
    source = Source(model, target)
    chain = source.run if isinstance(target, Features) else stages(model)
    norms = [module for module in chain.modules() if keeps_statistics(module)]
    if not norms:
        raise CourseError(
            f"{_where(model, target)} has no BatchNorm that keeps statistics, so there is nothing to adapt.",
            why="Only BatchNorm remembers where the training data lay; LayerNorm looks at each item alone.",
            do='Align its features instead, e.g. align(...), or train with adapt(model, source, target, method="mmd").',
        )
    if len(target) < 2:
        raise CourseError(
            "One item says nothing of how a domain spreads.",
            why="The variance of a single item is zero, and everything else would be divided by it.",
            do="Pass more items of the target; from some fifty on the statistics are steady.",
        )
    estimate(model, target, norms, batch)
    return model


def estimate(model: nn.Module, target, norms: list[nn.Module], batch: int | None = None) -> None:
    """Give these norms the target's statistics, one by one; the others stay as they are."""
    source = Source(model, target, made_now=True)
    chain = list((source.run if isinstance(target, Features) else stages(model)).children())
    size = batch or at_once(getattr(model, "transform", None), device=source.device)
    before = [(n, n.running_mean.clone(), n.running_var.clone()) for n in norms]
    try:
        with evaluating(nn.ModuleList([model, *chain])), torch.no_grad():
            maps = [source.batch(index) for index in source.in_order(size)]
            for stage in chain:
                maps = _through(stage, maps, {m for m in stage.modules() if m in norms}, last=stage is chain[-1])
    except BaseException:  # also an interrupt: half of the norms of one domain, half of another is no model
        with torch.no_grad():
            for norm, mean, variance in before:
                norm.running_mean.copy_(mean), norm.running_var.copy_(variance)
        raise


def keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _where(model: nn.Module, target) -> str:
    name = f"The {type(unwrapped(model)).__name__}"
    return f"{name} behind stage {target.stage!r}" if isinstance(target, Features) else name


def _through(stage: nn.Module, maps: list, waiting: set[nn.Module], last: bool) -> list:
    """The stage's output for all batches, after the norms that wait in it have had their statistics one by one."""
    while waiting:
        norm, moments = None, None
        for x in maps:
            norm, moments = _reached(stage, x, waiting, norm, moments)
            if norm is None:
                waiting.clear()  # norms that nothing reaches
                break
        if norm is not None:
            _set(norm, *moments)
            waiting.discard(norm)
    return [] if last else [stage(_fresh(x)) for x in maps]


class _Here(Exception):
    """The forward pass need go no further."""


def _reached(stage, x, waiting, norm, moments):
    """The first norm that a batch reaches of those that wait, and count, mean and squares with this batch's added."""
    found = []

    def stop(module, args):
        found.append((module, args[0]))
        raise _Here

    hooks = [module.register_forward_pre_hook(stop) for module in waiting]
    try:
        stage(_fresh(x))
        return None, None
    except _Here:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    module, y = found[0]
    return module, _added(moments if module is norm else None, y)


def _fresh(x):
    """A copy: a stage that begins with an in-place activation would change what the next pass over it gets."""
    return Tokens(x.x.clone(), x.mask) if isinstance(x, Tokens) else x.clone()


def _added(moments, y: torch.Tensor):
    """Count, mean and sum of squared deviations of all so far (Chan et al. 1979: nothing large is subtracted)."""
    y = y.transpose(0, 1).flatten(1).to(torch.float32 if y.device.type == "mps" else torch.float64)
    count, mean = y.shape[1], y.mean(1)
    squares = ((y - mean[:, None]) ** 2).sum(1)
    if moments is None:
        return count, mean, squares
    n, old, sum_ = moments
    total, step = n + count, mean - old
    return total, old + step * count / total, sum_ + squares + step**2 * n * count / total


def _set(norm: nn.Module, count: int, mean: torch.Tensor, squares: torch.Tensor) -> None:
    variance = squares / count  # by which a batch of them would be divided
    if not (mean.isfinite().all() and variance.isfinite().all()):
        raise CourseError(
            "What reaches a BatchNorm is not a number (NaN) or infinite.", do="Check the data and the model's weights."
        )
    norm.running_mean.copy_(mean)
    # a channel that is the same everywhere in these items, but for rounding, has no spread to learn; later items would
    # be divided by it
    spread = variance > (1e-12 * mean**2).clamp(min=1e-8 * norm.eps)
    norm.running_var.copy_(torch.where(spread, variance.to(norm.running_var), norm.running_var))
