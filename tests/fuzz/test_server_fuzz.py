"""A short run of tests/fuzz/server.py."""

import asyncio
from pathlib import Path

import pytest
from server import CASES, attack, serving

pytestmark = pytest.mark.slow


def test_hostile_clients_get_the_right_answers_and_nobody_else_notices(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        outcome = asyncio.run(attack(server, range(2 * len(CASES)), idle=False))
    assert outcome.defects == []
    assert outcome.ends.total() == 2 * len(CASES)
    assert outcome.witnesses >= 2
