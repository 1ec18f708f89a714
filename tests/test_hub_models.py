"""Models of the hubs in the course's own terms: their chains, what freezing keeps, what is said when it goes wrong."""

from __future__ import annotations

import json
import re

import _hub
import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.detection import faster_rcnn, mask_rcnn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from tlcourse import answering, changed, freeze, frozen, snapshot, stages
from tlcourse.answering.hub import as_reader, load_reader
from tlcourse.assets import hubs, registry
from tlcourse.assets.hubs import from_hub
from tlcourse.chain.translators import Pair
from tlcourse.datasets import TextQuestion, load_dataset
from tlcourse.detection.hub import HubDetector, load_detector, new_head
from tlcourse.errors import CourseError, UnknownName
from tlcourse.models import Tokens, keras_resnet50
from tlcourse.training.own_loss import fit_losses
from tlcourse.translation.hub import HubTranslator, load_translator, marian_only

PAIRS = (["open the file", "close the table", "where is it"], ["ouvrir le fichier", "fermer la table", "table"])


def moved(model, since) -> set[str]:
    """The stages in which a parameter has changed."""
    table = changed(model, since)
    return set(table.index[table["parameters moved"] > 0])


# --- translation


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    from transformers import MarianTokenizer

    folder = tmp_path_factory.mktemp("marian") / "pieces"
    _hub.marian_pieces(folder)
    return MarianTokenizer.from_pretrained(folder), len(json.loads((folder / "vocab.json").read_text("utf-8")))


@pytest.fixture
def translator(pieces):
    return HubTranslator(_hub.marian_model(pieces[1]), pieces[0])


def test_a_translation_models_chain_is_the_model(translator):
    model = translator.model.eval()
    x, mask = torch.randint(1, 30, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    mask[1, 4:], y = 0, torch.randint(1, 30, (3, 5))
    chain = stages(model)
    names = [name for name, _ in chain.named_children()]
    assert names == ["embeddings", "layer0", "layer1", "decoder0", "decoder1", "head"]
    right = model(input_ids=x, attention_mask=mask, decoder_input_ids=y).logits
    torch.testing.assert_close(chain(Pair(x, mask, y)), right)


def test_a_frozen_encoder_stays_while_a_translator_learns(translator):
    model = freeze(translator.model, until="layer1")
    assert frozen(model) == ("embeddings", "layer0", "layer1")
    since = snapshot(model)
    history = translator.fit(*PAIRS, epochs=6, lr=1e-2, batch=2, progress=False)
    assert moved(model, since) == {"decoder0", "decoder1"}
    assert history.rows[-1]["loss"] < history.rows[0]["loss"] and not model.training
    same = HubTranslator(freeze(_hub.marian_model(model.config.vocab_size), until="layer1"), translator.tokenizer)
    again = same.fit(*PAIRS, epochs=6, lr=1e-2, batch=2, progress=False)
    assert [row["loss"] for row in again.rows] == [row["loss"] for row in history.rows]


def test_dropout_behind_frozen_embeddings_is_off_in_any_loop(translator):
    model = freeze(translator.model, "embeddings", "layer*", "decoder*")
    x = torch.randint(1, 30, (2, 5))
    model.train()
    one, two = (model(input_ids=x, decoder_input_ids=x).logits for _ in range(2))
    assert torch.equal(one, two)


def test_a_translator_learns_a_pair_by_heart(translator):
    translator.fit(*(side[2:] for side in PAIRS), epochs=40, lr=1e-2, batch=1, progress=False)
    assert translator.translate(PAIRS[0][2:], most=24) == PAIRS[1][2:]
    assert translator.translate(PAIRS[0][2:], most=24, beam=1) == PAIRS[1][2:]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (lambda t: t.translate("open"), "list of texts"),
        (lambda t: t.translate([""]), "empty"),
        (lambda t: t.translate(["open " * 80]), "the model reads 64"),
        (lambda t: t.translate(["open"], beam=0), "beam=0"),
        (lambda t: t.translate(["open"], beam=10_000), "beam=10000"),
        (lambda t: (t.model.lm_head.weight.data.fill_(torch.nan), t.translate(["open"])), "NaN or infinite"),
        (lambda t: t.fit(["open"], []), "There are no texts"),
        (lambda t: t.fit(["open"], ["a", "b"]), "1 sources and 2 translations"),
        (lambda t: (freeze(t.model, "*"), t.fit(["open"], ["a"])), "Nothing trains"),
    ],
)
def test_what_a_translator_cannot_do(translator, wrong, what):
    with pytest.raises(CourseError, match=what):
        wrong(translator)


