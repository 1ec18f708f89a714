"""Points of a map, the boxes that they answer for, and boxes as distances from points."""

from __future__ import annotations

import torch


def grid_points(height: int, width: int, stride: float, device=None) -> torch.Tensor:
    """The middle of each place of a map, in pixels of the image: x and y, `[height * width, 2]`, row by row.

    >>> grid_points(1, 2, 8).tolist()
    [[4.0, 4.0], [12.0, 4.0]]
    """
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return (torch.stack([x, y], 2).reshape(-1, 2) + 0.5) * stride


def to_distances(points: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """How far it is from points `[..., 2]` to the left, top, right and bottom edge of boxes `[..., 4]`.

    >>> to_distances(torch.tensor([4.0, 4.0]), torch.tensor([0.0, 2.0, 10.0, 8.0]))
    tensor([4., 2., 6., 4.])
    """
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def to_boxes(points: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
    """The other way: boxes `[..., 4]` from points `[..., 2]` and distances `[..., 4]`.

    >>> to_boxes(torch.tensor([4.0, 4.0]), torch.tensor([4.0, 2.0, 6.0, 4.0]))
    tensor([ 0.,  2., 10.,  8.])
    """
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def assign(points: torch.Tensor, boxes: torch.Tensor, reach: float) -> torch.Tensor:
    """Which box each point answers for; -1 for the background.

    Arguments:
        points: `[p, 2]`, in pixels.
        boxes: of one image, `[k, 4]`, in pixels; `k` may be 0.
        reach: a point answers for a box only if it lies inside, and not farther than this from its middle, across and
            down. At the rim of a box there is little of the object to be seen.

    Returns int64 `[p]`. Where several boxes claim a point, the smallest one gets it.

    >>> assign(grid_points(2, 2, 8), torch.tensor([[0.0, 0.0, 9.0, 9.0]]), reach=6.0).tolist()
    [0, -1, -1, -1]

    Tian et al. 2019 (FCOS); chapter 06-2.
    """
    if not len(boxes):
        return torch.full((len(points),), -1, device=points.device)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = to_distances(points[:, None], boxes[None]).amin(2) > 0
    near = (points[:, None] - middles[None]).abs().amax(2) < reach
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).expand(len(points), -1)
    smallest, which = torch.where(inside & near, area, torch.inf).min(1)
    return torch.where(smallest < torch.inf, which, -1)
