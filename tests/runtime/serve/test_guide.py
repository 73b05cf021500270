"""The Python of docs/serving.md runs as it stands."""

import re
from collections.abc import Iterator

import pytest
from committed import ROOT
from served import Served

from voxrun.serve.access import is_public
from voxrun.serve.app import application

pytest.importorskip("openai")
pytest.importorskip("mistralai")
GUIDE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
ADDRESS = "127.0.0.1:8000"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    yield


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # scripts end without closing their clients
@pytest.mark.parametrize("code", EXAMPLES, ids=["recording", "openai", "mistral"])
def test_an_example_is_a_whole_script(server: Served, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ADDRESS in code
    exec(code.replace(ADDRESS, f"127.0.0.1:{server.port}"), {})
    assert capsys.readouterr().out.splitlines()[-1].endswith("please try again")


def test_all_endpoints_are_listed_and_whether_they_need_a_key(server: Served) -> None:
    table = GUIDE.partition("## Endpoints")[2].partition("## The page")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| ") and "`/" in row]
    listed = {path: row[-2].strip() for row in rows for path in re.findall(r"`(/[^`]*)`", row[2])}
    assert {path: "no" if is_public(path) else "yes" for path in listed} == listed
    served = [getattr(route, "path", "") for route in application(server.service).routes]
    variable = re.compile(r"/(\.\.\.|NAME|\{.*\})?$")
    assert {variable.sub("", path) for path in served} == {variable.sub("", path) for path in listed}
