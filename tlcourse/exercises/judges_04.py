"""Checks of chapter 04's fine-tuning: a tiny network makes a few steps, and what moved is compared."""

from __future__ import annotations

from collections import OrderedDict

from tlcourse.exercises.answers import NotYet, brief, call


def network(depth: int = 2, classes: int = 3, seed: int = 0):
    """A tiny trained-looking CNN: an `nn.Sequential` of the stages stem, stage1, stage2, ..., pool and head.

    Stem and stages have a convolution and BatchNorm with statistics of its own; it takes images `[n, 3, 8, 8]`.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chain = OrderedDict()
        for i, name in enumerate(["stem", *(f"stage{k}" for k in range(1, depth + 1))]):
            norm = nn.BatchNorm2d(4 + 2 * i)
            norm.running_mean.uniform_(-0.5, 0.5)  # as after a training on other data
            norm.running_var.uniform_(0.5, 2.0)
            wide = 3 if i == 0 else 2 + 2 * i
            chain[name] = nn.Sequential(nn.Conv2d(wide, 4 + 2 * i, 3, padding=1, bias=False), norm, nn.ReLU())
        chain["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        chain["head"] = nn.Linear(4 + 2 * depth, classes)
    return nn.Sequential(chain)


def frozen_network():
    """`network()` as it is after feature extraction: all but the head is truly frozen."""
    from tlcourse.freezing import freeze

    return freeze(network())


def unfrozen_last(unfreeze_last) -> None:
    """04.1: the loop moves stage2 and head, and nothing else."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        model = frozen_network()
        before = state(model)
        optimizer = _optimizer(call(unfreeze_last, model))
        still_whole(model, before)
        touched = moved(before, state(model))
        if touched:
            raise NotYet(
                f"Your function itself changed `{touched[0]}`. Fine-tuning starts from the weights that pretraining "
                "and the head's training gave: only say what may move."
            )
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not held & {id(p) for p in model.parameters()}:
            raise NotYet(
                "None of the optimizer's parameters belongs to the model that you were given: it was made from a "
                "copy. Change the model itself."
            )
        gradients = _steps(model, optimizer)
        _judge_weights(model, moved(before, state(model)), gradients, held)
        _judge_rest(moved(before, state(model)), gradients)


def _optimizer(result):
    import torch

    if isinstance(result, torch.optim.Optimizer):
        return result
    if isinstance(result, torch.nn.Module):
        raise NotYet("You returned the model. It is changed where it is: return the optimizer that will move it.")
    if result is None:
        raise NotYet("Your function returns nothing. Make an optimizer of what trains now, and return it.")
    raise NotYet(f"A torch optimizer is wanted, not {type(result).__name__}: e.g. `torch.optim.SGD(..., lr=0.01)`.")


def _steps(model, optimizer) -> set[str]:
    """Two steps of the usual loop; every parameter that has a gradient gets one of ones. Returns their names."""
    import torch

    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(8, 3, 8, 8, generator=generator), torch.arange(8) % 3
    if not any(p.requires_grad for p in model.parameters()):
        raise NotYet("Nothing has gradients any more: the head is frozen too. It has to go on learning.")
    try:
        for _ in range(2):
            model.train()
            model.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            found = {name for name, p in model.named_parameters() if p.grad is not None}
            for name, p in model.named_parameters():
                if name in found:  # even a tiny learning rate shows, and no dead ReLU hides it
                    p.grad = torch.ones_like(p)
            optimizer.step()
    except Exception as error:
        raise NotYet(f"After your function the network cannot be trained: {brief(error)}") from None
    return found


