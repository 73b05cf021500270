"""docs/faults.md equals the outcomes of the fault tests."""

import pytest
from fault_table import DOCUMENT, document

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # how the client uploads
]
FOUND_BY = {"test_hub_faults.py", "test_hub_faults_kill.py", "test_hub_faults_rare.py"}


def test_the_table_equals_the_tests_outcomes(calls, root, request):
    collected = {item.path.name for item in request.session.items}
    if not collected >= FOUND_BY or request.config.option.keyword:
        pytest.skip("not all faults were tried: run tests/voxbuild/publish/test_hub_faults*.py")
    if request.config.getoption("--write-faults", default=False):
        (root / DOCUMENT).write_text(document(calls))
    assert (root / DOCUMENT).read_text() == document(calls)
