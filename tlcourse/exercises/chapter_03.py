"""Questions of chapter 03: a new head, true freezing, no leakage."""

from __future__ import annotations

from tlcourse.exercises import judges_03, judges_03_leakage
from tlcourse.exercises.core import Choice, Exercise, Quiz


def _head(*lines: str) -> str:
    return "from torch import nn\n\ndef replace_head(model, classes):\n" + "".join(f"    {line}\n" for line in lines)


def _frozen(*lines: str) -> str:
    return "import torch\nfrom torch import nn\n\ndef freeze_backbone(model):\n" + "".join(f"    {x}\n" for x in lines)


def _scaled(*lines: str) -> str:
    return "import torch\n\ndef standardise(train, test):\n" + "".join(f"    {line}\n" for line in lines)


_NEW = "model.head = nn.Linear(model.head.in_features, classes)"
_LOOP = "for name, stage in model.named_children():"
_STATS = "mean, std = train.mean(0), train.std(0) + 1e-8"

HEAD = Exercise(
    name="03.1",
    title="Give a network a new head",
    task="Write `replace_head(model, classes)`: the model keeps its backbone, and gets a new linear head with one "
    'score a class. It must work for any width of backbone. Try it on `exercise("03.1").material()`, whose stages '
    "are stem, stage1, pool and head; the head is `model.head`.",
    stub="def replace_head(model, classes):\n    ...",
    answers=("replace_head",),
    judge=judges_03.replaced_head,
    make=judges_03.network,
    why="The backbone's features go into a fresh linear layer with as many inputs as there are features and as many "
    "outputs as there are classes. It gives logits: the loss takes the softmax itself.",
    hints=(
        "The head is the last stage, `model.head`, an `nn.Linear`. How many numbers go in, and how many come out?",
        "`model.head.in_features` is the number of features that the backbone gives.",
        "Set `model.head = nn.Linear(..., classes)` and return the model.",
    ),
    code=_head(_NEW, "return model"),
    wrong={
        "width written as a number": (_head("model.head = nn.Linear(12, classes)", "return model"), "in_features"),
        "classes written as a number": (
            _head("model.head = nn.Linear(model.head.in_features, 3)", "return model"),
            "argument `classes`",
        ),
        "only a number changed": (
            _head("model.head.out_features = classes", "return model"),
            "does not change the weights",
        ),
        "the head alone": (_head("return nn.Linear(model.head.in_features, classes)"), "head alone"),
        "stacked on the old head": (
            _head("model.head = nn.Sequential(model.head, nn.Linear(10, classes))", "return model"),
            "do not stack",
        ),
        "softmax before the loss": (
            _head(
                "model.head = nn.Sequential(nn.Linear(model.head.in_features, classes), nn.Softmax(1))", "return model"
            ),
            "softmax",
        ),
        "rows of the old head": (
            _head(
                "old = model.head", _NEW, "model.head.weight.data = old.weight.data[:classes].clone()", "return model"
            ),
            "fresh random weights",
        ),
        "the backbone made new too": (
            _head(_NEW, "model.stem[0].reset_parameters()", "return model"),
            "The backbone changed",
        ),
        "a frozen head": (_head(_NEW, "model.head.requires_grad_(False)", "return model"), "frozen"),
        "not the model": (_head(_NEW, "return classes"), "Return the model"),
    },
)

