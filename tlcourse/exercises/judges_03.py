"""Checks of chapter 03's networks: they train a tiny one and look at what moved."""

from __future__ import annotations

from collections import OrderedDict

from tlcourse.exercises.answers import NotYet, brief, call


def network(seed: int = 0, width: int = 6, classes: int = 10):
    """A tiny trained-looking CNN: an `nn.Sequential` of the stages stem, stage1, pool and head.

    It has BatchNorm with statistics of its own and Dropout, and takes images `[n, 3, 8, 8]`.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            OrderedDict(
                stem=nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
                stage1=nn.Sequential(
                    nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.Dropout(0.3)
                ),
                pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                head=nn.Linear(2 * width, classes),
            )
        )
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):  # as after a training on other data
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
    return model


def replaced_head(replace_head) -> None:
    """03.1: a new head on a backbone that stays as it was."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        for seed, (width, classes) in enumerate(((6, 3), (9, 7))):
            model = network(seed, width)
            backbone = {n: t.detach().clone() for n, t in _tensors(model) if not n.startswith("head.")}
            head, old = model.head, model.head.weight.detach().clone()
            new = _returned(call(replace_head, model, classes), model)
            _judge_head(new, classes, width, backbone, head, old)


def _judge_head(new, classes, width, backbone, head, old) -> None:
    import torch
    from torch import nn

    if isinstance(new, nn.Linear):
        raise NotYet("You returned the head alone. Put it into the model (`model.head = ...`), and return the model.")
    torch.manual_seed(0)
    images = torch.randn(5, 3, 8, 8)
    try:
        with torch.no_grad():
            scores = new.eval()(images)
    except Exception as error:
        raise NotYet(
            f"With your head a network whose backbone gives {2 * width} features no longer runs ({brief(error)}) "
            "The head's inputs must be as many as the backbone's outputs, for any backbone: read "
            "`model.head.in_features` instead of writing a number."
        ) from None
    if tuple(scores.shape) != (5, classes):
        if scores.shape[-1] == old.shape[0]:
            raise NotYet(
                f"The network still gives {old.shape[0]} scores an image, those of its old classes, instead of "
                f"{classes}. Changing a number such as `out_features` does not change the weights: make a new "
                "`nn.Linear`."
            )
        raise NotYet(
            f"For {classes} classes and 5 images the scores have the shape {list(scores.shape)}, not [5, "
            f"{classes}]. Use the argument `classes` instead of a number."
        )
    if (scores >= 0).all() and torch.allclose(scores.sum(1), torch.ones(5), atol=1e-4):
        raise NotYet(
            "The scores of each image add to 1: there is a softmax in your head. `cross_entropy` takes the softmax "
            "itself, and wants the scores before it (logits)."
        )
    if any(p is head.weight for p in new.parameters()):
        raise NotYet(
            f"The old head is still there, below the new one: yours reads {old.shape[0]} old class scores instead "
            f"of the {2 * width} features. Replace the head, do not stack on it."
        )
    now = dict(_tensors(new))
    lost = [name for name, t in backbone.items() if not any(_same(t, other) for other in now.values())]
    if lost:
        raise NotYet(
            f"The backbone changed: `{lost[0]}` is no longer what pretraining made it. Only the head may be new."
        )
    fresh = [p for p in new.parameters() if not any(_same(p, t) for t in backbone.values())]
    if any(p.shape == old[:classes].shape and torch.equal(p, old[:classes]) for p in fresh):
        raise NotYet(
            f"Your head starts from the first {classes} rows of the old one. They score the old classes, which are "
            "not yours: start from fresh random weights."
        )
    if not all(p.requires_grad for p in fresh):
        raise NotYet("The new head is frozen (`requires_grad` is False): then nothing can be learned. Let it train.")


