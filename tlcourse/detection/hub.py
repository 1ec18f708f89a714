"""`load_detector`: a detector of torchvision's hub, trained on COCO, to be used as it is, or fine-tuned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import nn

from tlcourse import hardware
from tlcourse.assets.hubs import check_profile, from_hub
from tlcourse.detection.head import Found
from tlcourse.detection.hub_inputs import check_resized, of_masks, scaled
from tlcourse.detection.inputs import as_boxes
from tlcourse.errors import CourseError, UnknownName, real_number, whole_number
from tlcourse.features.finite import finite_outputs
from tlcourse.features.modes import evaluating, model_device, seeded
from tlcourse.models.hubs import kept_weights
from tlcourse.training.history import History
from tlcourse.training.own_loss import fit_losses

DETECTORS = ("fasterrcnn_resnet50_fpn", "fcos_resnet50_fpn", "maskrcnn_resnet50_fpn")


class HubDetector:
    """A detector of torchvision with the names of its classes.

    Arguments:
        model: a `FasterRCNN`, `FCOS` or `MaskRCNN`; `stages(model)` are `stem`, `stage1` to `stage4`, `neck` (the
            pyramid) and `head`.
        classes: what it finds, by the numbers that the model gives; `""` where a number has no name.
    """

    def __init__(self, model: nn.Module, classes: Sequence[str]):
        self.model, self.names = model.eval(), tuple(classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what it finds."""
        return tuple(name for name in self.names if name)

    def __repr__(self) -> str:
        return f"HubDetector: {type(self.model).__name__}, {len(self.classes)} classes"

    def find(self, images, of: str | Sequence[str] | None = None, *, least: float = 0.5) -> list[Found]:
        """What it finds in each image, boxes in pixels, the surest first.

        Arguments:
            images: uint8 `[n, 1 or 3, h, w]`, or a list of `[1 or 3, h, w]` of any sizes.
            of: a class or several, e.g. `"person"` or `("car", "bus", "truck")`; by default all.
            least: the smallest score.
        """
        return [Found(said["boxes"], said["scores"]) for said in self._answers(images, of, least)]

    def masks(self, images, of: str | Sequence[str] | None = None, *, least: float = 0.5) -> list[torch.Tensor]:
        """The objects that a Mask R-CNN finds: int64 `[h, w]` for each image, 0 where there is none, 1 for the surest.

        Arguments:
            images, of, least: as of `find`.
        """
        self._needs_masks()
        return [_numbered(said["masks"][:, 0]) for said in self._answers(images, of, least)]

    def fit(
        self,
        images: torch.Tensor,
        boxes=None,
        masks: torch.Tensor | None = None,
        *,
        epochs: int = 5,
        lr: float = 1e-4,
        batch: int = 4,
        seed: int = 0,
        progress: bool | None = None,
    ) -> History:
        """Train what is not frozen of `.model`, in place, on objects of one class.

        Arguments:
            images: uint8 `[n, 1 or 3, h, w]`.
            boxes: the true boxes of each image, as of `fit_detector`. A Mask R-CNN takes `masks` in their place.
            masks: object numbers `[n, h, w]`, 0 where there is none.
            epochs, lr, batch, seed, progress: as in `fit`.

        Raises `CourseError` for a detector of several classes, and for images and boxes that do not belong together.
        """
        if len(self.classes) != 1:
            raise CourseError(
                f"This detector has {len(self.classes)} classes; boxes alone do not say which of them each one is.",
                do='Load it with a head for your own class: load_detector(name, classes=["face"]).',
            )
        pixels = self._images(images, torch.device("cpu"))
        targets = self._targets(pixels, boxes, masks)
        if not any(len(target["boxes"]) for target in targets):
            raise CourseError("No image has an object.", do="Add images with at least one.")
        device = model_device(self.model)

        def losses(index: torch.Tensor) -> dict[str, torch.Tensor]:
            chosen = index.tolist()
            some = [{name: part.to(device) for name, part in targets[i].items()} for i in chosen]
            return self.model([pixels[i].to(device) for i in chosen], some)

        return fit_losses(
            self.model, losses, len(pixels), epochs=epochs, lr=lr, batch=batch, seed=seed, progress=progress
        )

    def _answers(self, images, of, least) -> list[dict[str, torch.Tensor]]:
        wanted = self._numbers(of)
        least, device, answers = real_number("least", least), model_device(self.model), []
        with evaluating(self.model), finite_outputs(self._speaking()), torch.no_grad():
            for image in self._images(images, device):  # one by one: each may have a size of its own
                (said,) = self.model([image])
                chosen = torch.isin(said["labels"], wanted.to(device)) & (said["scores"] >= least)
                answers.append({name: part[chosen].cpu() for name, part in said.items()})
        return answers

    def _images(self, images, device: torch.device) -> list[torch.Tensor]:
        made, resize = scaled(images, device), self.model.transform
        check_resized(made, min(resize.min_size), resize.max_size)
        return made

    def _speaking(self) -> list[nn.Module]:
        """The parts whose outputs become boxes, scores and masks."""
        names = {"backbone", "head", "rpn.head", "roi_heads.box_predictor", "roi_heads.mask_predictor"}
        return [module for name, module in self.model.named_modules() if name in names]

    def _numbers(self, of) -> torch.Tensor:
        names = self.classes if of is None else [of] if isinstance(of, str) or not isinstance(of, Iterable) else of
        for name in (names := list(names)):
            if name not in self.classes:
                raise UnknownName("class of this detector", name, self.classes)
        return torch.tensor([i for i, name in enumerate(self.names) if name and name in names])

    def _needs_masks(self) -> None:
        if type(self.model).__name__ != "MaskRCNN":
            raise CourseError(
                f"A {type(self.model).__name__} finds boxes, not masks.",
                do='Take load_detector("torchvision:maskrcnn_resnet50_fpn").',
            )

    def _targets(self, pixels, boxes, masks) -> list[dict[str, torch.Tensor]]:
        if masks is not None:
            self._needs_masks()
            if boxes is not None:
                raise CourseError(
                    "There are boxes and masks; a Mask R-CNN takes each box from its mask.", do="Leave out boxes=."
                )
            return of_masks(masks, pixels)
        if type(self.model).__name__ == "MaskRCNN":
            raise CourseError("A Mask R-CNN learns from masks.", do="Pass masks=split.masks.")
        boxes = as_boxes(boxes, len(pixels), *pixels[0].shape[-2:])
        return [{"boxes": rows, "labels": torch.ones(len(rows), dtype=torch.int64)} for rows in boxes]


