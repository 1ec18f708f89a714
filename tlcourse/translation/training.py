"""`fit_translator`: teacher forcing over an encoder's kept states."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import evaluating
from tlcourse.models import Tokens
from tlcourse.training.history import History
from tlcourse.training.loop import made_optimizer
from tlcourse.training.plain import PlainSource, train_plain
from tlcourse.training.schedules import check_schedule
from tlcourse.training.watch import Watcher, watcher
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
    progress: bool | Watcher | None = None,
) -> History:
    """Train what is not frozen of a decoder, in place; the encoder's states are kept, and it takes no step.

    At every place the decoder is given the true pieces before it, and asked for the next one (teacher forcing).

    Arguments:
        model: a `Translator`.
        states: `Features` of a stage before the pool, or `Tokens`.
        targets: pieces of the translations, int64 `[n, t]`: what `words.encode(texts)` gives.
        valid: states and targets that are scored after each epoch, never trained on.
        epochs, lr, batch, weight_decay, schedule, seed, progress: as in `fit`; the first tenth of a cosine warms up.
        smoothing: share of the true piece's weight that is spread over all pieces.

    Returns a `History`, also after a keyboard interrupt; its accuracy is the share of next pieces that were right.
    Raises `Diverged` when the loss or its gradient is not finite, `CourseError` when states and targets do not go
    together, when a target holds nothing but padding, and when everything is frozen.

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
    settings = {
        "epochs": epochs, "lr": lr, "batch": batch, "smoothing": smoothing, "weight_decay": weight_decay,
        "schedule": schedule, "warmup": check_schedule(schedule, None), "seed": seed,
    }  # fmt: skip
    source, held_out = Lessons(model, states, targets), None
    if valid is not None:
        if not isinstance(valid, tuple | list) or len(valid) != 2:
            raise CourseError(
                "valid= is no pair of states and targets.", do="Pass valid=(states, targets) of other texts."
            )
        held_out = Lessons(model, *valid)
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise CourseError(
            "Nothing of the Translator trains: all of it is frozen.",
            do="Thaw it with model.requires_grad_(True), or make a new Translator.",
        )
    group = {"params": trained, "lr": lr, "weight_decay": weight_decay, "betas": (0.9, 0.98)}
    return train_plain(
        source,
        lambda index: (source.losses(index, smoothing), False),  # of finite scores there is always a loss
        made_optimizer(torch.optim.AdamW, [group]),
        settings,
        watcher(progress),
        held_out=held_out,
        score=Lessons.scored,
        mean=by_pieces,
        clip=CLIP,
        at_least=1,
    )


class Lessons(PlainSource):
    """Sources with their translations, for a decoder that is forced to write them.

    Arguments: those of `fit_translator`, which are checked here.

    `lengths` are the pieces of each translation: those of about one length come together.
    """

    def __init__(self, model: Translator, states, targets: torch.Tensor):
        self.tokens, self.targets = _checked(model, states, targets)
        super().__init__(model, len(targets))
        self.lengths = (targets != PAD).sum(1).cpu()

    def finite(self, index: torch.Tensor) -> bool:
        """Whether the states are free of NaN and infinite values: `as_tokens` takes no others."""
        return True

    def losses(self, index: torch.Tensor, smoothing: float = 0.0) -> dict[str, torch.Tensor]:
        """The mean loss of a batch, how many pieces were right, and of how many."""
        mask, ids = self.tokens.mask[index], self.targets[index]
        source, target = max(1, int(mask.sum(1).max())), int((ids != PAD).sum(1).max())
        x = Tokens(self.tokens.x[index, :source], mask[:, :source]).to(self.device)
        ids = ids[:, :target].to(self.device)
        scores, wanted = self.model(x, ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        loss = F.cross_entropy(scores, wanted, ignore_index=PAD, label_smoothing=smoothing)
        counts = wanted != PAD
        return {"loss": loss, "right": ((scores.argmax(1) == wanted) & counts).sum(), "pieces": counts.sum()}

    def scored(self) -> dict[str, float]:
        """Loss and accuracy of all, in evaluation mode."""
        told = []
        with evaluating(self.model), torch.no_grad():
            for index in torch.arange(self.n).split(128):
                told.append(({name: value.item() for name, value in self.losses(index).items()}, len(index)))
        return {f"valid_{name}": value for name, value in by_pieces(told).items()}


def by_pieces(told: list[tuple[dict[str, float], int]]) -> dict[str, float]:
    """The means over all pieces, of what each batch told of its own.

    >>> by_pieces([({"loss": 1.0, "right": 2, "pieces": 3}, 1), ({"loss": 2.0, "right": 1, "pieces": 1}, 1)])
    {'loss': 1.25, 'accuracy': 0.75}
    """
    sums = torch.zeros(3)
    for one, _ in told:
        sums += torch.tensor([one["loss"] * one["pieces"], one["right"], one["pieces"]])
    return {"loss": float(sums[0] / sums[2]), "accuracy": float(sums[1] / sums[2])}


def _checked(model, states, targets) -> tuple[Tokens, torch.Tensor]:
    if not isinstance(model, Translator):
        raise CourseError(f"A Translator is trained here, not a {type(model).__name__}.", do="Pass Translator(...).")
    if not isinstance(targets, torch.Tensor) or targets.ndim != 2 or targets.dtype != torch.int64:
        given = f"{targets.dtype} {list(targets.shape)}" if hasattr(targets, "dtype") else f"a {type(targets).__name__}"
        raise CourseError(
            f"The targets are numbers of pieces, int64 [n, t], not {given}.", do="Pass words.encode(texts)."
        )
    tokens = as_tokens(states)
    if len(tokens.x) != len(targets) or not len(targets) or targets.shape[1] < 2:
        raise CourseError(
            f"There are {len(tokens.x)} sources and {len(targets)} translations.",
            do="Pass one translation for each source, in the same order, and at least one.",
        )
    if int(targets.min()) < 0 or int(targets.max()) >= len(model.table.weight):
        odd = int(targets.min()) if int(targets.min()) < 0 else int(targets.max())
        raise CourseError(
            f"The targets hold piece {odd}; the model knows {len(model.table.weight)} pieces.",
            do="Make it for these pieces: Translator(len(words)).",
        )
    there = targets != PAD
    if not there[:, :2].all():
        raise CourseError(
            f"Translation {int((~there[:, :2].all(1)).nonzero()[0])} holds nothing to learn from: it is padding.",
            why="A translation has at least a start and an end, and padding comes behind them.",
            do="Leave it out, together with its source, or make the targets anew: words.encode(texts).",
        )
    gaps = (there[:, 1:] & ~there[:, :-1]).any(1)
    if gaps.any():
        raise CourseError(
            f"Translation {int(gaps.nonzero()[0])} has padding before its end.",
            why="What comes behind the padding would be cut off.",
            do="Make the targets anew: words.encode(texts).",
        )
    return tokens, targets
