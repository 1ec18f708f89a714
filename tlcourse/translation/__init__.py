"""From one language to another: subwords, a small decoder over a frozen encoder, search, and scores."""

from tlcourse.translation.attention import CrossAttention
from tlcourse.translation.decoder import Translator
from tlcourse.translation.hub import HubTranslator, load_translator
from tlcourse.translation.kept import kept_run
from tlcourse.translation.nearest import nearest_copies
from tlcourse.translation.reading import read_texts
from tlcourse.translation.recipe import Trial, child
from tlcourse.translation.scores import translation_scores
from tlcourse.translation.search import Translations, translate
from tlcourse.translation.subwords import Subwords
from tlcourse.translation.training import fit_translator

__all__ = [
    "CrossAttention",
    "HubTranslator",
    "Subwords",
    "Translations",
    "Translator",
    "Trial",
    "child",
    "fit_translator",
    "kept_run",
    "load_translator",
    "nearest_copies",
    "read_texts",
    "translate",
    "translation_scores",
]
