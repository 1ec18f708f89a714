"""Looking into a network: its features as pictures, and what in an item made it decide as it did."""

from tlcourse.explain.attribution import TokenAttribution, token_attribution
from tlcourse.explain.embedding import Embedding, embed
from tlcourse.explain.gradcam import grad_cam
from tlcourse.explain.occlusion import cover_up, strike_words
from tlcourse.explain.pointing import energy_inside
from tlcourse.explain.prediction import Prediction, predict
from tlcourse.explain.similarity import cka, cka_matrix

__all__ = [
    "Embedding",
    "Prediction",
    "TokenAttribution",
    "cka",
    "cka_matrix",
    "cover_up",
    "embed",
    "energy_inside",
    "grad_cam",
    "predict",
    "strike_words",
    "token_attribution",
]
