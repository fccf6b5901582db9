"""Schemathesis makes requests from our document, right ones and wrong ones, and none is our fault."""

import re
import subprocess
import urllib.request

import pytest
from rivals.environments import python_of
from rivals.servers import Rival

EVERY_PARAMETER = Rival(
    name="every_parameter", arguments=("every_parameter_app.py", "{port}"), ready="/health", ours=True
)
NOT_OURS = "negative_data_rejection,positive_data_acceptance"
"""What we take and a JSON Schema does not say: a text or a number for a flag, a repeated field for a list."""


OPERATIONS = (
    "/scalars", "/containers", "/models", "/album", "/moments", "/file", "/media", "/steps", "/items", "/echo",
    "GET /plain", "POST /plain", "DELETE /plain",
)  # fmt: skip


@pytest.fixture(scope="module")
def service(start):
    return start(EVERY_PARAMETER)


def test_nothing_it_sends_is_a_server_fault_or_breaks_the_document(service, tmp_path):
    command = [
        python_of("schemathesis"), "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json",
        "--exclude-checks", NOT_OURS, "--max-examples", "60", "--continue-on-failure", "--no-color",
        "--generation-database", "none", "--request-timeout", "20",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert int(re.search(r"Tested: (\d+)", done.stdout)[1]) >= len(OPERATIONS)
    assert urllib.request.urlopen(f"{service.url}/health", timeout=20).status == 200
    assert "Traceback" not in service.log.read_text()