# --- question answering


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("squad") / "words"
    _hub._word_pieces(folder, model_input_names=["input_ids", "attention_mask"])
    return AutoTokenizer.from_pretrained(folder)


ASKED = [
    TextQuestion("where is it?", "it is on the table.", "on the table", 6, "place", "XX"),
    TextQuestion("where is it?", "the file is open.", "", -1, "place", "XX"),
]


def test_a_readers_scores_are_those_of_the_model_it_was_made_of(words):
    model = _hub.squad_model().eval()
    reader = as_reader(model, words)
    x, mask = reader.transform([f"{one.question}\n{one.text}" for one in ASKED])
    said = model(input_ids=x, attention_mask=mask)
    right = torch.stack([said.start_logits, said.end_logits], -1)
    torch.testing.assert_close(stages(model)(Tokens(x, mask)), right)
    inside = answering.places(reader.transform, ASKED).inside
    torch.testing.assert_close(
        reader.scores(reader.features(ASKED).batch(torch.arange(2)), inside)[inside], right[inside]
    )


def test_fine_tuning_a_reader_moves_its_head_and_the_stages_it_was_told(words):
    model = _hub.squad_model().eval()
    before = snapshot(model)
    reader = as_reader(model, words, at="layer1", train=["layer2"])
    old = {name: tensor.clone() for name, tensor in reader.state_dict().items()}
    losses = answering.fit_reader(reader, ASKED, epochs=40, lr=3e-3)
    assert losses[-1] < losses[0]
    assert all(not torch.equal(old[name], tensor) for name, tensor in reader.state_dict().items())
    assert not moved(model, before)  # the reader has copies
    assert reader.ask(ASKED[0].question, ASKED[0].text) == "on the table"
    assert reader.ask(ASKED[1].question, ASKED[1].text) == ""


def test_a_frozen_body_stays_while_a_question_answering_model_learns(words):
    model = freeze(_hub.squad_model(), until="layer1")
    since, x = snapshot(model), torch.randint(5, 60, (4, 9))
    chain, gold = stages(model), torch.tensor([2, 3, 4, 5])

    def losses(index):
        scores = chain(Tokens(x[index], torch.ones_like(x[index])))
        return {
            end: nn.functional.cross_entropy(scores[..., i], gold[index]) for i, end in enumerate(("first", "last"))
        }

    history = fit_losses(model, losses, 4, epochs=3, lr=1e-2, batch=2, progress=False)
    assert moved(model, since) == {"layer2", "head"} and list(history.rows[0])[1:4] == ["loss", "first", "last"]


@pytest.mark.parametrize(
    ("at", "train", "left"),
    [("layer0", (), "layer1, layer2"), ("layer0", "layer1", "layer2"), ("embeddings", ["layer0", "layer1"], "layer2")],
)
def test_no_layer_is_left_out_between_a_readers_body_and_its_head(words, at, train, left):
    with pytest.raises(CourseError, match=f"{left} would be left out") as told:
        as_reader(_hub.squad_model(), words, at, train)
    assert "'layer2'" in str(told.value)


def test_what_a_fine_tuned_reader_has_learned_can_be_kept(words, tmp_path):
    made, again = (as_reader(_hub.squad_model(), words, at="layer1", train=["layer2"]) for _ in range(2))
    answering.fit_reader(made, ASKED, epochs=2)
    torch.save(made.state_dict(), tmp_path / "reader.pt")
    again.load_state_dict(torch.load(tmp_path / "reader.pt", weights_only=True))
    assert torch.equal(made.read(ASKED).surplus, again.read(ASKED).surplus)


def test_a_reader_of_another_family_is_refused(words):
    from transformers import BertConfig, BertForQuestionAnswering

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with pytest.raises(CourseError, match="bert model reads pairs in another way"):
        as_reader(BertForQuestionAnswering(BertConfig(vocab_size=120, **shape)), words)


