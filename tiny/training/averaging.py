"""Means of weights: the running average over a phase, and the mean of several phases."""

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class RunningAverage:
    """The exponential average of a model's weights; `keep` is the share of the old in the new.

    It keeps less in the first steps, for their weights are the farthest off.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        self.keep = keep
        self.steps = 0
        self.state: State = {name: x.clone() for name, x in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        keep = min(self.keep, (1 + self.steps) / (10 + self.steps))
        values = model.state_dict()
        torch._foreach_lerp_(list(self.state.values()), [values[n] for n in self.state], 1 - keep)


def mean(states: list[State]) -> State:
    """The mean of the weights of several models."""
    return {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}