def _judge_weights(model, after, gradients, held) -> None:
    weights = [n for n in after if not is_statistic(n)]
    below = stages_of(n for n in weights if stage_of(n) in ("stem", "stage1"))
    if not weights:
        raise NotYet("Two steps were made, and no weight moved at all: the learning rate is zero, or next to it.")
    if below and "stage2" not in stages_of(weights):
        raise NotYet(
            f"You unfroze `{below[0]}`, at the input's end, and `stage2` stayed. Early stages see edges and colours, "
            "which serve every task. What is special to the old task sits at the end: begin there."
        )
    if below:
        raise NotYet(
            f"Too much is unfrozen: `{'`, `'.join(below)}` moved as well. Only `stage2` and `head` should, so that "
            "the general early stages stay as they are."
        )
    for stage in ("stage2", "head"):
        names = {name: id(p) in held for name, p in model.named_parameters() if stage_of(name) == stage}
        still = [name for name in names if name not in weights]
        if not still:
            continue
        if len(still) < len(names):
            raise NotYet(f"Only a part of `{stage}` learns: `{still[0]}` did not move. Take all of the stage.")
        if not gradients & set(names):
            raise NotYet(_STILL_FROZEN if stage == "stage2" else "`head` is frozen now. It has to go on learning.")
        if any(names.values()):
            raise NotYet(f"`{stage}` is in the optimizer, but its learning rate is zero there: it did not move.")
        raise NotYet(_NOT_IN_OPTIMIZER[stage])


def _judge_rest(after, gradients) -> None:
    statistics = stages_of(n for n in after if is_statistic(n))
    below = [stage for stage in statistics if stage != "stage2"]
    wasted = stages_of(n for n in sorted(gradients) if stage_of(n) in ("stem", "stage1"))
    if below:
        raise NotYet(
            f"The right weights moved, but `{below[0]}` is no longer frozen: the loop's `model.train()` reaches it, "
            "and BatchNorm's statistics moved. Let only `stage2` follow `train()` again."
        )
    if wasted:
        raise NotYet(
            f"`{wasted[0]}` does not move, but it has gradients again: each step works them out for nothing, and the "
            "next optimizer would move it. Leave its `requires_grad` False."
        )
    if "stage2" not in statistics:
        raise NotYet(
            "`stage2` is unfrozen by half. Its weights move, but it stays in evaluation mode, and BatchNorm keeps the "
            "old data's statistics: each of its modules still has the `train` that `freeze` gave it. Remove it by "
            "`del module.train`."
        )


_STILL_FROZEN = (
    "Only the head moved, as before: `stage2` is still frozen. The last stage is not `pool`, which has no weights, "
    "but the one before it."
)
_NOT_IN_OPTIMIZER = {
    "stage2": "`stage2` has gradients, yet it did not move: the optimizer does not hold its parameters. One that was "
    "made before the unfreezing, from what trained then, knows only the head. Unfreeze first, then make the optimizer.",
    "head": "`stage2` moves, but the head was left out of the optimizer. It has to go on learning: the features that "
    "it reads are moving.",
}


def state(model) -> dict:
    """A copy of every parameter and buffer."""
    return {name: t.detach().clone() for name, t in (*model.named_parameters(), *model.named_buffers())}


def moved(before, after) -> list[str]:
    """Names of the tensors that differ by as little as one bit."""
    import torch

    return [n for n in before if not torch.allclose(before[n], after[n], rtol=0, atol=0, equal_nan=True)]


def still_whole(model, before) -> None:
    """Nothing may be taken out, renamed or given another shape."""
    now = state(model)
    lost = [name for name in before if name not in now or now[name].shape != before[name].shape]
    if lost:
        raise NotYet(f"A part of the network is gone or another one: `{lost[0]}`. Keep the network as it is.")


def stage_of(name: str) -> str:
    return name.split(".")[0]


def stages_of(names) -> list[str]:
    """The stages of some tensors, each once, in the order of the names."""
    return list(dict.fromkeys(map(stage_of, names)))


def is_statistic(name: str) -> bool:
    """Whether a tensor is BatchNorm's own count or average, not a weight."""
    return "running_" in name or "num_batches" in name
