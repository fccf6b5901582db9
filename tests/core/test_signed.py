"""A signed address says itself when it ends."""

from datetime import UTC, datetime

import pytest
from farcall import signed

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=A&X-Amz-Date=20261124T115900Z&X-Amz-Expires=60&X-Amz-Signature=x",
        "X-Goog-Date=20261124T110000Z&X-Goog-Expires=3600&X-Goog-Signature=x",
        "sv=2026&se=2026-11-24T12%3A00%3A00Z&sig=x",
        "se=2026-11-24&sig=x",
        "Expires=1795521600&Signature=x&Key-Pair-Id=y",
    ],
)
def test_each_customary_form_is_read(query):
    url = f"https://files.example.com/a.txt?{query}"
    assert signed.ends(url) in {NOON, NOON.replace(hour=0)}
    assert "signed until 2026-11-24" in signed.has_ended(url, NOON)
    assert signed.has_ended(url, datetime(2026, 11, 23, tzinfo=UTC)) == ""


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Expires=1795521600",
        "X-Amz-Date=yesterday&X-Amz-Expires=60",
        "X-Amz-Date=20261124T115900Z",
        "X-Amz-Date=20261124T115900Z&X-Amz-Expires=" + "9" * 30,
        "se=soon&sig=x",
        "Expires=" + "9" * 30 + "&Signature=x",
    ],
)
def test_what_says_nothing_is_not_guessed(query):
    assert signed.ends(f"https://files.example.com/a.txt?{query}") is None
    assert signed.has_ended(f"https://files.example.com/a.txt?{query}", NOON) == ""
