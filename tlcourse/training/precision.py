"""In which precision a batch is computed: what the hardware really supports."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from tlcourse.errors import CourseError, UnknownName

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


class Precision:
    """A choice of precision for a device: `autocast()` around the forward pass, `backward(loss)`, `step(optimizer)`.

    Arguments:
        name: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`. Automatic is float32 on a processor and on MPS; on a
            CUDA GPU bfloat16 where the hardware has it, else float16 with scaled losses.
        device: where the model is.
        small: whether little more than a head is computed: float32 then, as nothing would be gained.

    >>> Precision("auto", torch.device("cpu")).dtype

    Micikevicius et al. 2018 (mixed precision training).
    """

    def __init__(self, name: str, device: torch.device, small: bool = False):
        if name not in PRECISIONS:
            raise UnknownName("precision", name, PRECISIONS)
        self.device = device
        if name == "auto":
            name = "float32"
            if device.type == "cuda" and not small:
                name = "bfloat16" if _cuda_has_bfloat16(device) else "float16"
        elif device.type == "cpu" and name == "float16":
            raise CourseError("Processors train in float32.", do='Leave out precision="float16"; it is for GPUs.')
        elif name == "bfloat16" and not has_bfloat16(device):
            raise CourseError(
                f"This {_WHAT[device.type]} has no instructions for bfloat16.",
                why="It would be emulated, and be many times slower than float32.",
                do='Leave out precision="bfloat16".',
            )
        self.dtype = None if name == "float32" else getattr(torch, name)
        self._scaler = torch.amp.GradScaler(device.type) if self.dtype == torch.float16 else None

    def autocast(self):
        """A context in which matrix products and convolutions are computed in the chosen precision."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a loss; in float16 of a scaled one, whose small gradients do not vanish."""
        (self._scaler.scale(loss) if self._scaler else loss).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """One step of the optimizer; in float16 it is left out when a gradient has overflowed."""
        if self._scaler:
            self._scaler.step(optimizer)
            self._scaler.update()
        else:
            optimizer.step()

    def state_dict(self) -> dict:
        return self._scaler.state_dict() if self._scaler else {}

    def load_state_dict(self, state: dict) -> None:
        if self._scaler and state:
            self._scaler.load_state_dict(state)


_WHAT = {"cpu": "processor", "cuda": "GPU", "mps": "GPU"}


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by instructions of its own.

    >>> has_bfloat16(torch.device("cpu")) in (True, False)
    True
    """
    if device.type == "cuda":
        return _cuda_has_bfloat16(device)
    if device.type == "cpu":
        # AVX512_BF16 or AMX_BF16 on x86, BF16 on Arm, as torch's own CPU library has found them
        known = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not tell: then none
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
    return False


def _cuda_has_bfloat16(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)
