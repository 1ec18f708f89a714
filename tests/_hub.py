"""A stand-in of the hubs on loopback: tiny random models in the true file formats, archives in their true layout.

What the libraries ask of Hugging Face's hub is answered at `HF_ENDPOINT`; what they ask of other hosts comes here by
`_hub_user.py`, below `/far/`.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import torch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BERT, SQUAD = "bert-base-uncased", "distilbert/distilbert-base-cased-distilled-squad"
EN_FR, ZH_EN = "Helsinki-NLP/opus-mt-en-fr", "Helsinki-NLP/opus-mt-zh-en"
SMS = "datasets/ucirvine/sms_spam"
WORDS = ("open", "the", "file", "close", "where", "is", "it", "on", "table", "a", "money", "of", "france", "euro")
DETECTORS = ("fasterrcnn_resnet50_fpn", "fcos_resnet50_fpn", "maskrcnn_resnet50_fpn")


class Hub:
    """Files by path, and how they are to be disturbed.

    `cut` holds paths of which only the first half is sent; `log` what was asked for.
    """

    def __init__(self, files: dict[str, bytes]):
        self.files, self.cut, self.log = dict(files), set(), []

    def repository(self, name: str) -> dict[str, bytes]:
        """Name -> content of the files of a repository."""
        root = f"hf/{name}/"
        return {path[len(root) :]: body for path, body in self.files.items() if path.startswith(root)}

    def copy(self) -> Hub:
        return Hub(self.files)


@contextmanager
def serving(hub: Hub):
    """The hub on a port of this machine; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(head=True)

        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer()

        def answer(self, head: bool = False):
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.log.append(f"{self.command} {path}")
            status, body, kind = _answer(hub, path, getattr(self, "body", b""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 404:
                known = hub.repository(_repo(path))
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.end_headers()
            if not head:
                cut = path in hub.cut or path.split("/")[-1] in hub.cut
                self.wfile.write(body[: len(body) // 2] if cut else body)
                self.close_connection = self.close_connection or cut

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _repo(path: str) -> str:
    path = path.removeprefix("api/models/").removeprefix("api/")
    return path.partition("/resolve/")[0].partition("/tree/")[0]


def _answer(hub: Hub, path: str, asked: bytes) -> tuple[int, bytes, str]:
    if path.startswith("far/"):  # the last part of the address is the file's name
        name = "far/" + path.split("/")[-1]
        return (200, hub.files[name], "application/octet-stream") if name in hub.files else (404, b"", "text/plain")
    if "/resolve/" in path:
        name, _, rest = path.partition("/resolve/")
        body = hub.repository(name).get(rest.partition("/")[2])
        return (404, b"Entry not found", "text/plain") if body is None else (200, body, "application/octet-stream")
    if path.startswith("api/"):
        _, kind, rest = (*path.split("/", 2), "")[:3]
        for stop in ("/revision/", "/tree/", "/paths-info/"):
            name, there, below = rest.partition(stop)
            if there:
                break
        else:
            name, stop, below = rest, "", ""
        files = hub.repository(f"datasets/{name}" if kind == "datasets" else name)
        if not files:
            return 404, b'{"error": "Repository not found"}', "application/json"
        if stop == "/paths-info/":
            wanted = parse_qs(asked.decode())["paths"] if asked[:1] != b"{" else json.loads(asked)["paths"]
            return (
                200,
                json.dumps([_entry(files, file) for file in wanted if file in files]).encode(),
                "application/json",
            )
        if stop == "/tree/":
            inside = below.partition("/")[2]
            root = f"{inside}/" if inside else ""
            below = {file: file[len(root) :].partition("/") for file in files if file.startswith(root)}
            if not below:
                return 404, b'{"error": "Not found"}', "application/json"
            told = [_entry(files, root + first) for first in dict.fromkeys(first for first, _, _ in below.values())]
            return 200, json.dumps(told).encode(), "application/json"
        told = {"id": name, "sha": COMMIT, "private": False, "gated": False, "disabled": False, "tags": [],
                "downloads": 0, "likes": 0, "siblings": [{"rfilename": file} for file in files]}  # fmt: skip
        return 200, json.dumps(told).encode(), "application/json"
    return 404, b"", "text/plain"


def _entry(files: dict[str, bytes], path: str) -> dict:
    told = {"path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": len(files.get(path, b""))}
    return told | {"type": "file" if path in files else "directory"}


# --- what is on it


def everything(folder: Path) -> Hub:
    """A hub with all that the full profile names; models are made in `folder`."""
    files = {}
    for name, make in {BERT: _bert, SQUAD: _squad, EN_FR: _marian, ZH_EN: _marian}.items():
        where = folder / name.replace("/", "--")
        make(where)
        if name == ZH_EN:  # as some repositories still are: no safetensors
            weights = {k: v.clone() for k, v in _safetensors(where / "model.safetensors").items()}
            torch.save(weights, where / "pytorch_model.bin")
            (where / "model.safetensors").unlink()
        files |= {f"hf/{name}/{file.name}": file.read_bytes() for file in where.iterdir()}
    files |= {f"hf/{SMS}/{name}": body for name, body in _sms().items()}
    files |= {f"far/{name}": body for name, body in _archives().items()}
    files |= {f"far/{name}": body for name, body in (_checkpoints() | _keras_weights(folder)).items()}
    return Hub(files)


def _safetensors(path: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(path)


def _word_pieces(folder: Path, **more) -> None:
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True)
    letters = [chr(c) for c in range(97, 123)] + list("?.,")
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *WORDS[1:]]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(vocab))}
    BertTokenizerFast(vocab=vocab, **more).save_pretrained(folder)


def _bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    _word_pieces(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=120, max_position_embeddings=64, **shape)).save_pretrained(folder)