# --- detection


def small(kind: str = "FasterRCNN", classes: int = 2):
    """A detector with a small body, small heads and few proposals."""
    torch.manual_seed(0)
    body, more = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5), {}
    if kind == "FCOS":
        more = {"num_classes": classes, "detections_per_img": 4, "score_thresh": 0.0}
    else:
        more = {
            "rpn_post_nms_top_n_train": 20, "rpn_post_nms_top_n_test": 10, "box_detections_per_img": 4,
            "box_score_thresh": 0.0, "box_head": faster_rcnn.TwoMLPHead(256 * 7 * 7, 16),
            "box_predictor": faster_rcnn.FastRCNNPredictor(16, classes),
        }  # fmt: skip
    if kind == "MaskRCNN":
        more["mask_head"] = mask_rcnn.MaskRCNNHeads(256, (16,), 1)
        more["mask_predictor"] = mask_rcnn.MaskRCNNPredictor(16, 16, classes)
    return getattr(torchvision.models.detection, kind)(body, min_size=64, max_size=64, **more).eval()


IMAGES = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
BOXES = torch.tensor([[[8.0, 8, 30, 30], [30, 30, 60, 60]], [[5, 5, 40, 40], [float("nan")] * 4]])


@pytest.fixture(scope="module")
def detector():
    return HubDetector(small(), ["", "face"])


@pytest.mark.parametrize("kind", ["MaskRCNN", "FCOS"])
def test_a_detectors_chain_is_the_detector(kind):
    model = small(kind)
    images = [torch.rand(3, 48, 64), torch.rand(3, 64, 50)]
    chain = stages(model)
    assert [name for name, _ in chain.named_children()] == [
        "stem", "stage1", "stage2", "stage3", "stage4", "neck", "head"
    ]  # fmt: skip
    with torch.no_grad():
        right, ours = model(images), chain(images)
    assert len(right) == len(ours) == 2 and model.backbone is not None
    assert all(torch.equal(one[key], other[key]) for one, other in zip(right, ours, strict=True) for key in one)


def test_a_frozen_body_stays_while_a_detector_learns():
    detector = HubDetector(small("FCOS"), ["", "face"])
    freeze(detector.model, until="stage4")
    since = snapshot(detector.model)
    history = detector.fit(IMAGES, BOXES, epochs=1, lr=1e-3, batch=2, progress=False)
    assert moved(detector.model, since) == {"neck", "head"}
    assert not changed(detector.model, since).loc[["stem", "stage4"], "buffers moved"].any()
    assert {"loss", "classification", "bbox_regression"} <= set(history.rows[0])
    found = detector.find(IMAGES, of="face", least=0.0)
    assert len(found) == 2 and all(one.boxes.shape[1] == 4 and len(one) <= 4 for one in found)


def test_masks_are_numbered_objects_of_the_images_size():
    masks = torch.zeros(2, 64, 64, dtype=torch.uint8)
    masks[0, 5:25, 5:25], masks[0, 30:60, 30:60] = 1, 2
    detector = HubDetector(small("MaskRCNN"), ["", "coin"])
    freeze(detector.model, until="stage4")
    history = detector.fit(IMAGES, masks=masks, epochs=1, lr=1e-4, batch=2, progress=False)
    assert "loss_mask" in history.rows[0]
    for mask in detector.masks(IMAGES, least=0.0):
        assert mask.shape == (64, 64) and mask.dtype == torch.int64 and int(mask.max()) <= 4


def test_a_detector_names_its_classes_and_answers_for_those_asked_for():
    image = torch.randint(0, 256, (1, 40, 60), dtype=torch.uint8)
    detector = HubDetector(small(classes=4), ["", "person", "", "car"])
    assert detector.classes == ("person", "car")
    both, person, car = (detector.find([image], of, least=0.0)[0] for of in (None, "person", ("car",)))
    assert len(both) == len(person) + len(car)
    with pytest.raises(UnknownName, match="Did you mean 'person'"):
        detector.find([image], of="persons")


