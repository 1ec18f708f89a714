"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def describe() -> dict:
    """Processor, cores that this process may use, the instructions that matter to it, memory, system, Python."""
    facts = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
    flags = set(facts.get("flags", "").split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": cores,
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def in_words(facts: dict) -> str:
    """One line on a machine that `describe` described."""
    flags = ", ".join(facts["flags"]) or "unknown vector instructions"
    return (
        f"{facts['cpu']}, {facts['cores']} cores ({flags}), {facts['memory_gb']} GB, {facts['system']}, "
        f"Python {facts['python']}"
    )


def load_now() -> dict:
    """How busy the machine is: the load of the last minute, and the share of all cores that work just now."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {"load": round(load, 2), "busy": round(psutil.cpu_percent(interval=0.5) / 100, 2)}
