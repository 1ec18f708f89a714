"""The check of chapter 01's alignment: it feeds tiny data, and sees where the numbers came from."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call


def domains():
    """Features of a source, of a target and of new items of the target: `source, target, new`, `[n, 4]` each."""
    import torch

    g = torch.Generator().manual_seed(0)
    wide, middle = torch.tensor([1.0, 4, 0.5, 0]), torch.tensor([0.0, 3, -1, 2])
    source = torch.randn(40, 4, generator=g) * wide + middle
    target = torch.randn(30, 4, generator=g) * wide * torch.tensor([3.0, 0.5, 1, 1]) + middle + 5
    new = torch.randn(8, 4, generator=g) * wide * torch.tensor([3.0, 0.5, 1, 1]) + middle + 6
    return source, target, new


def aligned(to_source) -> None:
    """01.2: the target's statistics move the new items to where the source's features lie."""
    import numpy as np
    import torch

    source, target, new = domains()
    out = _run(to_source, source, target, new)
    s, t, n = (x.double().numpy() for x in (source, target, new))
    live = slice(0, 3)  # the last feature is the same for every item of a domain
    ways = [way for ddof in (0, 1) for way in _ways(s, t, n, ddof).items()]  # either way to count a spread
    for name, made in ways:
        if np.allclose(out[:, live], made[:, live], atol=2e-3):
            if name != "right":
                raise NotYet(_MISTAKES[name])
            break
    else:
        raise NotYet(_ELSEWHERE)
    if not np.isfinite(out).all():
        raise NotYet(
            "A feature that is the same for every item has spread 0, and dividing by it gives NaN. Add something tiny "
            "to the spread, e.g. `target.std(0) + 1e-8`."
        )
    if not np.allclose(out[:, 3], s[0, 3] + (n[:, 3] - t[0, 3]), atol=1.1):
        raise NotYet("The last feature has no spread in the target. Move its mean, and do not blow up what is left.")
    single = _run(to_source, source, target, new[:1])
    if not np.allclose(single[0], out[0], atol=1e-4):
        raise NotYet("One item alone comes out elsewhere than in company. " + _MISTAKES["of the new items"])
    shuffled = target[torch.randperm(len(target), generator=torch.Generator().manual_seed(1))]
    if not np.allclose(_run(to_source, source, shuffled, new), out, atol=1e-3):
        raise NotYet("The order of the target's items changes the result. Only their mean and spread may count.")


def _run(to_source, source, target, new):
    import numpy as np
    import torch

    given = [x.clone() for x in (source, target, new)]
    result = call(to_source, *given)
    if not all(torch.equal(a, b) for a, b in zip(given, (source, target, new), strict=True)):
        raise NotYet("Your function changes the tensors it was given. Make a new one: `new - mean`, not `new -= mean`.")
    if result is None:
        raise NotYet("Your function returns nothing. End it with the moved `new`: `return moved`.")
    if isinstance(result, (tuple, list)):
        raise NotYet("One tensor is wanted, the moved `new`: `return moved`.")
    try:
        out = np.asarray(result.detach() if hasattr(result, "detach") else result)
        if np.iscomplexobj(out):
            raise NotYet("The result holds complex numbers. The features are real ones, and so are they when moved.")
        out = out.astype(float)
    except (TypeError, ValueError):
        raise NotYet("A tensor of the shape of `new` is wanted.") from None
    if out.shape != tuple(new.shape):
        raise NotYet(f"The result has the shape {list(out.shape)}; `new`, moved, has {list(new.shape)}.")
    return out


def _ways(s, t, n, ddof):
    """What `new` becomes by the right way, and by ways that people try."""
    import numpy as np

    both = np.concatenate([s, t])
    tiny = 1e-12

    def std(x, axis=0):
        return x.std(axis, ddof=ddof) + tiny

    plain = (n - t.mean(0)) / std(t)
    return {
        "right": plain * std(s) + s.mean(0),
        "mean only": n - t.mean(0) + s.mean(0),
        "standard only": plain,
        "mean forgotten": plain * std(s),
        "of the new items": (n - n.mean(0)) / std(n) * std(s) + s.mean(0),
        "the wrong way": (n - s.mean(0)) / std(s) * std(t) + t.mean(0),
        "source's statistics": (n - s.mean(0)) / std(s),
        "both together": (n - both.mean(0)) / std(both) * std(s) + s.mean(0),
        "all features at once": (n - t.mean()) / t.std(ddof=ddof) * s.std(ddof=ddof) + s.mean(),
        "spread upside down": (n - t.mean(0)) * std(t) / std(s) + s.mean(0),
        "nothing": n,
        "the target": np.resize((t - t.mean(0)) / std(t) * std(s) + s.mean(0), n.shape),
    }


_ELSEWHERE = (
    "The moved items lie elsewhere than expected. In three steps: take away the target's mean and divide by its "
    "spread; multiply by the source's spread; add the source's mean. Each feature has its own mean and spread."
)
_MISTAKES = {
    "mean only": "The means agree now, but the spreads do not: the first feature is three times as wide in the target. "
    "Divide by the target's spread, and multiply by the source's.",
    "standard only": "You bring the items to mean 0 and spread 1. The source's rule was learned on features that have "
    "the source's mean and spread: bring them there.",
    "mean forgotten": "The spread is the source's, but the middle is zero. Add the source's mean at the end.",
    "of the new items": "Mean and spread came from `new` itself. A single item would land on the source's mean, "
    "whatever it is. The unlabelled `target` items say what mean and spread are.",
    "the wrong way": "You move from the source to the target. The rule was learned on the source: the *target's* items "
    "have to come to it.",
    "source's statistics": "You subtract the source's mean and divide by its spread, as one does in training. That "
    "treats the target as if it lay where the source lies: the shift between them stays.",
    "both together": "Mean and spread came from source and target mixed. What differs between the two is just what has "
    "to be taken away: take each one's statistics by themselves.",
    "all features at once": "One mean and one spread were taken over all features. Each feature has its own: use "
    "`mean(0)` and `std(0)`.",
    "spread upside down": "The spreads are upside down: divide by the target's, multiply by the source's.",
    "nothing": "The items come back as they were.",
    "the target": "You moved `target`. It only says where its domain lies; what is to be moved is `new`.",
}