def _squad(folder: Path) -> None:
    _word_pieces(folder, model_input_names=["input_ids", "attention_mask"])
    squad_model().save_pretrained(folder)


def squad_model(seed: int = 0):
    """A tiny question answering model with random weights."""
    from transformers import DistilBertConfig, DistilBertForQuestionAnswering

    torch.manual_seed(seed)
    shape = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}
    return DistilBertForQuestionAnswering(DistilBertConfig(vocab_size=120, max_position_embeddings=64, **shape))


def marian_model(pieces: int, seed: int = 0):
    """A tiny translation model with random weights; the last piece is the padding, as in OPUS-MT's."""
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=pieces, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
        pad_token_id=pieces - 1, decoder_start_token_id=pieces - 1, eos_token_id=0, forced_eos_token_id=0,
        scale_embedding=True, static_position_embeddings=True, activation_function="swish",
    )  # fmt: skip
    return MarianMTModel(config)


def _marian(folder: Path) -> None:
    marian_pieces(folder)
    pieces = len(json.loads((folder / "vocab.json").read_text("utf-8")))
    marian_model(pieces).save_pretrained(folder)


def marian_pieces(folder: Path) -> None:
    """A sentencepiece model learned from a handful of words, and the files that a Marian tokenizer has on the hub."""
    import sentencepiece

    folder.mkdir(parents=True)
    text = io.StringIO("\n".join([" ".join(WORDS), "ouvrir le fichier", "fermer la table", "打开 文件"] * 4))
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=text, model_writer=made, vocab_size=60, hard_vocab_limit=False, minloglevel=2, num_threads=1
    )
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(made.getvalue())
    spm = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    known = [spm.IdToPiece(i) for i in range(spm.GetPieceSize())]
    vocab = ["</s>", "<unk>", *(piece for piece in known if piece not in ("<s>", "</s>", "<unk>")), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(vocab)}), "utf-8")
    about = {"source_lang": "en", "target_lang": "fr", "model_max_length": 512, "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), "utf-8")


def _sms() -> dict[str, bytes]:
    import pandas as pd

    texts = [f"see you at {i}\n" for i in range(12)] + [f"win a prize, call {i}\n" for i in range(8)]
    table = pd.DataFrame({"sms": [*texts, texts[0]], "label": [0] * 12 + [1] * 8 + [0]})
    held = io.BytesIO()
    table.to_parquet(held)
    card = """---
dataset_info:
  config_name: plain_text
  features:
  - name: sms
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': ham
          '1': spam
configs:
- config_name: plain_text
  data_files:
  - split: train
    path: plain_text/train-*
  default: true
---
"""
    return {"README.md": card.encode(), "plain_text/train-00000-of-00001.parquet": held.getvalue()}


def _image(size: tuple[int, int], kind: str, seed: int) -> bytes:
    from PIL import Image

    held = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(held, kind)
    return held.getvalue()


def _archives() -> dict[str, bytes]:
    """EuroSAT's zip, the pets' two tars, a set of MedMNIST: in their true layout, with a handful of images."""
    from PIL import Image

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for seed, land in enumerate(("AnnualCrop", "Forest", "River")):
            for i in range(1, 6):
                archive.writestr(f"2750/{land}/{land}_{i}.jpg", _image((64, 64), "JPEG", 10 * seed + i))
    made = {"EuroSAT.zip": held.getvalue()}
    images, annotations, lists = {}, {}, {"trainval": [], "test": []}
    for number, breed, species in ((1, "Abyssinian", 1), (2, "american_bulldog", 2)):
        for i in range(1, 8):
            name = f"{breed}_{i}"
            images[f"images/{name}.jpg"] = _image((40 + i, 30), "JPEG", i)
            trimap = np.full((30, 40 + i), 2, np.uint8)
            trimap[5:25, 5:25], trimap[8:22, 8:22] = 3, 1
            mask = io.BytesIO()
            Image.fromarray(trimap).save(mask, "PNG")
            annotations[f"annotations/trimaps/{name}.png"] = mask.getvalue()
            lists["trainval" if i <= 5 else "test"].append(f"{name} {number} {species} {number}")
    for part, lines in lists.items():
        annotations[f"annotations/{part}.txt"] = "\n".join(lines).encode()
    for name, members in (("images.tar.gz", images), ("annotations.tar.gz", annotations)):
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w:gz") as archive:
            for member, body in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
        made[name] = held.getvalue()
    held, random = io.BytesIO(), np.random.default_rng(0)
    parts = {"train": 18, "val": 9, "test": 9}
    arrays = {f"{part}_images": random.integers(0, 256, (n, 28, 28, 3), dtype=np.uint8) for part, n in parts.items()}
    arrays |= {f"{part}_labels": (np.arange(n) % 9).astype(np.uint8)[:, None] for part, n in parts.items()}
    np.savez(held, **arrays)
    return made | {"pathmnist.npz": held.getvalue()}


def _checkpoints() -> dict[str, bytes]:
    """torchvision's checkpoints under their true names, with their true shapes, each tensor one number repeated.

    A repeated number takes no room in the file, so a network of 40 million numbers is some hundred kilobytes here.
    """
    import torchvision

    made = {}
    for name in ("resnet50", *DETECTORS):
        more = {"weights_backbone": None} if name in DETECTORS else {}
        with torch.device("meta"):
            shapes = torchvision.models.get_model(name, weights=None, **more).state_dict()
        held = io.BytesIO()
        torch.save({k: torch.full((), 0.01).to(v.dtype).expand(v.shape) for k, v in shapes.items()}, held)
        made[torchvision.models.get_model_weights(name).DEFAULT.url.split("/")[-1]] = held.getvalue()
    return made


def _keras_weights(folder: Path) -> dict[str, bytes]:
    """Keras's ResNet50 under its true name, with its true shapes; here too each tensor is one number repeated."""
    import h5py
    import keras

    name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    with h5py.File(folder / name, "w") as file:
        layers = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3)).layers
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/{weight.name}:0".encode() for weight in layer.weights]
            for weight in layer.weights:
                path = f"{layer.name}/{weight.name}:0"
                group.create_dataset(path, weight.shape, "float32", chunks=tuple(weight.shape), fillvalue=0.01)
    return {name: (folder / name).read_bytes()}