def load_detector(
    name: str = "torchvision:fasterrcnn_resnet50_fpn",
    classes: Sequence[str] | None = None,
    *,
    pretrained: bool = True,
    size: int | None = None,
    seed: int = 0,
) -> HubDetector:
    """A detector of torchvision, trained on COCO; with weights only in the full profile.

    Arguments:
        name: `"torchvision:fasterrcnn_resnet50_fpn"`, `"torchvision:fcos_resnet50_fpn"`, or, with a mask for each
            object, `"torchvision:maskrcnn_resnet50_fpn"`.
        classes: the name of your own class, in a list, for a new head; by default COCO's 80 classes.
        pretrained: False gives the from-scratch twin: random weights, without a network.
        size: side in pixels to which the shorter edge of an image is resized; by default 800, as it was trained.
        seed: of the new head, and of all weights if `pretrained` is False.

    Returns a `HubDetector` on the course's `device()`. Raises `CourseError` when the weights cannot be had.

    >>> detector = load_detector("torchvision:fcos_resnet50_fpn", ["face"], pretrained=False, size=64)
    >>> detector.classes, detector.find(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    (('face',), [Found: 0 boxes])

    Ren et al. 2015; He et al. 2017; Tian et al. 2019; chapters 06-2 and 06-3.
    """
    import torchvision

    short = str(name).removeprefix("torchvision:")
    if short not in DETECTORS:
        raise UnknownName("detector", name, [f"torchvision:{known}" for known in DETECTORS])
    own = None if classes is None else ["", _only_class(classes)]
    if size is not None:
        whole_number("size", size, 32)
    if pretrained:
        check_profile(f"torchvision:{short}", f'take the from-scratch twin: load_detector("{name}", pretrained=False)')
    weights = torchvision.models.get_model_weights(short).DEFAULT
    sides = {} if size is None else {"min_size": size, "max_size": max(2 * size, 64)}
    with seeded(whole_number("seed", seed, 0)):
        model = from_hub(
            f"torchvision:{short}",
            lambda: torchvision.models.get_model(
                short, weights=kept_weights(weights) if pretrained else None, weights_backbone=None, **sides
            ),
        )
        if own is not None:
            new_head(model, 2)
    coco = ["" if name in ("__background__", "N/A") else name for name in weights.meta["categories"]]
    return HubDetector(model.to(hardware.device()), own or coco)


def _only_class(classes) -> str:
    names = [classes] if isinstance(classes, str) else list(classes) if isinstance(classes, Iterable) else []
    if len(names) != 1 or not isinstance(names[0], str) or not names[0].strip():
        raise CourseError(
            f"classes={classes!r} will not do.",
            why="A new head learns from boxes or masks alone, which do not say of which class each object is.",
            do='Give the name of one class, e.g. classes=["face"].',
        )
    return names[0]


def new_head(model: nn.Module, count: int) -> None:
    """A head for `count` classes, the background among them."""
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
    from torchvision.models.detection.fcos import FCOSClassificationHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

    if type(model).__name__ == "FCOS":
        old = model.head.classification_head
        model.head.classification_head = FCOSClassificationHead(
            old.conv[0].in_channels, old.num_anchors, count, norm_layer=partial(nn.GroupNorm, 32)
        )
        return
    heads = model.roi_heads
    heads.box_predictor = FastRCNNPredictor(heads.box_predictor.cls_score.in_features, count)
    if heads.has_mask():
        deep = heads.mask_predictor.conv5_mask
        heads.mask_predictor = MaskRCNNPredictor(deep.in_channels, deep.out_channels, count)


def _numbered(shares: torch.Tensor) -> torch.Tensor:
    numbers = torch.zeros(shares.shape[-2:], dtype=torch.int64)
    for i in range(len(shares), 0, -1):  # the surest comes last, and lies on top
        numbers[shares[i - 1] > 0.5] = i
    return numbers
