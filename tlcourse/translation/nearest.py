"""`nearest_copies`: the baseline that translates nothing, and copies the translation of the most similar string."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlcourse.errors import CourseError


def nearest_copies(known, new, targets: Sequence[str]) -> list[str]:
    """For each new text the translation of the known text that is most similar: a translation memory.

    Arguments:
        known: texts whose translations are known; or vectors `[n, d]` of them.
        new: texts, or vectors, to find a translation for.
        targets: the translations of the known ones, `n` strings.

    Texts are compared by their runs of two to four letters (TF-IDF), vectors by their cosine.

    >>> nearest_copies(["Open file", "Close tab"], ["Close all tabs"], ["Ouvrir le fichier", "Fermer l'onglet"])
    ["Fermer l'onglet"]

    Chapter 07-2.
    """
    if len(known) != len(targets) or not len(known) or not len(new):
        raise CourseError(
            f"There are {len(known)} known texts, {len(targets)} translations and {len(new)} new texts.",
            do="Pass at least one of each, and a translation for every known text.",
        )
    if isinstance(known, torch.Tensor):
        a, b = (torch.nn.functional.normalize(x.float(), dim=1) for x in (known, new))
        return [targets[i] for i in (b @ a.T).argmax(1).tolist()]
    from sklearn.feature_extraction.text import TfidfVectorizer

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit(list(known))
    alike = letters.transform(list(new)) @ letters.transform(list(known)).T
    return [targets[i] for i in alike.toarray().argmax(1)]
