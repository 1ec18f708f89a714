"""`PyramidDetector`: torchvision's FCOS or RetinaNet with a feature pyramid over the backbone's stages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork

from tlcourse.chain import stages
from tlcourse.detection.head import Found
from tlcourse.detection.inputs import read_maps
from tlcourse.errors import CourseError, UnknownName, whole_number
from tlcourse.features.modes import model_device, seeded

KINDS = ("fcos", "retinanet")


class Pyramid(nn.Module):
    """A backbone for torchvision's detectors: the stages of a body, and a feature pyramid over some of them.

    `forward` takes images as the body does; `neck` takes maps by stage, kept or not.
    """

    def __init__(self, body: nn.Module, chosen: Sequence[str], width: int):
        super().__init__()
        if not chosen:
            raise CourseError(
                "The pyramid stands on no stage.", do='Choose some, from fine to coarse: ["stage3", "stage5"].'
            )
        chain = dict(stages(body).named_children())
        missing = next((name for name in chosen if name not in chain), None)
        if missing is not None:
            raise UnknownName("stage", missing, chain)
        last = max(list(chain).index(name) for name in chosen)
        self.body = nn.Sequential(OrderedDict(list(chain.items())[: last + 1]))
        self.chosen, self.out_channels = tuple(chosen), width
        self.fpn = FeaturePyramidNetwork(self._channels(), width)

    def forward(self, x: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        return self.neck(self.maps(x))

    def maps(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs of the chosen stages."""
        found = {}
        for name, stage in self.body.named_children():
            x = stage(x)
            if name in self.chosen:
                found[name] = x
        return found

    def neck(self, maps) -> OrderedDict[str, torch.Tensor]:
        """The pyramid over maps: coarse maps tell finer ones what they know."""
        return self.fpn(OrderedDict((name, maps[name]) for name in self.chosen))

    @torch.no_grad()
    def _channels(self) -> list[int]:
        x = torch.zeros(1, 3, 64, 64, device=model_device(self.body))
        modes = [(module, module.training) for module in self.body.modules()]
        self.body.eval()
        maps = self.maps(x)
        for module, mode in modes:
            module.training = mode
        flat = next((name for name, y in maps.items() if y.ndim != 4), None)
        if flat is not None:
            raise CourseError(f"Stage {flat!r} gives no map.", do="Choose stages before the pool.")
        sides = [maps[name].shape[-1] for name in self.chosen]
        if sides != sorted(sides, reverse=True) or len(set(self.chosen)) < len(self.chosen):
            order = sorted(set(self.chosen), key=lambda name: -maps[name].shape[-1])
            raise CourseError(
                f"The stages {', '.join(self.chosen)} do not go from fine to coarse, each once.",
                why="Each level of the pyramid is told by the coarser one behind it, and has its own size of boxes.",
                do=f"Pass {order}.",
            )
        self.stride = x.shape[-1] / max(y.shape[-1] for y in maps.values())  # pixels a place of the finest map
        return [maps[name].shape[1] for name in self.chosen]


