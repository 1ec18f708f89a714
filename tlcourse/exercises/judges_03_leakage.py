"""The check of chapter 03's preparation: it feeds tiny data, and sees where the numbers came from."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call


def standardised(standardise) -> None:
    """03.3: the training items alone say what mean and spread are."""
    import numpy as np
    import torch

    generator = torch.Generator().manual_seed(0)
    train = torch.randn(40, 5, generator=generator) * torch.tensor([1.0, 5, 0.2, 2, 0]) + torch.tensor(
        [0.0, 3, -1, 9, 0]
    )
    test = torch.randn(12, 5, generator=generator) * torch.tensor([2.0, 3, 0.5, 1, 0]) + torch.tensor(
        [1.0, 5, -2, 7, 0]
    )

    def run(a, b):
        a_kept, b_kept = a.clone(), b.clone()
        result = call(standardise, a, b)
        if not (torch.equal(a, a_kept) and torch.equal(b, b_kept)):
            raise NotYet("Your function changes the tensors it was given. Make new ones: `x - mean`, not `x -= mean`.")
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise NotYet("Two things are wanted, in this order: `return new_train, new_test`.")
        out = [np.asarray(x.detach() if hasattr(x, "detach") else x, dtype=float) for x in result]
        if [x.shape for x in out] != [tuple(a.shape), tuple(b.shape)]:
            raise NotYet(f"The shapes should stay {list(a.shape)} and {list(b.shape)}.")
        return out

    a, b = run(train, test)
    finite = np.isfinite(a).all() and np.isfinite(b).all()
    columns = slice(None) if finite else slice(4)  # a leak matters more than the division by the last one's zero
    x, y, a, b = train.double().numpy()[:, columns], test.double().numpy()[:, columns], a[:, columns], b[:, columns]
    both = np.concatenate([x, y])
    fits = {  # which items the learner's mean and spread came from
        "right": (x, x, 0),
        "both": (both, both, 0),
        "separately": (x, y, 0),
        "test": (y, y, 0),
        "rows": (x, y, 1),
        "all": (x, x, None),
    }
    close = [n for n, (f, g, axis) in fits.items() if _fits(a, x, f, axis) and _fits(b, y, g, axis)]
    if close and "right" not in close:
        raise NotYet(_LEAKS[close[0]])
    if not finite:
        raise NotYet(
            "A feature that is the same for every item has spread 0, and dividing by it gives NaN. It happens: a "
            "dead ReLU. Add something tiny to the spread, e.g. `std + 1e-8`."
        )
    if "right" in close:
        return
    changed = test.clone()
    changed[1:] = changed[1:] * 2 + 1
    if not np.allclose(run(train, changed)[1][0], b[0], atol=1e-5):
        raise NotYet("The result for one test item depends on the other test items: " + _LEAKS["separately"])
    if np.abs(a[:, :4].mean(0)).max() > 1e-3:
        raise NotYet("Your training features do not have mean 0. Subtract, from each feature, its mean over the items.")
    if np.abs(a[:, :4].std(0) - 1).max() > 0.05:
        raise NotYet("Your training features do not have spread 1. Divide each feature by its standard deviation.")
    raise NotYet("The training features are right; the test features must go through exactly the same mean and spread.")


def _fits(out, x, fitted, axis) -> bool:
    """Whether `out` is `x` made standard by the statistics of `fitted`, with either way to count the spread."""
    import numpy as np

    live = slice(None) if axis else slice(0, 4)
    return any(
        np.allclose(
            out[:, live],
            ((x - fitted.mean(axis, keepdims=True)) / (fitted.std(axis, keepdims=True, ddof=ddof) + 1e-12))[:, live],
            atol=2e-3,
        )
        for ddof in (0, 1)
    )


_LEAKS = {
    "both": "Mean and spread came from training and test items together, so the test set has leaked into the "
    "preparation. Take them from `train` alone.",
    "separately": "The test items were made standard by their own mean and spread. A single test image would become "
    "all zeros, and a shift between the sets is wiped out. Use those of `train`.",
    "test": "Mean and spread came from the test items: they have leaked into the training. Take them from `train`.",
    "rows": "Each item was made standard by itself (along axis 1). Here each feature is: take mean and spread over "
    "the items, axis 0.",
    "all": "One mean and one spread were taken over all features at once. Each feature has its own: use `mean(0)` "
    "and `std(0)`.",
}
