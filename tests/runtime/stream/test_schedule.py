"""Positions, prompt and padding for every delay the model was made for (contract steps 2, 9, 10)."""

import math

import pytest
from small_models import small_params

from voxrun.checkpoint.config import ModelConfig
from voxrun.errors import VoxrunError
from voxrun.stream.schedule import Schedule
from voxrun.stream.tokenizer import Tokenizer

AUDIO = ModelConfig.from_dict(small_params()).audio


@pytest.mark.parametrize("delay_ms", [*range(80, 1201, 80), 2400])
@pytest.mark.parametrize("n", [0, 1, 1279, 1280, 1281, 16000])
def test_positions_follow_from_the_delay(tokenizer: Tokenizer, delay_ms: int, n: int) -> None:
    schedule = Schedule.for_delay(AUDIO, tokenizer, delay_ms)
    n_delay = delay_ms // 80
    assert schedule.prompt_length == 33 + n_delay
    assert schedule.prompt(tokenizer) == [1] + [32] * (32 + n_delay)
    assert schedule.left_samples == 32 * 1280
    assert schedule.right_samples(n) == -n % 1280 + (n_delay + 11) * 1280
    positions = (schedule.left_samples + n + schedule.right_samples(n)) / 1280
    assert positions == 32 + math.ceil(n / 1280) + n_delay + 11
    assert schedule.n_tokens(n) == positions - schedule.prompt_length


def test_the_tokenizers_delay_is_the_default(tokenizer: Tokenizer) -> None:
    assert Schedule.for_delay(AUDIO, tokenizer, None) == Schedule.for_delay(AUDIO, tokenizer, 480)


@pytest.mark.parametrize("delay_ms", [0, -80, 40, 100, 479.9, 1280, 2320, 2480, math.nan, math.inf])
def test_other_delays_are_refused(tokenizer: Tokenizer, delay_ms: float) -> None:
    with pytest.raises(
        VoxrunError, match=r"^a delay of .* it must be a multiple of 80 from 80 to 1200, or 2400$"
    ):
        Schedule.for_delay(AUDIO, tokenizer, delay_ms)