def test_a_new_head_replaces_the_old_one():
    fcos = load_detector("torchvision:fcos_resnet50_fpn", ["face"], pretrained=False, size=64)
    assert fcos.classes == ("face",) and fcos.model.head.classification_head.cls_logits.out_channels == 2
    model = small("MaskRCNN")
    new_head(model, 5)
    heads = model.roi_heads
    assert (heads.box_predictor.cls_score.out_features, heads.mask_predictor.mask_fcn_logits.out_channels) == (5, 5)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (lambda d: d.find([]), "no images"),
        (lambda d: d.find(IMAGES.float()), "images in uint8"),
        (lambda d: d.masks(IMAGES), "finds boxes, not masks"),
        (lambda d: d.fit(IMAGES, None), "boxes of images are needed"),
        (lambda d: d.fit(IMAGES, BOXES[:1]), "boxes of 1"),
        (lambda d: d.fit(IMAGES, torch.full((2, 1, 4), float("nan"))), "No image has an object"),
        (lambda d: d.find(torch.zeros(1, 4, 8, 8, dtype=torch.uint8)), "images in uint8"),
        (lambda d: d.find(torch.zeros(1, 3, 0, 8, dtype=torch.uint8)), "images in uint8"),
        (lambda d: d.find(torch.zeros(1, 3, 2, 4000, dtype=torch.uint8)), "too long and thin"),
        (lambda d: d.find(IMAGES, of=5), "no class of this detector called '5'"),
        (lambda d: HubDetector(d.model, ["", "a", "b"]).fit(IMAGES, BOXES), "has 2 classes"),
        (lambda d: load_detector("torchvision:fasterrcnn_resnet50"), "Did you mean"),
        (lambda d: load_detector(classes=["a", "a"], pretrained=False), "name of one class"),
        (lambda d: load_detector(classes=["a", "b"], pretrained=False), "name of one class"),
        (lambda d: load_detector(classes=[None], pretrained=False), "name of one class"),
        (lambda d: load_detector(classes=5, pretrained=False), "name of one class"),
    ],
)
def test_what_a_detector_cannot_do(detector, wrong, what):
    with pytest.raises(CourseError, match=what):
        wrong(detector)


MASKS = torch.zeros(2, 64, 64, dtype=torch.int64)
MASKS[:, 8:30, 8:30] = 1


@pytest.mark.parametrize(
    ("boxes", "masks", "what"),
    [
        (None, MASKS[:, :32, :32], r"shape \[64, 64\], and its mask \[32, 32\]"),
        (None, MASKS[:1], "2 images, and masks of 1"),
        (None, MASKS.float(), "whole numbers"),
        (None, torch.where(MASKS > 0, MASKS, -1), "holds -1"),
        (BOXES, MASKS, "Leave out boxes="),
    ],
)
def test_masks_that_are_not_those_of_the_images(boxes, masks, what):
    with pytest.raises(CourseError, match=what):
        HubDetector(small("MaskRCNN"), ["", "coin"]).fit(IMAGES, boxes, masks=masks, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("FCOS", lambda m: m.head.classification_head.cls_logits.bias),
        ("FasterRCNN", lambda m: m.roi_heads.box_predictor.cls_score.bias),
        ("FasterRCNN", lambda m: m.backbone.body.conv1.weight),
    ],
)
def test_a_detector_with_spoilt_weights_says_so_instead_of_finding_nothing(kind, spoil):
    detector = HubDetector(small(kind), ["", "face"])
    spoil(detector.model).data.fill_(torch.nan)
    with pytest.raises(CourseError, match=r"NaN or infinite[\s\S]*smaller lr"):
        detector.find(IMAGES[:1])
    assert not any(module._forward_hooks for module in detector.model.modules())


# --- hubs


@pytest.mark.parametrize("load", [load_translator, load_reader, load_detector])
def test_the_small_profile_uses_no_hub(load, monkeypatch):
    monkeypatch.delenv("TLCOURSE_PROFILE", raising=False)
    with pytest.raises(CourseError, match=r"from a hub[\s\S]*TLCOURSE_PROFILE=full"):
        load()


@pytest.mark.parametrize("name", ["sms-spam", "medmnist", "eurosat", "pet-masks"])
def test_the_small_profile_has_no_data_of_hubs_and_the_full_one_none_while_offline(name, monkeypatch, tmp_path):
    monkeypatch.delenv("TLCOURSE_PROFILE", raising=False)
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    with pytest.raises(CourseError, match="TLCOURSE_PROFILE=full"):
        load_dataset(name)
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(CourseError, match="TLCOURSE_OFFLINE"):
        load_dataset(name)


