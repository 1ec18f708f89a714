"""Wrong answers to chapter 07-2's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _function(signature: str, *lines: str, start: str) -> str:
    return f"{start}\ndef {signature}:\n" + "".join(f"    {line}\n" for line in lines)


def _loss(*lines: str) -> str:
    start = "from torch.nn import functional as F\n\ndef ce(s, t, **k):\n    return F.cross_entropy(s.flatten(0, 1), "
    return _function("loss(model, tokens, ids)", *lines, start=start + "t.flatten(), **k)\n")


def _attend(*lines: str) -> str:
    return _function("attend(q, k, v, mask)", *lines, start="import torch\n")


def _leaks(*lines: str) -> str:
    return _function("leaks(train, test)", *lines, start="import re\n")


_EACH = (
    "scores, wanted = model(tokens, ids[:, :-1]), ids[:, 1:]",
    "each = ce(scores, wanted, reduction='none').view(wanted.shape)",
    "mask = (wanted != 0).float()",
)

FORCING = {
    "no shift": (_loss("return ce(model(tokens, ids), ids, ignore_index=0)"), "only has to copy"),
    "half a shift": (_loss("return ce(model(tokens, ids[:, :-1]), ids[:, :-1], ignore_index=0)"), "to be shifted"),
    "the wrong way": (_loss("return ce(model(tokens, ids[:, 1:]), ids[:, :-1], ignore_index=0)"), "Turned round"),
    "padding": (_loss("return ce(model(tokens, ids[:, :-1]), ids[:, 1:])"), "Padding counts as if"),
    "divided by padding": (_loss(*_EACH, "return (each * mask).sum() / mask.numel()"), "it still counts"),
    "by translation": (_loss(*_EACH, "return ((each * mask).sum(1) / mask.sum(1)).mean()"), "averaged within each"),
    "no end": (
        _loss(*_EACH, "mask = mask * (wanted != 2)", "return (each * mask).sum() / mask.sum()"),
        "never learn to stop",
    ),
    "a sum": (_loss(*_EACH, "return (each * mask).sum()"), "sum over the pieces"),
    "by texts": (_loss(*_EACH, "return (each * mask).sum() / len(ids)"), "divided by the translations"),
    "two softmaxes": (
        _loss("return ce(model(tokens, ids[:, :-1]).softmax(2), ids[:, 1:], ignore_index=0)"),
        "made it twice",
    ),
    "the sign": (_loss("return -ce(model(tokens, ids[:, :-1]), ids[:, 1:], ignore_index=0)"), "The sign is turned"),
    "a float": (
        _loss("return ce(model(tokens, ids[:, :-1]), ids[:, 1:], ignore_index=0).item()"),
        "no gradient flows",
    ),
    "padding filled in": (
        _loss("ids[ids == 0] = -100", "return ids.float().mean()"),
        "changed the pieces",
    ),
    "one for each": (_loss(*_EACH, "return each"), "as one number"),
}

_SCORES = "s = q @ k.transpose(1, 2) / q.shape[2] ** 0.5"
_DEAD = "s = s.masked_fill(mask[:, None] == 0, float('-inf'))"
_SEEN = "return s.softmax(2) @ v"

LOOK = {
    "no root": (_attend("s = q @ k.transpose(1, 2)", _DEAD, _SEEN), "division by the root"),
    "no root at all": (_attend("s = q @ k.transpose(1, 2) / q.shape[2]", _DEAD, _SEEN), "Divide by its *root*"),
    "no mask": (_attend(_SCORES, _SEEN), "does nothing in your answer"),
    "the mask afterwards": (_attend(_SCORES, "return (s.softmax(2) * mask[:, None]) @ v"), "after the softmax"),
    "nought": (_attend(_SCORES, "s = s.masked_fill(mask[:, None] == 0, 0.0)", _SEEN), "nought is not no weight"),
    "times the mask": (_attend(_SCORES, "s = s * mask[:, None]", _SEEN), "nought is not no weight"),
    "the other axis": (_attend(_SCORES, _DEAD, "return s.softmax(1).nan_to_num(0.0) @ v"), "the pieces that look"),
    "the texts": (_attend(_SCORES, _DEAD, "return s.softmax(0) @ v"), "the texts of the batch"),
    "added": (
        _attend(
            "from torch.nn.functional import scaled_dot_product_attention as see",
            "return see(q, k, v, mask[:, None].float())",
        ),
        "*added* to the scores",
    ),
    "the mask turned round": (
        _attend(
            _SCORES, "s = s.masked_fill(mask[:, None] == 1, float('-inf'))", "return s.softmax(2).nan_to_num() @ v"
        ),
        "turned round",
    ),
    "keys": (_attend(_SCORES, _DEAD, "return s.softmax(2) @ k"), "not the keys"),
    "no softmax": (_attend(_SCORES, "return s.masked_fill(mask[:, None] == 0, 0.0) @ v"), "no softmax"),
    "weights": (_attend(_SCORES, _DEAD, "return s.softmax(2)"), "These are the weights"),
    "NaN": (_attend(_SCORES, _DEAD, "return s.softmax(1) @ v"), "yours is NaN"),
    "two": (_attend(_SCORES, _DEAD, "return s.softmax(2) @ v, s.softmax(2)"), "Return one tensor"),
    "in place": (_attend("q /= q.shape[2] ** 0.5", "s = q @ k.transpose(1, 2)", _DEAD, _SEEN), "changed what it was"),
}  # fmt: skip

_PLACES = "return [i for i, t in enumerate(test) if key(t) and key(t) in seen]"
_KEY = "key = lambda s: ''.join(c for c in re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s.lower()) if c.isalpha())"
_SEEN_KEYS = "seen = {key(t) for t in train}"


def _with_key(code: str, last: str = _PLACES) -> str:
    return _leaks(f"key = lambda s: {code}", _SEEN_KEYS, last)


LEAKS = {
    "exactly equal": (_leaks("return [i for i, t in enumerate(test) if t in train]"), "exactly equal were found"),
    "capitals only": (_with_key("re.sub(r'%\\d', '', s.lower()).strip()"), "Signs make no other string"),
    "capitals kept": (_with_key("re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>|\\W|\\d', '', s)"), "Capitals make no other"),
    "markup kept": (
        _with_key("''.join(c for c in re.sub(r'%\\d|\\{[^{}]*\\}', '', s.lower()) if c.isalpha())"),
        "Markup is no text",
    ),
    "names kept": (
        _with_key("''.join(c for c in re.sub(r'%\\d|<[^<>]*>', '', s.lower()) if c.isalpha())"),
        "part of the placeholder",
    ),
    "digits kept": (
        _with_key("''.join(c for c in re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s.lower()) if c.isalnum())"),
        "Digits make no other",
    ),
    "nothing is like nothing": (
        _leaks(_KEY, _SEEN_KEYS, "return [i for i, t in enumerate(test) if key(t) in seen]"),
        "no letter",
    ),
    "inside": (
        _leaks(_KEY, _SEEN_KEYS, "return [i for i, t in enumerate(test) if any(k and k in key(t) for k in seen)]"),
        "another word",
    ),
    "the beginning": (
        _leaks(_KEY, _SEEN_KEYS, "hit = lambda t: any(k and key(t).startswith(k) for k in seen)",
               "return [i for i, t in enumerate(test) if key(t) and hit(t)]"),
        "begins like",
    ),
    "a to z": (
        _with_key("re.sub('[^a-z]', '', re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s.lower()))"),
        "not only a to z",
    ),
    "from the first brace to the last": (
        _with_key("''.join(c for c in re.sub(r'%\\d|\\{.*\\}|<[^<>]*>', '', s.lower()) if c.isalpha())"),
        "Take each out by itself",
    ),
    "one tag only": (
        _with_key("''.join(c for c in re.sub(r'%\\d|\\{[^{}]*\\}|</?b>', '', s.lower()) if c.isalpha())"),
        "any name may stand",
    ),
    "spaces kept": (
        _with_key("' '.join(re.findall(r'[^\\W\\d_]+', re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s.lower())))"),
        "A space is no letter",
    ),
    "words in any order": (
        _with_key("''.join(sorted(re.findall(r'[^\\W\\d_]+', re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s.lower()))))"),
        "keep the order",
    ),
    "letters in any order": (
        _with_key("''.join(sorted(c for c in re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s.lower()) if c.isalpha()))"),
        "keep the order",
    ),
    "strings": (_leaks(_KEY, _SEEN_KEYS, "return [t for t in test if key(t) in seen]"), "These are strings"),
    "true or false": (_leaks(_KEY, _SEEN_KEYS, "return [bool(key(t)) and key(t) in seen for t in test]"), "True or"),
    "twice": (
        _leaks(_KEY, "return [i for i, t in enumerate(test) for u in train + train if key(t) and key(t) == key(u)]"),
        "named twice",
    ),
    "in place": (_leaks("test.sort()", "return [0]"), "changed the lists"),
}  # fmt: skip
