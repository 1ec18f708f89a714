"""Several tasks on one backbone: a chain that forks at its end, and how the tasks' losses are weighed."""

from tlcourse.multitask.evaluation import evaluate_tasks, task_outputs
from tlcourse.multitask.gradnorm import GradNorm
from tlcourse.multitask.history import TaskHistory
from tlcourse.multitask.labels import TaskData
from tlcourse.multitask.network import MultiTask
from tlcourse.multitask.pcgrad import PCGrad
from tlcourse.multitask.sharing import shared_cost
from tlcourse.multitask.similarity import cosines, gradient_similarity
from tlcourse.multitask.training import WEIGHTINGS, fit_tasks
from tlcourse.multitask.weighting import DWA, Equal, Uncertainty

__all__ = [
    "DWA",
    "WEIGHTINGS",
    "Equal",
    "GradNorm",
    "MultiTask",
    "PCGrad",
    "TaskData",
    "TaskHistory",
    "Uncertainty",
    "cosines",
    "evaluate_tasks",
    "fit_tasks",
    "gradient_similarity",
    "shared_cost",
    "task_outputs",
]
