"""`fit_translator`: teacher forcing over an encoder's kept states."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import evaluating, model_device, seeded
from tlcourse.hardware import measured
from tlcourse.models import Tokens
from tlcourse.training.history import History, note_interrupt
from tlcourse.training.schedules import batches, check_schedule, share, steps_of
from tlcourse.training.watch import Bar, Watcher, stops_between_batches
from tlcourse.translation.decoder import Translator
from tlcourse.translation.reading import as_tokens
from tlcourse.translation.subwords import PAD

CLIP = 1.0  # the longest a step's gradient may be; recurrent networks sometimes have a very long one


def fit_translator(
    model: Translator,
    states,
    targets: torch.Tensor,
    valid: tuple | None = None,
    *,
    epochs: int,
    lr: float = 4e-3,
    batch: int = 32,
    smoothing: float = 0.1,
    weight_decay: float = 0.01,
    schedule: str = "cosine",
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train a decoder, in place; the encoder's states are kept, and it takes no step.

    At every place the decoder is given the true pieces before it, and asked for the next one (teacher forcing).

    Arguments:
        model: a `Translator`.
        states: `Features` of a stage before the pool, or `Tokens`.
        targets: pieces of the translations, int64 `[n, t]`: what `words.encode(texts)` gives.
        valid: states and targets that are scored after each epoch, never trained on.
        epochs, lr, batch, weight_decay, schedule, seed: as in `fit`; the first tenth of a cosine warms up.
        smoothing: share of the true piece's weight that is spread over all pieces.
        progress: whether to show a bar; by default where someone looks.

    Returns a `History`; its accuracy is the share of next pieces that were right. Raises `CourseError` when states and
    targets do not go together, or when the loss is no number.

    >>> from tlcourse.translation import Subwords
    >>> words = Subwords(["Ouvrir", "Fermer"], size=300)
    >>> states = Tokens(torch.rand(2, 4, 8), torch.ones(2, 4))
    >>> len(fit_translator(Translator(len(words), 16, 8), states, words.encode(["Ouvrir", "Fermer"]), epochs=2))
    2

    Sutskever, Vinyals and Le 2014; Szegedy et al. 2016 (smoothing); chapter 07-2.
    """
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch), whole_number("seed", seed, 0)
    real_number("smoothing", smoothing, below=1), real_number("weight_decay", weight_decay)
    if real_number("lr", lr) == 0:
        raise CourseError("lr=0 learns nothing.", do="Choose a number above 0, e.g. lr=4e-3.")
    warmup = check_schedule(schedule, None)
    data = _checked(model, states, targets)
    held_out = None if valid is None else _checked(model, *valid)
    device, history, looks_on = model_device(model), History(), Watcher() if progress is False else Bar(progress)
    n, lengths = len(data[1]), (data[1] != PAD).sum(1)
    steps = steps_of(n, batch, at_least=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay, betas=(0.9, 0.98), fused=True)
    order, done, error = torch.Generator().manual_seed(seed), 0, None
    try:
        with measured(device) as cost, seeded(seed, device), stops_between_batches(looks_on, alone=True):
            looks_on.begin({"epochs": epochs, "lr": lr, "batch": batch, "seed": seed}, epochs, steps, [])
            for epoch in range(1, epochs + 1):
                model.train()
                sums = torch.zeros(3)
                with measured(device) as one:
                    for index in batches(n, steps, order, lengths):
                        for group in optimizer.param_groups:
                            group["lr"] = lr * share(done, epochs * steps, schedule, warmup)
                        loss, right, pieces = _forward(model, *data, index, smoothing, device)
                        optimizer.zero_grad(set_to_none=True)
                        loss.backward()
                        size = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).detach()
                        if not math.isfinite(float(size)):
                            raise _no_number(epoch, lr)
                        optimizer.step()
                        done += 1
                        value = float(loss.detach())
                        sums += torch.tensor([value * pieces, right, pieces])
                        looks_on.batch(value, right / pieces)
                        if looks_on.stopped and done < epochs * steps:
                            raise KeyboardInterrupt
                row = {"epoch": epoch, "loss": float(sums[0] / sums[2]), "accuracy": float(sums[1] / sums[2])}
                if held_out:
                    row |= _scored(model, *held_out, device)
                history.rows.append(row | {"seconds": one.seconds})
                looks_on.epoch(history.rows[-1])
    except KeyboardInterrupt:
        history.interrupted, history.note = True, f"Interrupted after {len(history)} of {epochs} epochs."
        note_interrupt()
        print(history.note)
    except BaseException as raised:
        error = raised
        raise
    finally:
        model.eval()
        looks_on.end(error)
        error = None
    history.seconds, history.memory = cost.seconds, cost.memory
    return history


def _checked(model, states, targets) -> tuple[Tokens, torch.Tensor]:
    if not isinstance(model, Translator):
        raise CourseError(f"A Translator is trained here, not a {type(model).__name__}.", do="Pass Translator(...).")
    if not isinstance(targets, torch.Tensor) or targets.ndim != 2 or targets.dtype != torch.int64:
        raise CourseError("The targets are numbers of pieces, int64 [n, t].", do="Pass words.encode(texts).")
    tokens = as_tokens(states)
    if len(tokens.x) != len(targets) or not len(targets) or targets.shape[1] < 2:
        raise CourseError(
            f"There are {len(tokens.x)} sources and {len(targets)} translations.",
            do="Pass one translation for each source, in the same order, and at least one.",
        )
    if int(targets.min()) < 0 or int(targets.max()) >= len(model.table.weight):
        raise CourseError(
            f"The targets hold piece {int(targets.max())}; the model knows {len(model.table.weight)} pieces.",
            do="Make it for these pieces: Translator(len(words)).",
        )
    return tokens, targets


def _forward(model, tokens: Tokens, targets, index, smoothing, device):
    """The loss of a batch, how many pieces were right, and of how many."""
    mask, ids = tokens.mask[index], targets[index]
    source, target = max(1, int(mask.sum(1).max())), int((ids != PAD).sum(1).max())
    x = Tokens(tokens.x[index, :source], mask[:, :source]).to(device)
    ids = ids[:, :target].to(device)
    scores, wanted = model(x, ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
    loss = F.cross_entropy(scores, wanted, ignore_index=PAD, label_smoothing=smoothing)
    counts = wanted != PAD
    return loss, int(((scores.argmax(1) == wanted) & counts).sum()), int(counts.sum())


def _scored(model, tokens, targets, device) -> dict[str, float]:
    sums = torch.zeros(3)
    with evaluating(model), torch.no_grad():
        for index in torch.arange(len(targets)).split(128):
            loss, right, pieces = _forward(model, tokens, targets, index, 0.0, device)
            sums += torch.tensor([float(loss) * pieces, right, pieces])
    return {"valid_loss": float(sums[0] / sums[2]), "valid_accuracy": float(sums[1] / sums[2])}


def _no_number(epoch: int, lr: float) -> CourseError:
    return CourseError(
        f"The loss is not a number in epoch {epoch}; training stopped.",
        why="The states hold NaN or infinite values, or the learning rate is too large.",
        do=f"Look into the states, make the Translator anew, and try lr={lr / 10:g}.",
    )
