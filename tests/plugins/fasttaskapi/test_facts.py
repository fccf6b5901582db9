import pytest
from plugins.fasttaskapi.asking import APIPOD, DEDICATED, FARCALL, FASTTASKAPI, UNKNOWN, bound

from plugins.fasttaskapi import asking


@pytest.mark.parametrize("traits", [FASTTASKAPI, APIPOD, UNKNOWN])
def test_older_servers_forget_a_job_once_read_and_drop_connections_after_an_error(traits):
    facts = asking.fta().facts(bound(traits))
    assert facts.read_once
    assert facts.poll_repeatable  # it finds the job, or that it is gone
    assert facts.drop_connection_after == {422, 500}
    assert facts.poll_batch == 1


def test_our_own_servers_hold_looks_open_and_take_many_at_once():
    facts = asking.fta().facts(bound(FARCALL))
    assert (facts.read_once, facts.poll_repeatable) == (False, True)
    assert (facts.long_poll_s, facts.poll_batch, facts.drop_connection_after) == (25.0, 200, frozenset())


@pytest.mark.parametrize(("traits", "wait_s"), [(FASTTASKAPI, None), (APIPOD, None), (UNKNOWN, 25.0)])
def test_only_a_server_that_may_be_ours_is_asked_to_hold_a_look(traits, wait_s):
    assert asking.fta().facts(bound(traits)).long_poll_s == wait_s


def test_a_dedicated_apipod_replies_with_results():
    assert asking.fta().facts(bound(DEDICATED)).result_in_reply
    assert not asking.fta().facts(bound(APIPOD)).result_in_reply


def test_the_key_goes_to_the_bound_address():
    assert asking.fta().facts(bound(url="gpu.lan:8000/api")).url == "http://gpu.lan:8000/api"


def test_only_our_own_servers_know_a_repeated_submission():
    assert asking.fta().facts(bound(FARCALL)).idempotency_header == "idempotency-key"
    assert all(asking.fta().facts(bound(t)).idempotency_header is None for t in (APIPOD, FASTTASKAPI, UNKNOWN))
