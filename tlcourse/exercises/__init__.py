"""Exercises that look at behaviour, quizzes whose every choice is explained, and where the learner stands."""

from tlcourse.exercises.registry import exercise, progress, quiz

__all__ = ["exercise", "progress", "quiz"]
