"""`nearest_copies`: the baseline that translates nothing, and copies the translation of the most similar string."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tlcourse.errors import CourseError
from tlcourse.translation.subwords import checked_texts


def nearest_copies(known, new, targets: Sequence[str]) -> list[str]:
    """For each new text the translation of the known text that is most similar: a translation memory.

    Arguments:
        known: texts whose translations are known; or vectors `[n, d]` of them.
        new: texts, or vectors, to find a translation for.
        targets: the translations of the known ones, `n` strings.

    Texts are compared by their runs of two to four letters (TF-IDF), vectors by their cosine. Where nothing is alike,
    the first translation is copied. Raises `CourseError` for what cannot be compared.

    >>> nearest_copies(["Open file", "Close tab"], ["Close all tabs"], ["Ouvrir le fichier", "Fermer l'onglet"])
    ["Fermer l'onglet"]

    Chapter 07-2.
    """
    targets = checked_texts(targets)
    vectors = [isinstance(x, torch.Tensor | np.ndarray) and getattr(x, "ndim", 0) > 1 for x in (known, new)]
    if any(vectors):
        known, new = (torch.as_tensor(x) if v else x for x, v in zip((known, new), vectors, strict=True))
        if not all(vectors) or known.ndim != 2 or new.shape[1:] != known.shape[1:]:
            raise CourseError(
                "The known and the new ones cannot be compared.",
                why="Vectors [n, d] are compared with vectors of as many numbers, texts with texts.",
                do="Pass both of one kind, made by one encoder.",
            )
        if not (known.isfinite().all() and new.isfinite().all()):
            raise CourseError("The vectors hold NaN or infinite values.", do="Look at the encoder, and load it anew.")
    else:
        known, new = (_texts(x) for x in (known, new))
    if len(known) != len(targets) or not len(known) or not len(new):
        raise CourseError(
            f"There are {len(known)} known texts, {len(targets)} translations and {len(new)} new texts.",
            do="Pass at least one of each, and a translation for every known text.",
        )
    if any(vectors):
        a, b = (torch.nn.functional.normalize(x.float(), dim=1) for x in (known, new))
        return [targets[i] for i in (b @ a.T).argmax(1).tolist()]
    if not any(text.strip() for text in known):
        raise CourseError("All known texts are empty.", do="Pass texts with at least one letter.")
    from sklearn.feature_extraction.text import TfidfVectorizer

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit(known)
    alike = letters.transform(new) @ letters.transform(known).T
    return [targets[i] for i in alike.toarray().argmax(1)]


def _texts(texts) -> list[str]:
    return checked_texts(texts) if isinstance(texts, str) or not isinstance(texts, Sequence) or len(texts) else []
