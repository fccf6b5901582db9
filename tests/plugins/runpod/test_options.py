"""A binding names its endpoint once, in any of the ways users have it at hand."""

import pytest
from farcall import errors
from plugins.runpod.asking import bound

ADDRESS = "https://api.runpod.ai/v2/abc123"


@pytest.mark.parametrize(
    "named",
    [
        {"endpoint_id": "abc123"},
        {"endpoint_id": ADDRESS},
        {"endpoint_id": f"{ADDRESS}/run"},
        {"url": ADDRESS},
        {"url": f"{ADDRESS}/runsync"},
        {"url": f"{ADDRESS}/"},
        {"endpoint_id": "abc123", "base_url": "https://api.runpod.ai/v2/"},
    ],
)
def test_an_endpoint_is_named_by_its_id_or_its_address(named):
    assert bound(**named).options.url == ADDRESS


def test_an_address_without_scheme_means_http():
    assert bound(url="127.0.0.1:8010/v2/voice").options.url == "http://127.0.0.1:8010/v2/voice"


@pytest.mark.parametrize("named", [{"endpoint_id": ""}, {"base_url": ADDRESS}, {"endpoint_id": "a", "url": ADDRESS}])
def test_an_endpoint_is_named_once(named):
    with pytest.raises(errors.ConfigError, match="name the endpoint once"):
        bound(**named)


@pytest.mark.parametrize("odd", ["my endpoint", "a?b", "a#b", "ä"])
def test_an_id_that_cannot_be_one_is_refused(odd):
    with pytest.raises(errors.ConfigError, match="is no id of an endpoint"):
        bound(endpoint_id=odd)


def test_an_address_holds_no_key():
    with pytest.raises(errors.UsageError, match="no user name and password"):
        bound(url="https://me:s3cret@gpu.lan/v2/x")


@pytest.mark.parametrize("wrong", [{"execution_timeout_s": 1}, {"ttl_s": 9}, {"ttl_s": 604801}, {"worker": "cog"}])
def test_what_runpod_would_refuse_is_refused_here(wrong):
    with pytest.raises(errors.ConfigError, match=next(iter(wrong))):
        bound(endpoint_id="abc123", **wrong)


def test_a_webhook_which_may_hold_a_token_is_in_no_repr():
    binding = bound(endpoint_id="abc123", webhook="https://a.test/hook?token=s3cret")
    assert "s3cret" not in repr(binding) + repr(binding.options)
