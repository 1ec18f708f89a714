"""What chapter 07-1 loads: topics as a split, ratings beside the texts, and features of odd texts."""

from __future__ import annotations

import pytest
import torch

from tlcourse import CourseError, UnknownName, extract, load, load_dataset, rated_texts, support_faq, support_topics
from tlcourse.assets.catalogue import choose
from tlcourse.datasets import Split

ODD = (
    "😀😀",
    "<b>not</b> <script>good</script>",
    "good " * 1000,
    "Der Film war nicht gut.",
    "这部电影不好看",
    "a\nb\tc",
    "?!",
)


def test_topics_are_the_questions_of_the_faq_in_its_order():
    topics, entries = support_topics(), support_faq().entries
    assert topics.x == tuple(entry.question for entry in entries) and len(set(topics.ids)) == len(topics) == 407
    assert [topics.classes[c] for c in topics.y] == [entry.topic for entry in entries]
    assert max(topics.counts().values()) / len(topics) == pytest.approx(260 / 407)
    assert support_topics().fingerprint == topics.fingerprint


@pytest.mark.parametrize("domain", ["movie", "product", "tweet", "news"])
def test_ratings_belong_to_the_texts_of_the_splits(domain):
    rated = {one.id: one for one in rated_texts(domain)}
    held = set()
    for split in load_dataset("sentiment", domain=domain).splits:
        for i in range(0, len(split), 37):
            one = rated[split.ids[i]]
            assert one.text == split.x[i] and (one.rating > 0) == bool(split.y[i]) and 0.5 < abs(one.rating) <= 4
        held |= set(split.ids)
    left = [one for one in rated.values() if one.id not in held]
    assert left and all(abs(one.rating) <= 0.5 or not any(c.isalnum() for c in one.text) for one in left)


@pytest.mark.parametrize("domain", ["movies", "", None, 3, ["movie"]])
def test_another_domain_is_told(domain):
    with pytest.raises(UnknownName, match="movie"):
        rated_texts(domain)
    with pytest.raises(UnknownName, match="movie"):
        load_dataset("sentiment", domain=domain)


def test_fetching_the_chapter_brings_what_it_loads():
    assert {"minilm", "sentiment", "support-faq"} <= {asset.name for asset in choose(chapter="07-1")}
    assert {"sentiment", "support-faq"} <= {asset.name for asset in choose(chapter="07-1-text-classification")}


def test_odd_texts_get_features_and_a_share_for_each_class():
    texts = (*ODD, "", "   ")
    data = Split("odd", "text", texts, torch.zeros(len(texts), dtype=torch.long), ("no", "yes"), texts)
    model = load("minilm", classes=data.classes)
    found = extract(model, data, cache=False)
    assert found.x.isfinite().all() and len(found) == len(texts)
    with torch.no_grad():
        shares = model.head(found.x).softmax(1)
    assert torch.allclose(shares.sum(1), torch.ones(len(texts)), atol=1e-5)


def test_spam_is_refused_in_the_small_profile_with_all_that_is_to_be_typed(monkeypatch):
    monkeypatch.delenv("TLCOURSE_PROFILE", raising=False)
    with pytest.raises(CourseError, match=r"fetch --profile full sms-spam[\s\S]*TLCOURSE_PROFILE=full"):
        load_dataset("sms-spam")


def test_a_number_among_texts_is_named_by_its_type():
    model = load("minilm", classes=2)
    with pytest.raises(CourseError, match="of type int stands where a text belongs"):
        model.transform(["good", 3])