def frozen_backbone(freeze_backbone) -> None:
    """03.2: after training, the head has moved and the backbone is the same to the last bit."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        model = network()
        images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        before, features = _state(model), _features(model.eval(), images)
        model.train()
        result = call(freeze_backbone, model)
        if not torch.is_grad_enabled():
            raise NotYet(
                "Gradients are now switched off everywhere, so the head cannot learn either. Freeze the backbone."
            )
        if isinstance(result, torch.optim.Optimizer):
            raise NotYet(
                "You returned an optimizer. A learning rate of zero is not freezing: BatchNorm's statistics move "
                "without any optimizer, and the next optimizer moves the weights. Change the model."
            )
        model = _returned(result, model)
        _judge_kept(model, before, features, images)
        was_eval = not any(m.training for n, m in model.named_modules() if n and not n.startswith("head"))
        _train(model, images)
        _judge_moved(before, _state(model), was_eval, _zero_gradients(model))
        _judge_mapping(model, images)


def _judge_kept(model, before, features, images) -> None:
    """Nothing may be taken out or exchanged, and the head must be able to learn."""
    import torch

    lost = sorted(set(before) - set(_state(model)))
    if lost and all("running_" in name or "num_batches" in name for name in lost):
        raise NotYet(
            f"BatchNorm has lost its statistics (`{lost[0]}`). Without them it normalises by the batch at hand, so "
            "an image's features depend on its neighbours in the batch. Keep the statistics, and keep them still."
        )
    if lost:
        raise NotYet(f"A part of the network is gone or renamed: `{lost[0]}`. Freezing changes nothing in the mapping.")
    modes = {module: module.training for module in model.modules()}
    same = torch.allclose(_features(model.eval(), images), features, atol=1e-6)
    for module, mode in modes.items():
        module.training = mode
    if not same:
        raise NotYet("The backbone now computes something else than before. Freezing must not change the mapping.")
    if not any(p.requires_grad for p in model.head.parameters()):
        raise NotYet("You froze the head too: nothing is left that can learn. Leave out the stage `head`.")


def _train(model, images) -> None:
    """Three steps of the loop that everybody writes: it calls `model.train()`, and decays weights."""
    import torch

    labels = torch.arange(len(images)) % model.head.out_features
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    try:
        for _ in range(3):
            model.train()
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    except Exception as error:
        raise NotYet(f"After your function the network can no longer be trained: {brief(error)}") from None


def _zero_gradients(model) -> bool:
    gradients = [p.grad for n, p in model.named_parameters() if not n.startswith("head.")]
    return all(g is not None and not g.any() for g in gradients)


def _judge_moved(before, after, was_eval, zero_gradients) -> None:
    moved = [name for name in before if not _same(before[name], after[name])]
    buffers = [n for n in moved if "running_" in n or "num_batches" in n]
    weights = [n for n in moved if n not in buffers and not n.startswith("head.")]
    every = [n for n in before if n.endswith((".weight", ".bias")) and not n.startswith("head.")]
    if weights and zero_gradients:
        raise NotYet(
            f"The gradients are zero, yet `{weights[0]}` moved: weight decay shrinks every weight that has a "
            "gradient, even one of zero. With `requires_grad` False it has none, and the optimizer leaves it alone."
        )
    if weights and was_eval:
        raise NotYet(
            f"The weights moved (`{weights[0]}` first). `.eval()` only changes how BatchNorm and Dropout behave; it "
            "does not stop gradients, and the loop's `model.train()` undid it. Set `requires_grad` to False as "
            "well."
        )
    if len(weights) == len(every):
        raise NotYet(f"Nothing is frozen: all {len(every)} weights and biases of the backbone moved in three steps.")
    if weights:
        raise NotYet(
            f"Only a part is frozen: `{weights[0]}` still moved. Freeze every stage but `head`, BatchNorm's weights "
            "included."
        )
    if buffers and was_eval:
        raise NotYet(
            "`.eval()` was right, but it did not last: the loop calls `model.train()`, which put the backbone back "
            f"into training mode, and BatchNorm's statistics moved (`{buffers[0]}`). Make the frozen stages deaf to "
            "`train()`."
        )
    if buffers and all("num_batches" in n for n in buffers):
        raise NotYet(_HIDDEN)
    if buffers:
        raise NotYet(
            f"The weights stayed, but BatchNorm's running statistics moved (`{buffers[0]}`): they are buffers, not "
            "parameters, and change in every forward pass in training mode, whatever `requires_grad` says."
        )
    if not any(n.startswith("head.") for n in moved):
        raise NotYet("The head did not move: nothing was learned. Leave the stage `head` free.")


def _judge_mapping(model, images) -> None:
    """In training mode too, the frozen part is one fixed mapping of each image."""
    import torch

    model.train()
    if not torch.equal(_features(model, images), _features(model, images)):
        raise NotYet("The same image gives other features each time: Dropout in the frozen stages is still on.")
    others = torch.cat([images[:1], 3 * images[1:].flip(0)])
    if not torch.allclose(_features(model, images)[0], _features(model, others)[0], atol=1e-5):
        raise NotYet(_HIDDEN)


_HIDDEN = (
    "The statistics stayed, yet an image's features depend on its neighbours in the batch: BatchNorm does not use "
    "its kept statistics. `track_running_stats=False` or `momentum=0` only hides the change. Keep it in evaluation "
    "mode."
)


def _features(model, images):
    """What reaches the head, under all hooks and overrides of the learner."""
    import torch

    seen = []
    hook = model.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    try:
        with torch.no_grad():
            model(images)
    except Exception as error:
        raise NotYet(f"After your function the network no longer runs: {brief(error)}") from None
    finally:
        hook.remove()
    return seen[0]


def _returned(result, model):
    import torch

    if result is None:  # changed in place
        return model
    if not isinstance(result, torch.nn.Module):
        raise NotYet(f"Your function returned {type(result).__name__}. Return the model.")
    return result


def _state(model):
    return {name: tensor.detach().clone() for name, tensor in _tensors(model)}


def _tensors(model):
    yield from model.named_parameters()
    yield from model.named_buffers()


def _same(a, b) -> bool:
    import torch

    return a.shape == b.shape and torch.equal(a, b)
