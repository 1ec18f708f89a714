"""Wrong answers to chapter 07-1's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _tfidf(*, tf="t.count(w)", n="sum(w in t for t in known)", idf="math.log(N / n(w))", N="len(known)",
           known="[t.lower().split() for t in train]", words="sorted({w for t in known for w in t})",
           asked="[t.lower().split() for t in texts]", end="return torch.tensor(table)") -> str:  # fmt: skip
    lines = (
        f"known, asked = {known}, {asked}", f"words, N = {words}, {N}", f"n = lambda w: {n}", f"idf = lambda w: {idf}",
        f"table = [[{tf} * idf(w) for w in words] for t in asked]", end,
    )  # fmt: skip
    return "import math\nimport re\nimport torch\n\ndef tfidf(train, texts):\n" + "".join(
        f"    {line}\n" for line in lines
    )


def _vectorizer(options: str) -> str:
    return (
        "from sklearn.feature_extraction.text import TfidfVectorizer\n\ndef tfidf(train, texts):\n"
        f"    return TfidfVectorizer({options}).fit(train).transform(texts)\n"
    )


def _folds(*lines: str) -> str:
    head = "import torch\n\ndef folds(y, k):\n    n = len(y)\n"
    return head + "".join(f"    {line}\n" for line in lines)


def _error(*, take="abs(confidence[m].mean() - right[m].mean())", weight="m.sum()", end="return total / len(right)",
           part="(confidence * bins).long().clamp(max=bins - 1)", skip="if not m.any(): continue",
           parts="bins") -> str:  # fmt: skip
    return (
        "import torch\n\ndef calibration_error(confidence, right, bins):\n"
        f"    right, total, parts = right.float(), 0.0, 0\n    part = {part}\n"
        f"    for i in range({parts}):\n        m = part == i\n        {skip}\n        parts += 1\n"
        f"        total = total + {weight} * {take}\n    {end}\n"
    )


_BOTH = "[t.lower().split() for t in train + texts]"

WEIGHTS = {
    "counts": (_tfidf(idf="1.0"), "plain counts"),
    "once": (_tfidf(tf="(w in t)"), "counts twice"),
    "share of the text": (_tfidf(tf="t.count(w) / len(t)"), "length of the text"),
    "weights of the test": (_tfidf(n="max(1, sum(w in t for t in asked))", N="len(asked)"), "*asked about*"),
    "weights of both": (_tfidf(n="sum(w in t for t in known + asked)", N="len(known + asked)"), "together"),
    "columns of both": (_tfidf(known=_BOTH), "columns and weights"),
    "occurrences": (_tfidf(n="sum(t.count(w) for t in known)"), "how *often*"),
    "all words": (_tfidf(n="sum(t.count(w) for t in known)", N="sum(map(len, known))"), "words instead of texts"),
    "no logarithm": (_tfidf(idf="N / n(w)"), "logarithm is missing"),
    "upside down": (_tfidf(idf="math.log(n(w) / N)"), "not n / N"),
    "smoothed": (_tfidf(idf="math.log((1 + N) / (1 + n(w))) + 1"), "smoothed"),
    "capitals": (_tfidf(known="[t.split() for t in train]", asked="[t.split() for t in texts]"), ".lower()"),
    "as met": (_tfidf(words="list(dict.fromkeys(w for t in known for w in t))"), "alphabetical"),
    "length one": (
        _tfidf(end="return torch.nn.functional.normalize(torch.tensor(table), dim=1)"),
        "the length one",
    ),
    "on its side": (_tfidf(end="return torch.tensor(table).T"), "on its side"),
    "base ten": (_tfidf(idf="math.log10(N / n(w))"), "another base"),
    "half": (_tfidf(idf="math.log(N / n(w)) / 2"), "it should be"),
    "capitals of texts": (_tfidf(asked="[t.split() for t in texts]"), "`.lower()` for `texts`"),
    "capitals of train": (_tfidf(known="[t.split() for t in train]", n="max(1, sum(w in t for t in known))"),
                          "`.lower()` for `train`"),
    "letters": (_tfidf(tf="' '.join(t).count(w)", n="sum(w in ' '.join(t) for t in known)"), "inside *cast*"),
    "one more": (_tfidf(idf="math.log(N / (1 + n(w)))"), "add one somewhere"),
    "log of counts": (_tfidf(tf="math.log(1 + t.count(w))"), "logarithm of the counts"),
    "without marks": (_tfidf(known="[re.findall(r'\\w+', t.lower()) for t in train]",
                             asked="[re.findall(r'\\w+', t.lower()) for t in texts]"), "marks and all"),
    "one text list": (_tfidf(end="return torch.tensor(table)[:4, :9] if len(known) == 5 else torch.zeros(1, 2)"),
                      "any two lists"),
    "vectorizer": (_vectorizer(""), "token_pattern"),
    "vectorizer, all words": (_vectorizer("token_pattern=r'\\S+'"), "as scikit-learn sets it"),
}  # fmt: skip

_DEAL = (
    "for c in y.unique():",
    "    places = (y == c).nonzero().flatten()",
    "    fold[places] = torch.randperm(len(places)) % k",
    "return fold",
)
_SKLEARN = (
    "import warnings",
    "from sklearn.model_selection import StratifiedKFold",
    "warnings.simplefilter('ignore')",
    "split = StratifiedKFold(k, shuffle=True).split(y, y)",
)

FOLDS = {
    "one by one": (_folds("return torch.randint(k, (n,))"), "nor are the folds of equal size"),
    "shuffled only": (_folds("return (torch.arange(n) % k)[torch.randperm(n)]"), "of equal size, but"),
    "in the file's order": (_folds("return torch.arange(n) % k"), "order of the file"),
    "neighbours": (_folds("return torch.arange(n) * k // n"), "runs of neighbours"),
    "by class": (_folds("return y % k"), "fold of its own"),
    "one fold less": (_folds("return torch.randint(k - 1, (n,))"), "folds have items"),
    "from one": (_folds("return torch.arange(n) % k + 1"), "number them from 0"),
    "not random": (
        _folds(
            "fold = torch.zeros(n, dtype=torch.long)",
            "for c in y.unique(): fold[y == c] = torch.arange(int((y == c).sum())) % k",
            "return fold",
        ),
        "same at each call",
    ),
    "lists of places": (_folds("return list(torch.randperm(n).chunk(k))"), "Lists of items"),
    "test or not": (_folds("return torch.rand(n) < 1 / k"), "True and False"),
    "class by class": (
        _folds("return torch.cat([torch.randperm(int((y == c).sum())) % k for c in y.unique()])"),
        "lay class by class",
    ),
    "shuffled, not put back": (
        _folds("fold, y = torch.zeros(n).long(), y[torch.randperm(n)]", *_DEAL),
        "sizes that they should have",
    ),
    "shuffled by scikit-learn": (
        _folds(
            "y = y[torch.randperm(n)]",
            *_SKLEARN,
            "fold = torch.zeros(n).long()",
            "for i, (_, test) in enumerate(split): fold[test] = i",
            "return fold",
        ),
        "also if you shuffled",
    ),
    "only the number is drawn": (
        _folds(
            "fold = torch.zeros(n, dtype=torch.long)",
            "for c in y.unique(): fold[y == c] = torch.randperm(k)[torch.arange(int((y == c).sum())) % k]",
            "return fold",
        ),
        "only its number is drawn",
    ),
    "a generator": (_folds(*_SKLEARN, "return split"), "Pairs of places"),
    "one after the other": (
        _folds(*_SKLEARN, "return torch.cat([torch.tensor(test) for _, test in split])"),
        "Places of items",
    ),
    "one a class": (_folds("return torch.arange(len(y.unique())) % k"), "came back: a fold"),
}

CALIBRATION = {
    "mean of parts": (_error(weight="1", end="return total / parts"), "over the parts"),
    "mean of all parts": (_error(weight="1", end="return total / bins"), "the empty ones too"),
    "signed": (_error(take="(confidence[m].mean() - right[m].mean())"), "distance in *each part*"),
    "signed and turned": (_error(take="(right[m].mean() - confidence[m].mean())"), "minus confidence"),
    "squares": (_error(take="(confidence[m].mean() - right[m].mean()) ** 2"), "squared"),
    "the largest": (
        _error(weight="0", take="1", end="return max(abs(confidence[part == i].mean() - right[part == i].mean())"
               " for i in part.unique())"),
        "largest distance",
    ),
    "middles": (_error(take="abs((i + 0.5) / bins - right[m].mean())"), "middle of each part"),
    "each item": (_error(end="return (confidence - right).abs().mean()"), "for each *item*"),
    "as a whole": (_error(end="return (confidence.mean() - right.mean()).abs()"), "means of everything"),
    "not divided": (_error(end="return total"), "did not divide"),
    "accuracy": (_error(end="return right.mean()"), "plays no part"),
    "equally many": (
        _error(part="torch.zeros(len(right)).long()", skip="m = torch.zeros(len(right)).bool(); m[confidence.argsort()"
               "[i * len(right) // bins : (i + 1) * len(right) // bins]] = True\n        if not m.any(): continue"),
        "equal *width*",
    ),
    "rounded": (_error(part="(confidence * bins).round().long().clamp(max=bins - 1)"), "nearest border"),
    "rounded up": (_error(part="(confidence * bins).ceil().long()"), "rounding up"),
    "one part less": (_error(part="(confidence * (bins - 1)).long().clamp(max=bins - 2)"), "into bins - 1"),
    "last two merged": (_error(part="(confidence * bins).long().clamp(max=bins - 2)"), "two last parts"),
    "one part more": (_error(part="(confidence * (bins + 1)).long().clamp(max=bins)", parts="bins + 1"), "bins + 1"),
    "twice as many": (
        _error(part="(confidence * 2 * bins).long().clamp(max=2 * bins - 1)", parts="2 * bins"), "twice as many"
    ),
    "moved by a fifth": (_error(part="(confidence * bins + 0.2).long().clamp(max=bins - 1)"), "are moved"),
    "always ten": (_error(part="(confidence * 10).long().clamp(max=9)", parts="10"), "other `bins`"),
    "from one half": (_error(part="((confidence - 0.5) * 2 * bins).long().clamp(0, bins - 1)"), "from 0.5 to 1"),
    "from lowest to highest": (
        _error(part="((confidence - confidence.min()) / (confidence.max() - confidence.min()) * bins).long()"
               ".clamp(max=bins - 1)"),
        "lowest to the highest",
    ),
    "root of squares": (
        _error(take="(confidence[m].mean() - right[m].mean()) ** 2", end="return (total / len(right)) ** 0.5"),
        "root of the mean",
    ),
    "percent": (_error(end="return 100 * total / len(right)"), "in percent"),
    "Brier": (_error(end="return ((confidence - right) ** 2).mean()"), "Brier"),
    "medians": (_error(take="abs(confidence[m].median() - right[m].mean())"), "it should be"),
    "empty parts": (_error(skip="pass"), "NaN"),
    "the one is lost": (_error(part="(confidence * bins).long()"), "exactly on a border"),
}  # fmt: skip
