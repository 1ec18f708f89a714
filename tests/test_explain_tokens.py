"""Words' shares of a score: completeness, the right words, and a model that stays exactly as it was."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from small_nets import CLASSES, Letters, image_net, text_net
from test_explain_gradcam import same, trace
from torch import nn

from tlcourse import CourseError, UnknownName, freeze, plots, stages, token_attribution
from tlcourse.explain import TokenAttribution
from tlcourse.models import TextTransform, Tokens

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dull", "good", "film", "won", "##der", "##ful", ".", ","]
TEXT = "A wonderful , dull film ."


@cache
def tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")


class Cut(Letters):
    """A transform that does not use the tokenizer that it has."""

    @property
    def tokenizer(self):
        return tokenizer()


def net(seed=0, most=24, strong=30.0) -> nn.Module:
    """A small text classifier whose score is far from linear."""
    model = text_net(seed)
    with torch.no_grad():
        for name, p in model.encoder.named_parameters():
            p.mul_(strong if p.ndim > 1 and "embeddings" not in name else 1)
        model.head.weight.mul_(10)
    model.transform, model.classes = TextTransform(tokenizer(), max_length=most), CLASSES
    return model


def written_out(model, text, target, steps) -> torch.Tensor:
    """Integrated gradients by the trapezoid rule, in plain torch: what each token adds."""
    chain = list(stages(model).children())
    tokens = model.transform([text])
    ids = tokens.x.clone()
    ids[:, 1:-1] = tokenizer().pad_token_id
    x, b = (chain[0](Tokens(i, tokens.mask)).x.detach() for i in (tokens.x, ids))
    total = torch.zeros_like(x)
    for k in range(steps + 1):
        at = (b + k / steps * (x - b)).requires_grad_()
        y = Tokens(at, tokens.mask)
        for stage in chain[1:]:
            y = stage(y)
        (slope,) = torch.autograd.grad(y[0, target], at)
        total += slope * (0.5 if k in (0, steps) else 1) / steps
    return ((x - b) * total).sum(2)[0]


def test_it_is_the_integral_written_out():
    model = net()
    made, tokens = token_attribution(model, TEXT, 1, steps=64), written_out(model, TEXT, 1, 600)
    pieces = [(1,), (2, 3, 4), (5,), (6,), (7,), (8,)]  # of a, won ##der ##ful, the comma, ...
    expected = [float(sum(tokens[i] for i in word)) for word in pieces]
    assert made.words == ("A", "wonderful", ",", "dull", "film", ".")
    assert made.values == pytest.approx(expected, abs=5e-3)
    assert float(tokens[0]) == float(tokens[-1]) == 0  # the tokens around the text stay in the blank one


def test_completeness_the_words_share_out_the_whole_score():
    model = net()
    blank = model.transform([TEXT])
    whole = model(blank)[0, 1].item()
    blank.x[:, 1:-1] = 0
    gaps = []
    for steps in (2, 5, 20, 80):
        made = token_attribution(model, TEXT, "light", steps=steps)
        assert (made.score, made.baseline) == pytest.approx((whole, model(blank)[0, 1].item()), abs=1e-5)
        assert made.gap == pytest.approx(abs(sum(made.values) - (made.score - made.baseline)), abs=1e-6)
        gaps.append(made.gap)
    assert abs(made.score - made.baseline) > 0.1  # there is something to share out
    assert gaps[0] > 10 * gaps[2] > 100 * gaps[3] and gaps[3] < 1e-3 * abs(made.score - made.baseline), gaps


def test_a_network_without_bends_is_complete_at_two_steps():
    model = net()
    linear = nn.Sequential(*list(stages(model).children())[:1], _Middle(model.encoder.config.hidden_size))
    linear.transform = model.transform
    made = token_attribution(linear, TEXT, 0, steps=2)
    assert made.gap < 1e-5 and abs(made.score - made.baseline) > 1e-3


class _Middle(nn.Module):
    """A mean over the places and one linear layer: `Tokens` -> scores."""

    def __init__(self, width):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(width, 2)

    def forward(self, tokens):
        return self.linear(tokens.x.mean(1))


@pytest.mark.parametrize("how", ["eval", "train", "frozen", "with gradients", "no_grad", "inference_mode"])
def test_the_model_stays_exactly_as_it_was(how):
    model, expected = net(), token_attribution(net(), TEXT, 1, steps=8).values
    if how == "train":
        model.train()
        model.encoder.encoder.layer[1].eval()
    elif how == "frozen":
        freeze(model)
    elif how == "with gradients":
        model(model.transform([TEXT])).sum().backward()
    before = trace(model)
    with {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}.get(how, torch.enable_grad)():
        made = token_attribution(model, TEXT, 1, steps=8)
    assert same(before, trace(model))
    assert made.values == pytest.approx(expected, abs=1e-6)  # frozen or not, dropout on or off


def test_the_words_of_a_text_with_gaps_and_capitals_are_its_own():
    made = token_attribution(net(), "  GOOD\n\tfilm.  wonderful ", 1, steps=4)
    assert made.words == ("GOOD", "film.", "wonderful")  # the full stop is a token of its own, and no word
    assert token_attribution(net(), "good", 1, steps=4).words == ("good",)


def test_a_text_that_is_longer_than_what_the_model_reads():
    made = token_attribution(net(most=6), "good film . dull film , a good film", 1, steps=8)
    assert made.words == ("good", "film", ".", "dull")
    assert made.notes == ("The model reads the first 4 of 9 words; the rest does not count.",)
    assert made.gap == pytest.approx(abs(sum(made.values) - made.score + made.baseline), abs=1e-6)


def test_other_classes_have_other_words():
    first, second = (token_attribution(net(), TEXT, c, steps=8) for c in ("dark", "light"))
    assert first.target == "dark" and second.target == "light" and first.values != second.values
    with pytest.raises(UnknownName, match="light"):
        token_attribution(net(), TEXT, "lihgt")


@pytest.mark.parametrize(
    ("model", "text", "target", "options", "says"),
    [
        (net(), TEXT, 2, {}, "There is no class 2"),
        (net(), " \n", 0, {}, "empty"),
        (net(), None, 0, {}, "A text is needed"),
        (net(), ["good", "dull"], 0, {}, "One is needed"),
        (net(), TEXT, 0, {"steps": 1}, "steps=1"),
        (net(), TEXT, 0, {"steps": 2.5}, "steps=2.5"),
        (image_net(), TEXT, 0, {}, "no tokenizer"),
        (net(), TEXT, 0, {"transform": Letters()}, "no tokenizer"),
        (net(most=60), "good " * 50, 0, {}, "positions for 32"),
        (net(), "\u200b", 0, {}, "no word"),
        (net(), TEXT, 0, {"transform": Cut()}, "other tokens of the text"),
    ],
)
def test_what_it_refuses(model, text, target, options, says):
    with pytest.raises(CourseError, match=says):
        token_attribution(model, text, target, **options)


def test_a_model_without_a_head_and_one_that_diverged():
    from tlcourse.models import TextClassifier

    bare = TextClassifier(text_net().encoder)
    bare.transform = net().transform
    with pytest.raises(CourseError, match="no head"):
        token_attribution(bare, TEXT, 0, steps=2)
    broken = net()
    with torch.no_grad():
        broken.head.weight.fill_(torch.nan)
    with pytest.raises(CourseError, match="not numbers"):
        token_attribution(broken, TEXT, 0, steps=2)


def made(gap=0.0, values=(0.5, -1.25)) -> TokenAttribution:
    return TokenAttribution("<b>So</b> dull", ((0, 9), (10, 14)), values, "bad & worse", 0.25, 1.0, gap, 7)


def test_what_a_reader_sees_is_text_and_escaped():
    html = made()._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;So&lt;/b&gt;" in html and "bad &amp; worse" in html
    assert "+0.50" in html and "−1.25" in html and "−" * 20 in html and "color" not in html
    assert str(made()) == "bad & worse: score 0.25, 0.75 below that of a blank text. “<b>So</b>” +0.50, “dull” −1.25."
    assert made().to_frame().to_dict("list") == {"word": ["<b>So</b>", "dull"], "value": [0.5, -1.25]}
    assert "“dull” +0.00" in str(made(values=(0.0, -0.001)))


def test_a_gap_that_matters_is_told():
    assert "miss" not in repr(made(gap=0.03)) and "take more steps than 7" in repr(made(gap=0.05))


def test_the_figure_tells_the_same_in_words():
    plot = plots.tokens(made())
    assert plot.alt == "bad & worse: score 0.25, 0.75 below that of a blank text. “<b>So</b>” +0.50, “dull” −1.25."
    (ax,) = plot.figure.axes
    texts = [t.get_text() for t in (*ax.texts, *ax.get_yticklabels())]
    assert "<b>So</b>" in texts and "+0.50" in texts and "−1.25" in texts
    with pytest.raises(CourseError, match="token_attribution"):
        plots.tokens("good")
