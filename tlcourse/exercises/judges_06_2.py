"""Checks of chapter 06-2's exercises: answers are compared with the right value, and with known mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlcourse.exercises.answers import NotYet, Stopped, call

CLOSE = 1e-3


def tensor(value, shape: Sequence[int], what: str):
    """A tensor of this shape, from what a learner returned."""
    import torch

    if value is None:
        raise NotYet(f"Your function returns nothing. Return {what}.")
    try:
        value = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"Return {what} as one tensor, not a {type(value).__name__}.") from None
    if list(value.shape) != list(shape):
        raise NotYet(f"Return {what} in the shape {list(shape)}; yours has the shape {list(value.shape)}.")
    return value.detach().float()


def told(got, mistakes: Sequence[tuple[Callable, str]], otherwise: str) -> NotYet:
    """The message of the first mistake that gives what the learner's answer gave."""
    import torch

    for made, message in mistakes:
        value = torch.as_tensor(made(), dtype=torch.float32)
        if value.shape == got.shape and torch.allclose(value, got, atol=CLOSE, equal_nan=True):
            return NotYet(message)
    return NotYet(otherwise)


# --- 06-2.1: from distances to boxes


def places():
    """Points `[p, 2]` of a map with places of 8 pixels, and the distances `[p, 4]` that a head gave, in places."""
    import torch

    points = torch.tensor([[4.0, 4.0], [12.0, 4.0], [60.0, 36.0], [28.0, 20.0]])
    return points, torch.tensor(
        [[0.5, 0.25, 2.0, 1.0], [3.0, 2.0, 1.0, 0.5], [1.0, 1.5, 1.5, 2.0], [1.0, 2.0, 0.5, 1.5]]
    )


def decoded(decode) -> None:
    """06-2.1: left, top, right, bottom in pixels, cut off at the edges of the image."""
    import torch

    for stride, size in ((8, 64), (4, 48), (5, 62)):
        points, distances = places()
        kept = points.clone(), distances.clone()
        got = tensor(call(decode, points, distances, stride, size), (4, 4), "the boxes")
        if not (torch.equal(points, kept[0]) and torch.equal(distances, kept[1])):
            raise NotYet("Your function changed the points or the distances that it was given: it works in place.")
        d = distances * stride
        right = torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(0, size)
        if not torch.allclose(got, right, atol=CLOSE):
            raise _wrong_boxes(got, right, points, distances, stride, size)


def _wrong_boxes(got, right, x, distances, stride, size) -> NotYet:
    import torch

    d = distances * stride
    free = torch.cat([x - d[:, :2], x + d[:, 2:]], 1)
    unscaled = torch.cat([x - distances[:, :2], x + distances[:, 2:]], 1)
    swapped = torch.cat([x.flip(1) - d[:, :2], x.flip(1) + d[:, 2:]], 1)
    i = int((~torch.isclose(got, right, atol=CLOSE)).any(1).nonzero()[0])  # the first box that is wrong
    middles = torch.cat([(right[:, :2] + right[:, 2:]) / 2, right[:, 2:] - right[:, :2]], 1)
    return told(
        got,
        [
            (
                lambda: free.clamp(0, size - 1),
                "You cut off at `size - 1`, the number of the last pixel. An edge is a line, not a pixel: the right "
                "edge of the image lies at `size`.",
            ),
            (lambda: free, "Some boxes reach beyond the image. Nothing is there: cut them off at 0 and at `size`."),
            (lambda: free.clamp(min=0), "Boxes are cut off on the left and above, not on the right and below."),
            (lambda: free.clamp(max=size), "Boxes are cut off on the right and below, not on the left and above."),
            *(
                (made, "You rounded. The edge of an object may lie between two pixels: leave the numbers as they are.")
                for made in (right.round, right.floor, right.ceil)
            ),
            (lambda: unscaled.clamp(0, size), "The distances are in places of the map: multiply by `stride`."),
            (lambda: unscaled, "The distances are in places of the map: multiply by `stride`; and cut off."),
            (
                lambda: torch.cat([x + d[:, :2], x + d[:, 2:]], 1).clamp(0, size),
                "You added all four distances. The left and the top edge lie *before* the point: take those off.",
            ),
            (
                lambda: torch.cat([x + d[:, :2], x - d[:, 2:]], 1).clamp(0, size),
                "The boxes are inverted: take the first two distances off, and add the last two.",
            ),
            (lambda: swapped.clamp(0, size), "x and y of the points are exchanged: a point is (x, y)."),
            (
                lambda: torch.cat([x - d[:, :2], d[:, :2] + d[:, 2:]], 1),
                "The last two are width and height. A box here is left, top, *right, bottom*.",
            ),
            (lambda: middles, "That is middle and size. A box here is left, top, right, bottom."),
            (lambda: d, "These are still the distances. Where are the edges? The point is missing."),
        ],
        f"For the point {x[i].tolist()} with the distances {distances[i].tolist()}, a stride of {stride} and "
        f"a size of {size} the box should be {right[i].tolist()}; yours is {got[i].tolist()}.",
    )