class PyramidDetector(nn.Module):
    """torchvision's FCOS or RetinaNet on a body of the course, trained from kept maps.

    `.model` is the whole torchvision detector: `.model([image])` takes images `[3, h, w]` in 0..1 and gives boxes,
    scores and labels. What this class adds are the two calls of `PointDetector`, `losses` and `found`, which begin at
    the kept maps of the frozen body and so cost a fraction.

    Arguments:
        body: a CNN of the course, loaded with `size=`.
        chosen: its stages below the pyramid, from fine to coarse.
        size: side of the images, in pixels.
        kind: `"fcos"` (points) or `"retinanet"` (anchors).
        width: channels of the pyramid and of the heads, a multiple of 32.
        convolutions: layers in each of the heads (FCOS only; RetinaNet has four).
        seed: of the pyramid and the heads.

    Raises `UnknownName` for a stage or a kind that does not exist, `CourseError` for a stage that gives no map.

    >>> from tlcourse import device, load
    >>> body = load("efficientnet-lite0", pretrained=False, size=64)
    >>> detector = PyramidDetector(body, ["stage3", "stage5"], size=64)
    >>> sorted(detector.model([torch.zeros(3, 64, 64, device=device())])[0])
    ['boxes', 'labels', 'scores']

    Lin et al. 2017 (feature pyramids; RetinaNet), Tian et al. 2019 (FCOS); chapter 06-2.
    """

    def __init__(self, body, chosen, *, size: int, kind: str = "fcos", width: int = 64, convolutions=2, seed: int = 0):
        super().__init__()
        if kind not in KINDS:
            raise UnknownName("kind of detector", kind, KINDS)
        if whole_number("width", width) % 32:
            raise CourseError(
                f"width={width} will not do.",
                why="Its layers normalise channels in 32 groups.",
                do="Choose 32, 64, ...",
            )
        size, transform, self.kind = whole_number("size", size), getattr(body, "transform", None), kind
        convolutions = whole_number("convolutions", convolutions, 0)
        if not hasattr(transform, "mean"):
            raise CourseError(
                f"A {type(body).__name__} is no body for a detector.",
                why="It needs stages that give maps, and the transform of its images.",
                do='Pass a CNN of the course: load("efficientnet-lite0", size=128).',
            )
        if not (chosen is None or isinstance(chosen, str | Sequence)):
            raise CourseError(f"chosen={chosen!r} names no stages.", do='Choose e.g. ["stage3", "stage5"].')
        chosen = [chosen] if isinstance(chosen, str) else list(chosen or ())
        with seeded(whole_number("seed", seed, 0)):
            pyramid = Pyramid(body, chosen, width)
            strides = [round(pyramid.stride * 2**i) for i in range(len(pyramid.chosen))]
            more = {"min_size": size, "max_size": size, "score_thresh": 0.05, "nms_thresh": 0.5,
                    "detections_per_img": 50, "image_mean": transform.mean, "image_std": transform.std}  # fmt: skip
            if kind == "fcos":
                anchors = AnchorGenerator(tuple((s,) for s in strides), ((1.0,),) * len(strides))
                head = FCOSHead(width, 1, 2, convolutions)
                self.model = FCOS(pyramid, 2, anchor_generator=anchors, head=head, **more)
            else:
                anchors = AnchorGenerator(tuple((3 * s, 4 * s, 6 * s) for s in strides), ((1.0,),) * len(strides))
                head = RetinaNetHead(width, 3, 2)
                self.model = RetinaNet(pyramid, 2, anchor_generator=anchors, head=head, **more)
        self.to(model_device(body)).eval()

    @property
    def stride(self) -> float:
        """Pixels a place of the finest map."""
        return self.model.backbone.stride

    @property
    def channels(self) -> tuple[int, ...]:
        """How many channels their maps have."""
        return tuple(block[0].in_channels for block in self.model.backbone.fpn.inner_blocks)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages whose maps it reads."""
        return self.model.backbone.chosen

    def forward(self, maps):
        """What the heads say of each place, and the places: as torchvision's `compute_loss` takes them."""
        levels = list(self.model.backbone.neck(read_maps(self, maps)).values())
        n, _, *sides = levels[0].shape
        sides = [round(side * self.stride) for side in sides]
        images = ImageList(levels[0].new_zeros(n, 3, *sides), [tuple(sides)] * n)  # only their size is asked for
        return self.model.head(levels), self.model.anchor_generator(images, levels), levels

    def losses(self, maps, boxes: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """torchvision's own losses for maps by stage and the boxes `[k, 4]` of each image."""
        heads, anchors, levels = self(maps)
        targets = [{"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64, device=b.device)} for b in boxes]
        counts = [(levels[i].shape[2] * levels[i].shape[3],) for i in range(len(levels))]
        more = () if self.kind == "retinanet" else ([n for (n,) in counts],)
        told = self.model.compute_loss(targets, heads, anchors, *more)
        names = {"classification": "score", "bbox_regression": "box", "bbox_ctrness": "centre"}
        return {names[name]: loss for name, loss in told.items()}

    @torch.no_grad()
    def found(self, maps) -> list[Found]:
        """Boxes of each image, as torchvision's detector gives them."""
        heads, anchors, levels = self(maps)
        per = 1 if self.kind == "fcos" else 3
        counts = [level.shape[2] * level.shape[3] * per for level in levels]
        split = {name: list(values.split(counts, 1)) for name, values in heads.items()}
        anchors = [list(a.split(counts)) for a in anchors]
        sizes = [tuple(round(side * self.stride) for side in levels[0].shape[2:])] * len(anchors)
        return [Found(d["boxes"], d["scores"]) for d in self.model.postprocess_detections(split, anchors, sizes)]
