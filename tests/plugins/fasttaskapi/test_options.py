import pytest
from pydantic import ValidationError

from plugins.fasttaskapi import asking


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("gpu.lan:8000/api/", "http://gpu.lan:8000/api"),
        (" https://gpu.lan/ ", "https://gpu.lan"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_kept_with_its_prefix_and_http_is_meant_without_a_scheme(given, meant):
    assert asking.fta().options()(url=given).url == meant


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "ftp://h",
        "http://",
        "http://h:99999",
        "http://h:0",
        "http://h/?a=1",
        "http://h/#x",
        "http://a b",
        "http://u:p@h",
    ],
)
def test_what_is_no_address_of_a_service_is_refused(wrong):
    with pytest.raises(ValidationError):
        asking.fta().options()(url=wrong)


def test_a_password_in_an_address_is_not_shown_by_its_refusal():
    with pytest.raises(ValidationError) as refusal:
        asking.fta().options()(url="http://user:hunter2@h")
    assert "hunter2" not in str(refusal.value)