# --- 06-2.2: non-maximum suppression


def crowd():
    """Boxes `[k, 4]` and scores `[k]` of an image with three objects, each found more than once."""
    import torch

    boxes = [[11, 10, 31, 30], [10, 10, 30, 30], [13, 10, 33, 30], [60, 60, 90, 90], [62, 60, 92, 90], [28, 10, 48, 30],
             [17, 10, 37, 30]]  # fmt: skip
    return torch.tensor(boxes, dtype=torch.float32), torch.tensor([0.8, 0.9, 0.7, 0.6, 0.95, 0.3, 0.5])


_PAIRWISE = (
    "If these are your IoUs: `box_iou` of tlcourse, which the notebook imports, compares box by box and gives `[k]`. "
    "Here `[k, k]` is wanted, each with each: write `torchvision.ops.box_iou(boxes, boxes)`."
)


def suppressed(suppress) -> None:
    """06-2.2: places of the boxes that stay, the surest first."""
    import torch
    from torchvision.ops import box_iou, nms

    boxes, scores = crowd()
    half = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1]]), torch.tensor([0.9, 0.8])  # an IoU of exactly 0.5
    lots = [(boxes, scores), (boxes, scores), (boxes[:1], scores[:1]), (boxes[:0], scores[:0]), half]
    for (b, s), overlap in zip(lots, (0.5, 0.9, 0.5, 0.5, 0.5), strict=True):
        kept = b.clone(), s.clone()
        try:
            got = call(suppress, b, s, overlap)
        except Stopped as stopped:
            if not any(words in str(stopped) for words in ("too many indices", "Boxes to compare")):
                raise
            raise NotYet(f"{stopped} {_PAIRWISE}") from None
        if not (torch.equal(b, kept[0]) and torch.equal(s, kept[1])):
            raise NotYet("Your function changed the boxes or the scores that it was given: it works in place.")
        right = nms(b, s, overlap).tolist()
        got = _numbers(got)
        if got == right:
            continue
        if b is half[0] and got == [0]:
            raise NotYet("An IoU that *equals* `overlap` is not more than it: both boxes stay.")
        if not len(b):
            raise NotYet("Without any box nothing stays: return an empty list.")
        overlaps, order = box_iou(b, b), s.argsort(descending=True).tolist()
        if sorted(got) == right or sorted(got) == sorted(right):
            raise NotYet("The right boxes stay, in another order. Return their places with the surest first.")
        if any(not 0 <= i < len(b) for i in got):
            raise NotYet("Return places of the boxes that were given: whole numbers from 0.")
        if got == order:
            raise NotYet("All boxes stay. A box that overlaps a surer one by more than `overlap` has to go.")
        if got == right[:1]:
            raise NotYet(
                "Only the surest box stays. There may be several objects: go on with those that do not overlap."
            )
        if got == _greedy(overlaps, list(range(len(b))), overlap):
            raise NotYet("You went through the boxes in the order given. Begin with the surest, by score.")
        if got == _greedy(overlaps, order[::-1], overlap):
            raise NotYet(
                "You began with the least sure box. The surest one is kept first, and others have to go for it."
            )
        if got == _against_all(overlaps, order, overlap):
            raise NotYet(
                "A box that has gone still suppresses others. Compare only with those that *stay*: who is beside a "
                "dropped box may be another object."
            )
        if got == [i for i in order if (overlaps[i] > overlap).sum() == 1]:
            raise NotYet("Where boxes overlap, none stays. The surest one of them does.")
        if got == _greedy(1 - overlaps, order, overlap):
            raise NotYet("The comparison is turned: those that overlap by *more* than `overlap` have to go.")
        raise NotYet(f"With overlap={overlap} the boxes {right} should stay; yours are {got}.")


def _greedy(overlaps, order, limit) -> list[int]:
    stay: list[int] = []
    for i in order:
        if all(float(overlaps[i, j]) <= limit for j in stay):
            stay.append(i)
    return stay


def _against_all(overlaps, order, limit) -> list[int]:
    return [i for n, i in enumerate(order) if all(float(overlaps[i, j]) <= limit for j in order[:n])]


def _numbers(value) -> list[int]:
    import torch

    if value is None:
        raise NotYet("Your function returns nothing. Return the places of the boxes that stay.")
    try:
        value = torch.as_tensor([int(v) for v in value]) if not isinstance(value, torch.Tensor) else value
    except (TypeError, ValueError, RuntimeError):
        raise NotYet("Return *places* of boxes, whole numbers, as a list or a tensor; not the boxes.") from None
    if value.ndim != 1 or value.dtype == torch.bool or (value.is_floating_point() and value.numel()):
        raise NotYet("Return *places* of boxes, whole numbers, as a list or a tensor; not boxes, scores or a mask.")
    return value.tolist()


# --- 06-2.3: average precision


def sorted_answers():
    """Which boxes were right, in the order of their scores, and how many objects there are."""
    import torch

    return torch.tensor([True, False, True, True, False]), 4


def averaged(precision_area) -> None:
    """06-2.3: the mean over all objects of the precision at the place where each is found, made not to rise again."""
    import torch

    cases = ([1, 0, 1, 1, 0], 4), ([0, 1, 1], 2), ([0, 0], 3), ([1, 1], 2), ([1, 0, 0, 1, 1, 1], 5), ([], 2)
    for hits, objects in cases:
        hits = torch.tensor(hits, dtype=torch.bool)
        kept = hits.clone()
        got = tensor(call(precision_area, hits, objects), (), "the average precision, one number,")
        if not torch.equal(hits, kept):
            raise NotYet("Your function changed the answers that it was given: it works in place.")
        rank = torch.arange(1, len(hits) + 1)
        raw = hits.cumsum(0) / rank
        envelope = raw.flip(0).cummax(0).values.flip(0) if len(raw) else raw
        right = (envelope * hits).sum() / objects
        if torch.allclose(got, right, atol=CLOSE):
            continue
        if not torch.isfinite(got):
            raise NotYet("With no hit, or no box at all, the result is not a number. What is found nowhere scores 0.")
        raise _wrong_average(got, right, hits, objects, raw, envelope)


def _wrong_average(got, right, hits, objects, raw, envelope) -> NotYet:
    found, rank, turned = max(int(hits.sum()), 1), (raw == raw).cumsum(0), hits.flip(0)
    return told(
        got,
        [
            (
                lambda: (raw * hits).sum() / objects,
                "The precision may rise again further down; take at each hit the best precision *from there on*: "
                "`precision.flip(0).cummax(0).values.flip(0)`.",
            ),
            (
                lambda: (envelope * hits).sum() / found,
                "You divided by what was found. Objects that nobody found count as well: divide by `objects`.",
            ),
            (
                lambda: (raw * hits).sum() / found,
                "You divided by what was found. Objects that nobody found count as well: divide by `objects`.",
            ),
            (
                lambda: raw[-1] if len(raw) else 0.0,
                "That is the precision of the whole list: its order does not count.",
            ),
            (lambda: hits.sum() / objects, "That is the recall: the order of the boxes does not count in it."),
            (
                lambda: raw.mean() if len(raw) else 0.0,
                "You averaged over all boxes. Take the precision where an object is *found*, and divide by `objects`.",
            ),
            (lambda: (turned.cumsum(0) / rank * turned).sum() / objects, "The surest box comes first."),
            (
                lambda: envelope.mean() if len(raw) else 0.0,
                "You averaged over all boxes. Take the precision where an object is *found*, and divide by `objects`.",
            ),
        ],
        f"For the answers {hits.int().tolist()} and {objects} objects it should be {float(right):.3f}; yours is "
        f"{float(got):.3f}.",
    )
