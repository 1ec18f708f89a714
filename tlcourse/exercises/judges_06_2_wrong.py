"""Wrong answers to chapter 06-2's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _function(signature: str, *lines: str) -> str:
    start = "import torch\nfrom torchvision.ops import box_iou, nms\n"
    return f"{start}\ndef {signature}:\n" + "".join(f"    {line}\n" for line in lines)


def _decode(*lines: str) -> str:
    return _function("decode(points, distances, stride, size)", *lines)


def _suppress(*lines: str) -> str:
    return _function("suppress(boxes, scores, overlap)", *lines)


def _average(*lines: str) -> str:
    return _function("precision_area(hits, objects)", *lines)


_D = "d = distances * stride"

DECODE = {
    "rounded": (
        _decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(0, size).round()"),
        "You rounded",
    ),
    "not cut off": (_decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1)"), "reach beyond the"),
    "cut off at one side": (
        _decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(min=0)"),
        "not on the right",
    ),
    "cut off at the other": (
        _decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(max=size)"),
        "not on the left",
    ),
    "at the last pixel": (
        _decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(0, size - 1)"),
        "cut off at `size - 1`",
    ),
    "cut off too early": (
        _decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(0, size - 3)"),
        "the box should be [52.0, 24.0, 64.0, 52.0]; yours is [52.0, 24.0, 61.0, 52.0]",
    ),
    "in places": (
        _decode("d = distances", "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(0, size)"),
        "multiply by `stride`.",
    ),
    "all added": (
        _decode(_D, "return torch.cat([points + d[:, :2], points + d[:, 2:]], 1).clamp(0, size)"),
        "added all four",
    ),
    "inverted": (
        _decode(_D, "return torch.cat([points + d[:, :2], points - d[:, 2:]], 1).clamp(0, size)"),
        "inverted",
    ),
    "rows and columns": (
        _decode(_D, "p = points.flip(1)", "return torch.cat([p - d[:, :2], p + d[:, 2:]], 1).clamp(0, size)"),
        "exchanged",
    ),
    "width and height": (
        _decode(_D, "return torch.cat([points - d[:, :2], d[:, :2] + d[:, 2:]], 1)"),
        "width and height",
    ),
    "no points": (_decode("return distances * stride"), "point is missing"),
    "in place": (
        _decode("distances *= stride", "d = distances",
                "return torch.cat([points - d[:, :2], points + d[:, 2:]], 1).clamp(0, size)"),
        "works in place",
    ),
    "another shape": (_decode(_D, "return torch.cat([points - d[:, :2], points + d[:, 2:]])"), "in the shape [4, 4]"),
}  # fmt: skip

_GREEDY = (
    "ious, stay = box_iou(boxes, boxes), []",
    "for i in order:",
    "    if all(ious[i, j] <= overlap for j in stay): stay.append(i)",
)

SUPPRESS = {
    "or as much": (
        _suppress("order = scores.argsort(descending=True).tolist()", *_GREEDY[:2], _GREEDY[2].replace("<=", "<"),
                  "return stay"),
        "*equals* `overlap`",
    ),
    "all": (_suppress("return scores.argsort(descending=True)"), "All boxes stay"),
    "the surest only": (_suppress("return scores.argsort(descending=True)[:1]"), "Only the surest box stays"),
    "as they come": (_suppress("order = range(len(boxes))", *_GREEDY, "return stay"), "in the order given"),
    "the least sure first": (
        _suppress("order = scores.argsort().tolist()", *_GREEDY, "return stay"),
        "least sure box",
    ),
    "against those that have gone": (
        _suppress(
            "order, ious = scores.argsort(descending=True).tolist(), box_iou(boxes, boxes)",
            "return [i for n, i in enumerate(order) if all(ious[i, j] <= overlap for j in order[:n])]",
        ),
        "another object",
    ),
    "none where they overlap": (
        _suppress(
            "order, ious = scores.argsort(descending=True).tolist(), box_iou(boxes, boxes)",
            "return [i for i in order if (ious[i] > overlap).sum() == 1]",
        ),
        "none stays",
    ),
    "box by box": (
        _suppress("from tlcourse import box_iou", "order = scores.argsort(descending=True).tolist()", *_GREEDY,
                  "return stay"),
        "each with each",
    ),
    "by place": (_suppress("return nms(boxes, scores, overlap).sort().values"), "in another order"),
    "the boxes": (_suppress("return boxes[nms(boxes, scores, overlap)]"), "not boxes"),
    "a mask": (
        _suppress("mask = torch.zeros(len(boxes), dtype=torch.bool)", "mask[nms(boxes, scores, overlap)] = True",
                  "return mask"),
        "or a mask",
    ),
    "the other way round": (
        _suppress(
            "order, ious, stay = scores.argsort(descending=True).tolist(), box_iou(boxes, boxes), []",
            "for i in order:",
            "    if all(1 - ious[i, j] <= overlap for j in stay): stay.append(i)",
            "return stay",
        ),
        "comparison is turned",
    ),
    "in place": (
        _suppress("stay = nms(boxes, scores, overlap)", "scores.zero_()", "return stay"),
        "works in place",
    ),
}  # fmt: skip

_P = "p = hits.cumsum(0) / torch.arange(1, len(hits) + 1)"
_E = "e = p.flip(0).cummax(0).values.flip(0) if len(p) else p"

AVERAGE = {
    "precision that rises again": (_average(_P, "return (p * hits).sum() / objects"), "from there on"),
    "of what was found": (_average(_P, _E, "return (e * hits).sum() / hits.sum().clamp(min=1)"), "nobody found count"),
    "precision": (_average("return hits.float().mean() if len(hits) else 0.0"), "its order does not count"),
    "recall": (_average("return hits.sum() / objects"), "the recall"),
    "over all boxes": (_average(_P, "return p.mean() if len(p) else 0.0"), "averaged over all boxes"),
    "a division by nothing": (_average(_P, _E, "return (e * hits).sum() / hits.sum()"), "nobody found count"),
    "nothing is not a number": (
        _average("if not hits.any(): return float('nan')", _P, _E, "return (e * hits).sum() / objects"),
        "scores 0",
    ),
    "a curve": (_average(_P, _E, "return e"), "in the shape []"),
    "turned": (
        _average("hits = hits.flip(0)", _P, "return (p * hits).sum() / objects"),
        "surest box comes first",
    ),
    "in place": (_average(_P, _E, "a = (e * hits).sum() / objects", "hits.fill_(False)", "return a"), "works in place"),
}
