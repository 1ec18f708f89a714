"""Answering questions: a bot that finds the nearest question of a FAQ, and a reader that points at words of a text."""

from tlcourse.answering.baselines import first_name, nearest_sentence
from tlcourse.answering.bot import AnswerBot, Reply, sentence_vectors, word_vectors
from tlcourse.answering.hub import load_reader
from tlcourse.answering.reader import Readings, SpanHead, SpanReader, fit_reader
from tlcourse.answering.scores import (
    answer_f1,
    answered,
    choose_threshold,
    exact_match,
    normal_answer,
    recall_at,
    share,
)
from tlcourse.answering.spans import PairTransform, Places, best_spans, places
from tlcourse.answering.words import broken_words, checked_question

__all__ = [
    "AnswerBot",
    "PairTransform",
    "Places",
    "Readings",
    "Reply",
    "SpanHead",
    "SpanReader",
    "answer_f1",
    "answered",
    "best_spans",
    "broken_words",
    "checked_question",
    "choose_threshold",
    "exact_match",
    "first_name",
    "fit_reader",
    "load_reader",
    "nearest_sentence",
    "normal_answer",
    "places",
    "recall_at",
    "sentence_vectors",
    "share",
    "word_vectors",
]
