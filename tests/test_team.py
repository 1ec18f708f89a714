"""Two processes that share each batch, under Accelerate, train to the same figures and weights as one."""

from __future__ import annotations

import os
import subprocess
import sys

import _team
import pytest
import torch

from tlcourse import CourseError, fit
from tlcourse.training import step as steps
from tlcourse.training.team import Team

pytest.importorskip("accelerate")
CASES = [(make.__name__, keep) for make in _team.RUNS for keep in (None, False)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes and what one found; they share no cache of features."""
    folder = tmp_path_factory.mktemp("team")
    environment = {
        "TLCOURSE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo",
        "CUDA_VISIBLE_DEVICES": "",  # two processes cannot share a machine's only GPU
    }  # fmt: skip
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", _team.__file__, str(folder)]
    done = subprocess.run(
        [sys.executable, *command], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLCOURSE_HOME", str(folder / "alone"))
        _team.WRITES.clear()
        one = _team.everything(folder)
    return two, one, folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo on the loopback device")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}, {'kept' if case[1] is None else 'not kept'}")
def test_two_processes_find_what_one_finds(found, case):
    (first, second), one, _ = found
    a, b, alone = first[case], second[case], one[case]
    assert a["rows"] == b["rows"] and a["score"] == b["score"], "the processes do not agree"
    for name, tensor in a["weights"].items():
        assert torch.equal(tensor, b["weights"][name]), f"the processes end with other weights: {name}"
    if case[0] == "batchnorm":
        return
    for row, same in zip(a["rows"], alone["rows"], strict=True):
        assert row.keys() == same.keys()
        for figure, value in row.items():
            assert value == pytest.approx(same[figure], abs=1e-5), figure
    for name, tensor in a["weights"].items():
        assert torch.allclose(tensor, alone["weights"][name], atol=1e-5), name
    assert a["score"] == pytest.approx(alone["score"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo on the loopback device")
def test_one_process_computes_and_writes_for_all(found):
    (first, second), one, folder = found
    # two epochs each, with and without kept features; the second run of each goes on from the file
    assert first["writes"] == one["writes"] == 4 and second["writes"] == 0
    assert all(ranks["checkpointed", None]["resumed"] == 2 for ranks in (first, second, one))
    assert 3 <= len(first["early", None]["rows"]) < 30, "it was not stopped early"
    assert sum("Kept at" in first[case]["keeping"] for case in CASES) >= 3 and not list(folder.rglob("*.part"))
    assert "computed once" in first["inner", None]["keeping"] and "read from" in second["inner", None]["keeping"]


def test_shares_cover_a_batch_once():
    index = torch.arange(7)
    shares = []
    for rank in range(3):
        team = Team(torch.device("cpu"))
        team.size, team.rank = 3, rank
        shares.append(team.share(index))
    assert torch.equal(torch.cat(shares), index) and [len(s) for s in shares] == [3, 2, 2]


def test_several_processes_without_accelerate_are_told_what_to_install(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(CourseError, match="pip install accelerate"):
        fit(_team.plain_net(), _team.images(8), epochs=1)


def test_a_share_that_does_not_fit_the_memory_is_not_begun_anew(monkeypatch, tmp_path):
    """The others wait for this process's gradients: if it began anew, they would wait for ever."""
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    begin = steps.Step.__init__

    def of_two(self, *arguments):
        begin(self, *arguments)
        self.team.size = 2

    monkeypatch.setattr(steps.Step, "__init__", of_two)
    calls = []

    def loss(logits, labels):
        calls.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(CourseError, match=r"this process's share(.|\n)*smaller batch="):
        fit(_team.plain_net(), _team.images(20), epochs=1, batch=10, loss=loss)
    assert len(calls) == 1
