"""Transfer learning with pretrained deep models, taught over one idea: a network is a chain of named stages."""

import gc
import sys
from importlib import import_module

__version__ = "0.1.0"

_WHERE = {
    "CourseError": "errors",
    "UnknownName": "errors",
    "device": "hardware",
    "load": "models",
    "save": "models",
    "load_dataset": "datasets",
    "from_folder": "datasets",
    "from_csv": "datasets",
    "photograph": "datasets",
    "box_iou": "datasets",
    "support_faq": "datasets",
    "support_topics": "datasets",
    "rated_texts": "datasets",
    "country_questions": "datasets",
    "stages": "chain",
    "set_stages": "chain",
    "freeze": "freezing",
    "unfreeze": "freezing",
    "frozen": "freezing",
    "snapshot": "freezing",
    "audit": "freezing",
    "changed": "freezing",
    "parameter_groups": "freezing",
    "lora": "freezing",
    "extract": "features",
    "predict": "explain",
    "grad_cam": "explain",
    "token_attribution": "explain",
    "cka": "explain",
    "linear_probe": "features",
    "knn_probe": "features",
    "fit": "training",
    "fine_tune": "training",
    "evaluate": "training",
    "repeat": "training",
    "cost": "training",
    "l2_sp": "training",
    "MultiTask": "multitask",
    "TaskData": "multitask",
    "fit_tasks": "multitask",
    "evaluate_tasks": "multitask",
    "gradient_similarity": "multitask",
    "shared_cost": "multitask",
    "MaskDecoder": "segmentation",
    "fit_masks": "segmentation",
    "segment": "segmentation",
    "mask_loss": "segmentation",
    "mask_scores": "segmentation",
    "instances": "segmentation",
    "instance_scores": "segmentation",
    "Subwords": "translation",
    "Translator": "translation",
    "fit_translator": "translation",
    "translate": "translation",
    "translation_scores": "translation",
    "nearest_copies": "translation",
    "read_texts": "translation",
    "load_translator": "translation",
    "AnswerBot": "answering",
    "SpanReader": "answering",
    "fit_reader": "answering",
    "load_reader": "answering",
    "choose_threshold": "answering",
    "recall_at": "answering",
    "exact_match": "answering",
    "answer_f1": "answering",
    "logme": "selection",
    "leep": "selection",
    "h_score": "selection",
    "compare": "selection",
    "mix": "optimization",
    "mmd": "adaptation",
    "coral": "adaptation",
    "mixed_loss": "adaptation",
    "domain_gap": "adaptation",
    "DomainAdversarial": "adaptation",
    "adapt": "adaptation",
    "adapt_batch_norm": "adaptation",
    "pseudo_label": "adaptation",
    "self_train": "adaptation",
    "descend": "optimization",
    "range_test": "optimization",
    "PointDetector": "detection",
    "PyramidDetector": "detection",
    "fit_detector": "detection",
    "detect": "detection",
    "average_precision": "detection",
    "load_detector": "detection",
    "plots": "",
    "Chat": "widgets",
    "DistanceDial": "widgets",
    "FreezePanel": "widgets",
    "EmbeddingExplorer": "widgets",
    "Predict": "widgets",
    "TrainingMonitor": "widgets",
    "LossMixer": "widgets",
    "DescentExplorer": "widgets",
    "exercise": "exercises",
    "quiz": "exercises",
    "progress": "exercises",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name):
    """Import a public name when it is first used, so that `import tlcourse` does not load torch."""
    if name not in _WHERE:
        from difflib import get_close_matches

        near = get_close_matches(name, _WHERE, n=1)
        raise AttributeError(f"tlcourse has no {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    if not _WHERE[name]:
        return _load(name)
    if "ipykernel" in sys.modules and (_WHERE[name] == "training" or name in ("adapt", "fit_translator")):
        _load("widgets")  # in a notebook, training is looked at through its monitor
    return getattr(_load(_WHERE[name]), name)


def _load(part):
    """Import a part while Python's garbage collector rests.

    torch and what comes with it make some hundred thousand objects that stay. The collector would look through all of
    them again and again, and find nothing: a fifth of the time.
    """
    working = gc.isenabled()
    gc.disable()
    try:
        return import_module(f"tlcourse.{part}")
    finally:
        if working:
            gc.enable()


def __dir__():
    return sorted(__all__)
