"""What every test shares: no hub, no screen, no surprise in the number of threads; and where the repository lies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# Before anything imports torch, transformers, matplotlib or keras. A person's own choice wins.
for name, value in {
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "KERAS_BACKEND": "torch",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # as in `tlcourse lab`
}.items():
    os.environ.setdefault(name, value)

# What is started in the background is told to hear no interrupt; tests that press Ctrl+C want to be heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no failure; and what a test says does not depend on luck.
hypothesis.settings.register_profile("course", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("course")


@pytest.fixture(scope="module", autouse=True)
def computes_on():
    """On the processor, with the same bits everywhere; `test_on_a_gpu.py` compares a GPU with it."""
    with pytest.MonkeyPatch.context() as patch:
        if "TLCOURSE_DEVICE" not in os.environ:
            patch.setenv("TLCOURSE_DEVICE", "cpu")
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent
