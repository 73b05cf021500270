"""Muon: momentum whose matrices are orthogonalised before the step.

Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). This form
computes in float32, for torch's own, in bfloat16, takes seconds a step on a CPU without AMX, and
orthogonalises all matrices of one shape at once.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTUM = 0.95
ITERATIONS = 4
POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration
RMS = 0.2  # of an update of AdamW, which a step is scaled to


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised; for matrices only.

    Learning rate and weight decay mean what they mean for AdamW.
    """

    def __init__(self, groups: list[dict[str, Any]], weight_decay: float) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, members in shapes.items():
                updates = orthogonalised(torch.stack(self.directed(members)))
                size = group["lr"] * RMS * max(shape) ** 0.5
                torch._foreach_mul_(members, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(members, updates.unbind(), alpha=-size)

    def directed(self, parameters: list[Tensor]) -> tuple[Tensor, ...]:
        """The gradients with Nesterov momentum."""
        gradients = [p.grad for p in parameters]
        momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        return torch._foreach_lerp(gradients, momenta, MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [count, rows, columns] with singular values near 1, by Newton-Schulz."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.mT).mT
    a, b, c = POLYNOMIAL
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x
