"""Grad-CAM: which places of an image speak for a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tlcourse.chain import pick, stages
from tlcourse.errors import CourseError
from tlcourse.explain.outputs import as_list, class_number, one_image, scores
from tlcourse.features.engine import precision_of
from tlcourse.features.modes import evaluating, model_device

FINE = 4
"""Places across, from which on a map is fine enough to say where something is."""


def grad_cam(
    model: nn.Module, x: torch.Tensor, target: int | str | Sequence[int | str], *, stage: str | None = None
) -> torch.Tensor:
    r"""How much each place of a stage's map speaks for a class.

    The chain is cut behind the stage. Its map $A$ `[c, h, w]` is computed without gradients, and the gradient of the
    class's score $z$ goes back no further than to $A$. Each channel gets the mean of its gradient as its weight:

    $$ \alpha_c = \frac{1}{hw}\sum_{ij} \frac{\partial z}{\partial A_{cij}}, \qquad
       L_{ij} = \max\Big(0, \sum_c \alpha_c A_{cij}\Big) $$

    The model stays exactly as it was: no gradient is left on a parameter, no statistics move, no hook is set, every
    module keeps its mode. It may be frozen.

    Arguments:
        model: an image model whose `stages` are known.
        x: one image as the model takes it, float `[3, h, w]` or `[1, 3, h, w]`, e.g. `model.transform(image)`.
        target: a class by number or name; or several.
        stage: whose output to look at; by default the last one whose map has at least 4 by 4 places.

    Returns float32 `[h, w]` of the stage's map, 0 and above, in units of the score; for several classes `[k, h, w]`.
    Raises `CourseError` where no stage gives a map, as in a vision transformer: use `cover_up` there.

    >>> from tlcourse import load, photograph
    >>> net = load("efficientnet-lite0", classes=["cat", "dog"], pretrained=False)
    >>> grad_cam(net, net.transform(photograph("cat")), "cat").shape
    torch.Size([7, 7])

    Selvaraju et al. 2017. Chapters 00 and 09.
    """
    chain = dict(stages(model).named_children())
    x = one_image(x).to(model_device(model), precision_of(chain.values()))
    wanted, several = as_list(target)
    # the stages too: a set_stages chain may hold modules that are not the model's own
    with torch.inference_mode(False), evaluating(nn.ModuleList([model, *chain.values()])):
        name, kept = _map(model, chain, x.clone(), stage)
        with torch.enable_grad():
            kept = kept.detach().requires_grad_()
            y = kept.clone()  # a stage behind may work in place, and what we look at must not change
            for later in list(chain)[list(chain).index(name) + 1 :]:
                y = chain[later](y)
            y = scores(y)
            numbers = [class_number(model, one, y.shape[1]) for one in wanted]
            slopes = [torch.autograd.grad(y[0, c], kept, retain_graph=True)[0] for c in numbers]
        maps = [(slope.mean((2, 3), keepdim=True) * kept).sum(1).relu()[0] for slope in slopes]
    found = torch.stack(maps).detach().float().cpu()
    return found if several else found[0]


def map_stage(shapes: dict[str, tuple[int, ...]]) -> str | None:
    """The stage to look at, of the shapes `[n, c, h, w]` that come out of each; None if none gives a map.

    >>> map_stage({"stem": (1, 8, 32, 32), "body": (1, 16, 8, 8), "neck": (1, 32, 2, 2), "pool": (1, 32)})
    'body'
    """
    maps = {name: min(shape[2:]) for name, shape in shapes.items() if len(shape) == 4}
    fine = [name for name, side in maps.items() if side >= FINE]
    rest = [name for name, side in maps.items() if side > 1]
    return fine[-1] if fine else max(rest, key=maps.get) if rest else None


def _map(model, chain: dict[str, nn.Module], x: torch.Tensor, stage: str | None) -> tuple[str, torch.Tensor]:
    """The stage's name, and its output for the image."""
    if stage is not None:
        (stage,) = pick(model, stage)[-1:]
    shapes, outputs = {}, {}
    with torch.no_grad():
        for name, step in chain.items():
            x = step(x)
            if not isinstance(x, torch.Tensor):
                break
            shapes[name] = tuple(x.shape)
            best = stage if stage is not None else map_stage(shapes)
            if name == best:
                outputs = {name: x.clone()}  # the next stage may work in place
            if name == stage:
                break
    best = stage if stage is not None else map_stage(shapes)
    if best not in outputs or outputs[best].ndim != 4:
        raise CourseError(
            f"Stage {stage!r} gives no map of places." if stage else f"No stage of {type(model).__name__} gives a map.",
            why="Grad-CAM needs an output of the shape [n, channels, height, width], before the pool.",
            do="Choose an earlier stage." if stage else "Cover the image piece by piece instead: cover_up(model, x).",
        )
    return best, outputs[best]
