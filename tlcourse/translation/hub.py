"""`load_translator`: a translation model of a hub, to be used as it is, or fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse import hardware
from tlcourse.assets.hubs import check_profile
from tlcourse.chain import stages
from tlcourse.chain.translators import Pair
from tlcourse.errors import CourseError, whole_number
from tlcourse.features.finite import finite_outputs
from tlcourse.features.modes import evaluating, model_device
from tlcourse.models.huggingface import task_model
from tlcourse.training.history import History
from tlcourse.training.own_loss import fit_losses
from tlcourse.translation.subwords import checked_texts

NOT_ASKED = -100  # what cross_entropy leaves out
AT_ONCE = WIDEST = 32


class HubTranslator:
    """A translation model with its tokenizer.

    Arguments:
        model: a `MarianMTModel`; `stages(model)` are `embeddings`, `layer0`, ... (they read), `decoder0`, ... (they
            write), and `head`.
        tokenizer: its `MarianTokenizer`.
    """

    def __init__(self, model: nn.Module, tokenizer):
        self.model, self.tokenizer = model.eval(), tokenizer
        self.longest = min(int(model.config.max_position_embeddings), 512)

    def __repr__(self) -> str:
        return f"HubTranslator: {sum(p.numel() for p in self.model.parameters()) / 1e6:.0f} million parameters"

    def translate(self, texts: Sequence[str], *, beam: int = 4, most: int = 128) -> list[str]:
        """A translation of each text.

        Arguments:
            texts: strings, none empty, each of at most `.longest` pieces.
            beam: how many beginnings are kept, 1 to 32; 1 is greedy.
            most: pieces that a translation may have; longer ones are cut off.
        """
        whole_number("beam", beam), whole_number("most", most)
        if beam > WIDEST:
            raise CourseError(
                f"{beam=} will not do.",
                why="Each beginning takes the time and memory of a text more, and many make translations no better.",
                do=f"Choose a whole number from 1 to {WIDEST}; 4 is usual.",
            )
        texts, made = checked_texts(texts, blank=False), []
        ids = [self._pieces(texts[i : i + AT_ONCE]) for i in range(0, len(texts), AT_ONCE)]
        most = min(most, self.longest - 1)
        with evaluating(self.model), finite_outputs([self.model.lm_head]), torch.no_grad():
            for x, mask in ids:
                said = self.model.generate(input_ids=x, attention_mask=mask, num_beams=beam, max_new_tokens=most)
                made += self.tokenizer.batch_decode(said, skip_special_tokens=True)
        return made

    def fit(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        epochs: int = 1,
        lr: float = 2e-5,
        batch: int = 16,
        seed: int = 0,
        progress: bool | None = None,
    ) -> History:
        """Train what is not frozen of `.model`, in place, by teacher forcing.

        Arguments:
            sources, targets: texts and their translations, one for each.
            epochs, lr, batch, seed, progress: as in `fit`.
        """
        sources, targets = checked_texts(sources, blank=False), checked_texts(targets, blank=False)
        if len(sources) != len(targets):
            raise CourseError(
                f"There are {len(sources)} sources and {len(targets)} translations.",
                do="Pass one translation for each source, in the same order.",
            )
        (x, mask), (y, there) = self._pieces(sources), self._pieces(targets, target=True)
        first = torch.full_like(y[:, :1], self.model.config.decoder_start_token_id)
        given, wanted = torch.cat([first, y[:, :-1]], 1), y.masked_fill(there == 0, NOT_ASKED)
        chain = stages(self.model)

        def losses(index: torch.Tensor) -> dict[str, torch.Tensor]:
            i = index.to(x.device)
            s, t = int(mask[i].sum(1).max()), int(there[i].sum(1).max())
            scores = chain(Pair(x[i, :s], mask[i, :s], given[i, :t]))
            return {"next_piece": F.cross_entropy(scores.flatten(0, 1), wanted[i, :t].flatten())}

        return fit_losses(self.model, losses, len(x), epochs=epochs, lr=lr, batch=batch, seed=seed, progress=progress)

    def _pieces(self, texts: list[str], target: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        made = self.tokenizer(**{"text_target" if target else "text": texts}, padding=True, return_tensors="pt")
        ids, mask = made["input_ids"], made["attention_mask"]
        if ids.shape[1] > self.longest:
            i = int(mask.sum(1).argmax())
            raise CourseError(
                f"Text {i} has {int(mask[i].sum())} pieces; the model reads {self.longest}.",
                why="What comes after would be cut off, and its translation would be missing without a word.",
                do="Cut the text into sentences, and translate each.",
            )
        return ids.to(model_device(self.model)), mask.to(model_device(self.model))


def load_translator(name: str = "hf:Helsinki-NLP/opus-mt-en-fr") -> HubTranslator:
    """A Marian translation model of Hugging Face's hub; only in the full profile.

    Arguments:
        name: `"hf:Helsinki-NLP/opus-mt-en-fr"`, `"hf:Helsinki-NLP/opus-mt-zh-en"`, or another `opus-mt` model.

    Returns a `HubTranslator` on the course's `device()`. `freeze(translator.model, until="layer5")` keeps what reads as
    it is; `translator.fit(sources, targets)` trains the rest. Raises `CourseError` in the small profile, and when the
    model cannot be had or is of another family.

    >>> made = load_translator().translate(["Open the file"])  # doctest: +SKIP

    Junczys-Dowmunt et al. 2018 (Marian); Tiedemann and Thottingal 2020 (OPUS-MT); chapter 07-2.
    """
    name = str(name).removeprefix("hf:")
    check_profile(f"hf:{name}")
    model, tokenizer = task_model(name, "AutoModelForSeq2SeqLM", marian_only)
    return HubTranslator(model.to(hardware.device()), tokenizer)


def marian_only(config) -> None:
    """Raise for a model of another family, and where a package is missing that Marian reads with."""
    if config.model_type != "marian":
        raise CourseError(
            f"This is a {config.model_type} model; the course knows how Marian models translate.",
            do='Take one of the opus-mt models, e.g. "hf:Helsinki-NLP/opus-mt-en-fr".',
        )
    import sacremoses  # noqa: F401  without it the tokenizer goes on, and reads quotes otherwise than in its training
