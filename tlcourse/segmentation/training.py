"""`fit_masks` and `segment`: train a decoder on kept maps, and let it say what it thinks of each pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features import Features
from tlcourse.features.modes import evaluating
from tlcourse.hardware import reusing_memory
from tlcourse.segmentation.decoder import MaskDecoder
from tlcourse.segmentation.losses import mask_loss
from tlcourse.segmentation.step import MaskSource
from tlcourse.training.history import History
from tlcourse.training.loop import check_optimizer, made_optimizer
from tlcourse.training.plain import train_plain
from tlcourse.training.schedules import check_schedule
from tlcourse.training.watch import bar


@reusing_memory
def fit_masks(
    decoder: MaskDecoder,
    maps: Mapping[str, Features],
    targets: torch.Tensor,
    valid: tuple[Mapping[str, Features], torch.Tensor] | None = None,
    *,
    loss: Callable = mask_loss,
    epochs: int,
    lr: float = 3e-3,
    batch: int = 10,
    weight_decay: float = 1e-2,
    optimizer: Callable = torch.optim.AdamW,
    schedule: str = "cosine",
    warmup: float | None = None,
    patience: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train a decoder on kept maps, in place. The backbone that gave them is not touched.

    Arguments:
        decoder: a `MaskDecoder`.
        maps: stage -> `Features` of `n` images, as `extract(model, split, decoder.stages)` returns them.
        targets: what the outputs should be, first axis `n`: masks of class numbers `[n, h, w]`, or what `loss` takes,
            e.g. `instance_targets(masks)`.
        valid: maps and targets that are scored after each epoch, never trained on.
        loss: (outputs `[b, outputs, h, w]`, targets of the batch) -> scalar, a mean.
        epochs, lr, batch, weight_decay, optimizer, schedule, warmup, patience: as in `fit`.
        seed: of the order of the images. (The decoder's random weights have their own.)
        progress: whether to show a bar; by default where someone looks.

    Returns a `History`, also after a keyboard interrupt: the decoder then has what it had learned by then.
    Raises `Diverged` when the loss is not finite, `CourseError` where maps, targets and decoder do not go together.

    >>> from tlcourse import extract, load, load_dataset
    >>> body, data = load("efficientnet-lite0", size=64, pretrained=False), load_dataset("tissue-masks").train[:4]
    >>> maps = extract(body, data, ["stage1", "stage3"])
    >>> decoder = MaskDecoder(maps, outputs=2, width=8)
    >>> len(fit_masks(decoder, maps, data.masks, epochs=2, batch=2))
    2

    Chapter 06.
    """
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch), whole_number("seed", seed, 0)
    lr, weight_decay = real_number("lr", lr), real_number("weight_decay", weight_decay)
    warmup = check_schedule(schedule, warmup)
    check_optimizer(optimizer)
    if not callable(loss):
        raise CourseError(f"loss={loss!r} is no function.", do="Pass mask_loss, instance_loss, or one of your own.")
    if patience is not None:
        whole_number("patience", patience)
    if patience is not None and valid is None:
        raise CourseError(
            "patience= needs validation data.", do="Pass them: fit_masks(decoder, maps, masks, valid=...)."
        )
    looks_on, source = bar(progress), MaskSource(decoder, maps, targets)
    pair = isinstance(valid, tuple | list) and len(valid) == 2 and valid[1] is not None
    if targets is None or not (valid is None or pair):
        raise CourseError(
            "There are no masks to learn from." if targets is None else "valid= is no pair of maps and masks.",
            do="Pass fit_masks(decoder, maps, split.masks), and valid=(maps, masks) of other images.",
        )
    held_out = None if valid is None else MaskSource(decoder, *valid)
    settings = {
        "epochs": epochs, "lr": lr, "batch": batch, "weight_decay": weight_decay, "schedule": schedule,
        "warmup": warmup, "seed": seed,
    }  # fmt: skip

    def losses(index: torch.Tensor):
        value, finite = source.loss(index, loss)
        return {"loss": value}, finite

    return train_plain(
        source,
        losses,
        made_optimizer(optimizer, _groups(decoder, lr, weight_decay)),
        settings,
        looks_on,
        held_out=held_out,
        score=lambda part: {"valid_loss": part.mean(loss)},
        patience=patience,
    )


def segment(decoder: MaskDecoder, maps: Mapping[str, Features], *, batch: int = 16) -> torch.Tensor:
    """What a decoder gives for every image, in evaluation mode, on the CPU.

    Arguments:
        decoder: a `MaskDecoder`.
        maps: stage -> `Features` of `n` images.
        batch: images at once.

    Returns `[n, outputs, h, w]`; for masks of classes take `.argmax(1)`, for objects `instances(...)`.

    >>> from tlcourse import extract, load, load_dataset
    >>> body, data = load("efficientnet-lite0", size=64, pretrained=False), load_dataset("tissue-masks").test[:2]
    >>> maps = extract(body, data, ["stage1", "stage3"])
    >>> segment(MaskDecoder(maps, outputs=2, width=8), maps).shape
    torch.Size([2, 2, 64, 64])

    Chapter 06.
    """
    source = MaskSource(decoder, maps)
    parts = torch.arange(len(source)).split(whole_number("batch", batch))
    with evaluating(decoder), torch.no_grad():
        for index in parts:
            if not source.finite(index):
                raise CourseError(
                    "The maps hold NaN or infinite values.",
                    why="Of such outputs argmax would make masks that mean nothing.",
                    do="Look for them in the maps, and extract them anew from a sound backbone.",
                )
        return torch.cat([decoder(source.batch(index)).cpu() for index in parts])


def _groups(decoder, lr: float, weight_decay: float) -> list[dict]:
    """Biases and BatchNorm's own weights do not decay."""
    trained = [p for p in decoder.parameters() if p.requires_grad]
    if not trained:
        raise CourseError("Nothing of the decoder trains: all of it is frozen.", do="Make a new MaskDecoder.")
    split = {True: [p for p in trained if p.ndim > 1], False: [p for p in trained if p.ndim <= 1]}
    return [
        {"params": params, "lr": lr, "weight_decay": weight_decay if decays else 0.0}
        for decays, params in split.items()
        if params
    ]