FREEZE = Exercise(
    name="03.2",
    title="Freeze a network truly",
    task="Write `freeze_backbone(model)`. Afterwards a loop that you did not write trains the model and calls "
    "`model.train()` in every step. The head must learn; every weight and every statistic of the other stages must "
    'stay the same to the last bit. `exercise("03.2").material()` makes a network with BatchNorm and Dropout to try '
    "it on.",
    stub="def freeze_backbone(model):\n    ...",
    answers=("freeze_backbone",),
    judge=judges_03.frozen_backbone,
    make=judges_03.network,
    why="Two locks are needed. `requires_grad=False` stops the optimizer. Evaluation mode stops BatchNorm's "
    "statistics and Dropout, and it must last when a loop calls `model.train()`. `tlcourse.freeze(model)` does just "
    "this.",
    hints=(
        "`requires_grad_(False)` locks weights. What else in a BatchNorm layer changes, without any optimizer?",
        "BatchNorm's statistics stay in evaluation mode, but `model.train()` calls `train()` of every stage. What "
        "if a frozen stage had a `train` that does nothing?",
        "For every stage but the head: `stage.requires_grad_(False)`, `stage.eval()`, and `stage.train = lambda "
        "mode=True, stage=stage: stage`.",
    ),
    code=_frozen(
        _LOOP,
        '    if name != "head":',
        "        # no gradients: the weights stay",
        "        stage.requires_grad_(False)",
        "        # BatchNorm uses its kept statistics, Dropout is off ...",
        "        stage.eval()",
        "        # ... and the loop's model.train() cannot undo it",
        "        stage.train = lambda mode=True, stage=stage: stage",
        "return model",
    ),
    wrong={
        "nothing": (_frozen("return model"), "Nothing is frozen"),
        "gradients only": (_frozen("model[:-1].requires_grad_(False)", "return model"), "running statistics moved"),
        "evaluation mode only": (_frozen("model[:-1].eval()"), "does not stop gradients"),
        "evaluation mode undone": (
            _frozen("model[:-1].requires_grad_(False)", "model[:-1].eval()", "return model"),
            "did not last",
        ),
        "the head too": (_frozen("model.requires_grad_(False)", "return model.eval()"), "froze the head too"),
        "one stage": (_frozen("model.stem.requires_grad_(False)", "return model"), "Only a part"),
        "no tracking": (
            _frozen(
                "model[:-1].requires_grad_(False)",
                "for m in model.modules():",
                "    if isinstance(m, nn.BatchNorm2d): m.track_running_stats = False",
                "    if isinstance(m, nn.Dropout): m.p = 0.0",
            ),
            "neighbours in the batch",
        ),
        "momentum of zero": (
            _frozen(
                "model[:-1].requires_grad_(False)",
                "for m in model.modules():",
                "    if isinstance(m, nn.BatchNorm2d): m.momentum = 0.0",
            ),
            "only hides the change",
        ),
        "statistics thrown away": (
            _frozen(
                "model[:-1].requires_grad_(False)",
                "for m in model.modules():",
                "    if isinstance(m, nn.BatchNorm2d): m.running_mean = m.running_var = m.num_batches_tracked = None",
            ),
            "lost its statistics",
        ),
        "BatchNorm taken out": (
            _frozen("model[:-1].requires_grad_(False)", "model.stem[1] = nn.Identity()", "return model"),
            "gone or renamed",
        ),
        "statistics reset": (
            _frozen("model[:-1].requires_grad_(False)", "model.stem[1].reset_running_stats()", "return model"),
            "must not change the mapping",
        ),
        "Dropout left on": (
            _frozen(
                "model[:-1].requires_grad_(False)",
                "for m in model.modules():",
                "    if isinstance(m, nn.BatchNorm2d): m.eval(); m.train = lambda mode=True, m=m: m",
            ),
            "Dropout",
        ),
        "a learning rate of zero": (
            _frozen(
                "groups = [{'params': model[:-1].parameters(), 'lr': 0.0}, {'params': model.head.parameters()}]",
                "return torch.optim.SGD(groups, lr=0.1)",
            ),
            "learning rate of zero",
        ),
        "gradients multiplied by zero": (
            _frozen("for p in model[:-1].parameters(): p.register_hook(lambda g: g * 0)", "return model"),
            "weight decay",
        ),
        "no gradients anywhere": (_frozen("torch.set_grad_enabled(False)", "return model"), "switched off everywhere"),
    },
)

