"""`PointDetector`: an anchor-free detector that can be read in one sitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image, nms

from tlcourse.detection.inputs import as_maps, read_maps
from tlcourse.detection.losses import PRIOR, focal_loss, giou_loss
from tlcourse.detection.points import assign, grid_points, to_boxes
from tlcourse.errors import real_number, whole_number
from tlcourse.features.modes import seeded

REACH = 1.5  # places: how far from a box's middle a point still answers for it


@dataclass(frozen=True)
class Found:
    """What a detector found in one image, the surest first.

    Arguments:
        boxes: `[k, 4]`, left, top, right, bottom in pixels.
        scores: `[k]`, 0..1.

    >>> Found(torch.tensor([[0.0, 0, 4, 4], [2, 2, 8, 8]]), torch.tensor([0.9, 0.2])).above(0.5)
    Found: 1 box, score 0.90
    """

    boxes: torch.Tensor
    scores: torch.Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Found:
        """Only the boxes with at least this score."""
        score = score.item() if isinstance(score, torch.Tensor) and score.numel() == 1 else score
        sure = self.scores >= real_number("score", score, -inf)
        return Found(self.boxes[sure], self.scores[sure])

    def __repr__(self) -> str:
        told = ", ".join(f"{s:.2f}" for s in self.scores[:5].tolist()) + (", ..." if len(self) > 5 else "")
        return f"Found: {len(self)} box{'' if len(self) == 1 else 'es'}" + (f", score {told}" if len(self) else "")


class PointDetector(nn.Module):
    """Each place of a map says whether something is there, and how far it is to its four edges.

    The maps of several stages are laid side by side at the size of the finest one. A layer that mixes channels, one
    that looks at the neighbours, and two small convolutions: one number for "something is here", four for the
    distances.

    Arguments:
        maps: kept maps by stage, from which the numbers of channels are read: `extract(body, data, [stages])`.
        size: side of the images that the maps are of, in pixels. Later it may look at images of other sizes.
        width: channels inside.
        seed: of the weights.

    `detector(maps)` gives scores (logits) `[n, p]` and boxes `[n, p, 4]` in pixels, for the `p` places.
    Raises `CourseError` for what is no map.

    >>> maps = {"stage3": torch.zeros(2, 40, 16, 16), "stage5": torch.zeros(2, 112, 8, 8)}
    >>> scores, boxes = PointDetector(maps, size=128)(maps)
    >>> list(scores.shape), list(boxes.shape)
    ([2, 256], [2, 256, 4])

    Tian et al. 2019 (FCOS), without its centre-ness; chapter 06-2.
    """

    def __init__(self, maps, *, size: int, width: int = 32, seed: int = 0):
        super().__init__()
        maps, width = as_maps(maps), whole_number("width", width)
        self.stages, self.channels = tuple(maps), tuple(x.shape[1] for x in maps.values())
        self.stride = whole_number("size", size) / max(x.shape[-1] for x in maps.values())  # pixels a place
        with seeded(whole_number("seed", seed, 0)):
            self.trunk = nn.Sequential(
                nn.BatchNorm2d(sum(x.shape[1] for x in maps.values()), affine=False),  # no stage shouts others down
                *_layer(sum(x.shape[1] for x in maps.values()), width, 1),
                *_layer(width, width, 3),
            )
            self.score = nn.Conv2d(width, 1, 3, padding=1)
            self.edges = nn.Conv2d(width, 4, 3, padding=1)
        for layer in (self.score, self.edges):
            nn.init.normal_(layer.weight, std=0.01, generator=torch.Generator().manual_seed(seed))
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.score.bias, -log((1 - PRIOR) / PRIOR))  # at first nothing is anywhere

    def forward(self, maps) -> tuple[torch.Tensor, torch.Tensor]:
        x = side_by_side(list(read_maps(self, maps).values()))
        points = grid_points(*x.shape[2:], self.stride, x.device)
        x = self.trunk(x)
        distances = self.edges(x).flatten(2).transpose(1, 2).exp() * 2 * self.stride  # positive; at first two places
        return self.score(x).flatten(1), to_boxes(points, distances)

    def losses(self, maps, boxes: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Focal loss of the scores and GIoU loss of the boxes, both a point that answers for a box.

        Arguments:
            maps: by stage, `[n, c, h, w]`.
            boxes: of each image, `[k, 4]`.
        """
        maps = read_maps(self, maps)
        scores, predicted = self(maps)
        points = grid_points(*finest(maps), self.stride, scores.device)
        answers = torch.stack([assign(points, b, REACH * self.stride) for b in boxes])
        object_here = answers >= 0
        count = object_here.sum().clamp(min=1)  # a batch may have nothing in it
        true = torch.cat([b[a[a >= 0]] for b, a in zip(boxes, answers, strict=True)])
        return {
            "score": focal_loss(scores, object_here.float()) / count,
            "box": giou_loss(predicted[object_here], true) / count,
        }

    @torch.no_grad()
    def found(self, maps, *, least: float = 0.05, overlap: float = 0.5, most: int = 50) -> list[Found]:
        """Boxes of each image: those that overlap a surer one are dropped (non-maximum suppression).

        Arguments:
            maps: by stage, `[n, c, h, w]`.
            least: boxes of a smaller score are not reported.
            overlap: of two boxes with a larger IoU only the surer one stays.
            most: boxes an image.
        """
        maps = read_maps(self, maps)
        least, overlap = real_number("least", least), real_number("overlap", overlap)
        (scores, boxes), answers, most = self(maps), [], whole_number("most", most)
        boxes = clip_boxes_to_image(boxes, tuple(side * self.stride for side in finest(maps)))
        for s, b in zip(scores.sigmoid(), boxes, strict=True):
            s, b = s[s >= least], b[s >= least]
            keep = nms(b, s, overlap)[:most]
            answers.append(Found(b[keep], s[keep]))
        return answers


def finest(maps) -> tuple[int, int]:
    """Height and width of the finest of some maps.

    >>> finest({"stage3": torch.zeros(1, 2, 4, 4), "stage5": torch.zeros(1, 3, 2, 2)})
    (4, 4)
    """
    return max((tuple(x.shape[2:]) for x in maps.values()), key=lambda sides: sides[0] * sides[1])


def side_by_side(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Maps of several stages as one, at the size of the finest: channels one behind the other.

    >>> side_by_side([torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 2, 2)]).shape
    torch.Size([1, 5, 4, 4])
    """
    shape = finest(dict(enumerate(maps)))
    return torch.cat([x if x.shape[2:] == shape else F.interpolate(x, shape) for x in maps], 1)


def _layer(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