def test_keras_asks_nobody_while_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("TLCOURSE_PROFILE", raising=False)
    with pytest.raises(CourseError, match="TLCOURSE_PROFILE=full"):
        keras_resnet50()
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    with pytest.raises(CourseError, match=r"forbids downloads[\s\S]*Unset TLCOURSE_OFFLINE"):
        keras_resnet50()
    file = tmp_path / "models" / registry()["keras:resnet50"].version
    file.parent.mkdir()
    file.write_bytes(b"half a file")
    with pytest.raises(CourseError, match=r"is on this machine[\s\S]*remove"):  # and it is not fetched again
        keras_resnet50()


def test_no_chapter_goes_past_the_package_to_a_hub(repository):
    for path in (repository / "chapters").glob("*.md"):
        past = re.findall(r'weights="imagenet"|from_pretrained\("|weights=".*DEFAULT', path.read_text("utf-8"))
        assert not past, path.stem


def test_a_package_that_is_missing_is_named_with_what_to_type():
    def make():
        import no_such_package  # noqa: F401

    with pytest.raises(CourseError, match=r"no_such_package[\s\S]*lab,full"):
        from_hub("sms-spam", make)


def test_a_copy_on_this_machine_is_used_without_a_network_and_named_where_it_is_damaged(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    asked = []

    def make(fails):
        asked.append("cache" if constants.HF_HUB_OFFLINE else "hub")
        if fails:
            raise ValueError("Half a file. Re-running with weights_only=False would load it.")
        return 1

    assert from_hub("hf:x", lambda: make(False)) == 1 and asked == ["hub"]
    assert from_hub("hf:x", lambda: make(False), copy=lambda: tmp_path) == 1 and asked[1:] == ["cache"]
    with pytest.raises(CourseError, match="is on this machine") as told:
        from_hub("hf:x", lambda: make(True), copy=lambda: tmp_path)
    assert asked[2:] == ["cache", "hub"] and not constants.HF_HUB_OFFLINE  # perhaps a part had never arrived
    assert f"remove {str(tmp_path)!r}" in str(told.value)
    assert "Half a file." in str(told.value) and "weights_only" not in str(told.value)


def test_a_download_that_stops_answering_ends_in_words(monkeypatch):
    import socket
    import urllib.request

    monkeypatch.setattr(hubs, "PATIENCE", 0.1)
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call, and says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(CourseError, match=r"could not be loaded[\s\S]*timed out[\s\S]*the network"):
            from_hub("eurosat", lambda: urllib.request.urlopen(address))
    assert socket.getdefaulttimeout() == before


def test_a_folder_that_may_not_be_written_is_not_called_damaged(tmp_path):
    def make():
        raise PermissionError(13, "Permission denied", "/prepared/hf/datasets/a.lock")

    with pytest.raises(CourseError, match=r"may not write[\s\S]*/prepared/hf[\s\S]*HF_HOME"):
        from_hub("sms-spam", make, copy=lambda: tmp_path)


def test_a_translator_is_not_made_without_the_package_that_reads_as_in_training(monkeypatch):
    import sys

    config = _hub.marian_model(40).config
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(CourseError, match=r"sacremoses[\s\S]*lab,full"):
        from_hub("hf:x", lambda: marian_only(config))


def test_a_full_disk_is_named_as_such():
    def make():
        try:
            raise OSError(28, "No space left on device", "/")
        except OSError as error:
            raise ValueError("The download failed.") from error

    with pytest.raises(CourseError, match=r"disk became full[\s\S]*Why:  / has .* free[\s\S]*HF_HOME"):
        from_hub("hf:x", make)


def test_a_file_with_code_in_torchs_cache_is_not_run(monkeypatch, tmp_path):
    import os
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "fcos_resnet50_fpn_coco-99b0c9b7.pth").write_bytes(pickle.dumps(Evil()))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    with pytest.raises(CourseError, match=r"cannot be read[\s\S]*Remove"):
        load_detector("torchvision:fcos_resnet50_fpn", size=64)
    assert not (tmp_path / "ran").exists()