STANDARDISE = Exercise(
    name="03.3",
    title="Prepare features without leakage",
    task="Before a linear probe each feature is brought to mean 0 and spread 1. Write `standardise(train, test)` "
    "for two tensors `[items, features]`; it returns both, made standard, so that the test score stays honest.",
    stub="def standardise(train, test):\n    ...",
    answers=("standardise",),
    judge=judges_03_leakage.standardised,
    why="Mean and spread are learned, so they come from the training items alone, and the test items go through the "
    "same mapping. A test item's result then depends on no other test item. `linear_probe` keeps the same rule "
    "(with one spread for all features, which is safer with few items).",
    hints=(
        "Mean and spread are numbers that are learned from data. From which data may anything be learned?",
        "`train.mean(0)` and `train.std(0)` give one number a feature. Both sets need the same ones.",
        "A feature that never varies has spread 0: add `1e-8` before dividing.",
    ),
    code=_scaled(_STATS, "return (train - mean) / std, (test - mean) / std"),
    wrong={
        "fitted on both": (
            _scaled(
                "x = torch.cat([train, test])",
                "mean, std = x.mean(0), x.std(0) + 1e-8",
                "return (train - mean) / std, (test - mean) / std",
            ),
            "together",
        ),
        "each by itself": (
            _scaled("return tuple((x - x.mean(0)) / (x.std(0) + 1e-8) for x in (train, test))"),
            "their own mean and spread",
        ),
        "fitted on test": (
            _scaled("mean, std = test.mean(0), test.std(0) + 1e-8", "return (train - mean) / std, (test - mean) / std"),
            "leaked into the training",
        ),
        "along the wrong axis": (
            _scaled("return tuple((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True) for x in (train, test))"),
            "axis 0",
        ),
        "one mean for all": (
            _scaled("m, s = train.mean(), train.std()", "return (train - m) / s, (test - m) / s"),
            "its own",
        ),
        "division by zero": (
            _scaled("m, s = train.mean(0), train.std(0)", "return (train - m) / s, (test - m) / s"),
            "dead ReLU",
        ),
        "in place": (
            _scaled(_STATS, "for x in (train, test): x -= mean; x /= std", "return train, test"),
            "Make new ones",
        ),
        "centred only": (_scaled("return train - train.mean(0), test - train.mean(0)"), "spread 1"),
        "the test set left as it was": (_scaled(_STATS, "return (train - mean) / std, test"), "exactly the same"),
        "only one of two": (_scaled(_STATS, "return (train - mean) / std"), "in this order"),
        "scaled by the range of each set": (
            _scaled("return tuple((x - x.amin(0)) / (x.amax(0) - x.amin(0) + 1e-8) for x in (train, test))"),
            "depends on the other test items",
        ),
    },
)

QUESTIONS = (
    HEAD,
    FREEZE,
    STANDARDISE,
    Quiz(
        "03.a",
        "All parameters of a backbone with BatchNorm have `requires_grad=False`. You train a head on top in a usual "
        "loop. After each epoch you call `model.eval()` and compute the features of one image. Why do they change from "
        "epoch to epoch?",
        (
            Choice(
                "The optimizer moves parameters without gradients by weight decay.",
                "Not so: PyTorch's optimizers skip a parameter that has no gradient, weight decay included.",
            ),
            Choice(
                "In training mode BatchNorm updates its running mean and variance, and evaluation mode uses them.",
                "They are buffers: no gradient and no optimizer is involved. Only evaluation mode keeps them still, "
                "and it must outlast the loop's `model.train()`.",
                right=True,
            ),
            Choice(
                "Gradients of the head flow back into the backbone.",
                "They stop where nothing requires a gradient; the backbone's weights do stay. Something else in it "
                "moves.",
            ),
            Choice(
                "The images are shuffled.",
                "In evaluation mode an image's features depend on no other image, so no order of the images can change "
                "them.",
            ),
        ),
    ),
    Quiz(
        "03.b",
        "When does feature extraction from a frozen network help least?",
        (
            Choice(
                "When there are only a few labelled images of everyday things.",
                "That is where it helps most: the features are already there, and a small head needs few labels.",
            ),
            Choice(
                "When the computer has no GPU.",
                "It is then the cheapest way: each image goes through the network once, and the head trains in "
                "seconds.",
            ),
            Choice(
                "When the classes have new names.",
                "Names do not matter. A new head learns new classes as long as the features tell them apart.",
            ),
            Choice(
                "When the images are far from those of pretraining, as handwritten digits are from photographs.",
                "Features made for photographs keep little of what tells digits apart: in this chapter raw pixels do "
                "about as well. One way on is to let the network itself move: chapter 04.",
                right=True,
            ),
        ),
    ),
)
