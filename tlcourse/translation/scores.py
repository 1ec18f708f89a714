"""`translation_scores`: chrF and BLEU, as papers report them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tlcourse.errors import CourseError
from tlcourse.translation.subwords import checked_texts


def translation_scores(
    translations: Sequence[str], references: Sequence[str], language: str = "fr"
) -> dict[str, float]:
    """How close translations are to those of people: 0 (nothing in common) to 100 (the same).

    Arguments:
        translations, references: as many strings of each, or `Translations`; a translation may be empty.
        language: of both; `"zh"` counts characters where others count words.

    Returns `{"chrF": ..., "BLEU": ...}` over all strings together. chrF compares runs of up to six characters, BLEU
    runs of up to four words; for strings of few words, chrF is the steadier one.

    >>> scores = translation_scores(["Ouvrir le fichier"], ["Ouvrir le fichier"])
    >>> {name: round(score) for name, score in scores.items()}
    {'chrF': 100, 'BLEU': 0}

    BLEU is nought here as three words have no run of four, which is why it is never read for one string alone.

    Popović 2015 (chrF); Papineni et al. 2002 (BLEU); Post 2018 (sacrebleu); chapter 07-2.
    """
    import sacrebleu

    if not isinstance(language, str):
        raise CourseError(f"language={language!r} is no language.", do='Pass e.g. "fr", "es" or "zh".')
    language = re.split("[-_]", language.lower())[0]  # zh-CN and zh_Hans are Chinese too
    translations = getattr(translations, "texts", translations)
    translations, references = checked_texts(translations), checked_texts(references)
    if len(translations) != len(references):
        raise CourseError(
            f"There are {len(translations)} translations and {len(references)} references.",
            do="Pass one reference for each translation, in the same order.",
        )
    chrf = sacrebleu.corpus_chrf(translations, [references]).score
    bleu = sacrebleu.corpus_bleu(translations, [references], tokenize="zh" if language == "zh" else "13a").score
    return {"chrF": float(chrf), "BLEU": float(bleu)}
