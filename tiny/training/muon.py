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
            decay = 1 - group["lr"] * group["weight_decay"]
            for parameter, update in self.updates(group["params"]):
                parameter.mul_(decay).add_(update, alpha=-group["lr"])

    def updates(self, parameters: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The parameters, in groups of one shape, each with its step at a learning rate of 1."""
        shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            if parameter.grad is not None:
                shapes[parameter.shape].append(parameter)
        result: list[tuple[Tensor, Tensor]] = []
        for shape, members in shapes.items():
            updates = orthogonalised(torch.stack([self.directed(p) for p in members]))
            result += zip(members, RMS * max(shape) ** 0.5 * updates, strict=True)
        return result

    def directed(self, parameter: Tensor) -> Tensor:
        """The gradient with Nesterov momentum."""
        gradient = parameter.grad
        assert gradient is not None
        momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)


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
