"""docs/clients.md has every client, and all of their tests had passed when it was written."""

import clients
import pytest


@pytest.mark.parametrize("client", clients.CLIENTS, ids=lambda client: client.name)
def test_every_client_is_in_the_table_and_its_tests_passed(client: clients.Client) -> None:
    rows = [line.strip("|\n ").split(" | ") for line in clients.DOCUMENT.read_text("utf-8").splitlines()]
    [(how, speaks, works, tests)] = [row[1:] for row in rows if row[0] == client.name]
    assert (how.split()[0], speaks, works) == (client.how.split()[0], client.speaks, client.works)
    assert " passed in " in tests
    assert not any(outcome in tests for outcome in ("failed", "skipped", "error"))
