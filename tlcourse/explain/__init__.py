"""Looking into a network: its features as pictures, and what in an item made it decide as it did."""

from tlcourse.explain.embedding import Embedding, embed
from tlcourse.explain.gradcam import grad_cam
from tlcourse.explain.occlusion import cover_up, strike_words
from tlcourse.explain.prediction import Prediction, predict

__all__ = ["Embedding", "Prediction", "cover_up", "embed", "grad_cam", "predict", "strike_words"]
