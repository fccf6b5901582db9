import pytest
from farcall.errors import ProtocolError
from farcall.jobs import Snapshot, State

from plugins.fasttaskapi import asking, recorded

# Every word of the three dialects, with the state a person reads in it.
OWN = {
    "queued": State.QUEUED,
    "running": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "timed_out": State.TIMED_OUT,
}
FASTTASKAPI = {
    "Queued": State.QUEUED,
    "Processing": State.RUNNING,
    "Finished": State.SUCCEEDED,
    "Failed": State.FAILED,
    "Timeout": State.TIMED_OUT,
}
APIPOD = {
    "queued": State.QUEUED,
    "processing": State.RUNNING,
    "streaming": State.RUNNING,
    "finished": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "timeout": State.TIMED_OUT,
}
DOCUMENTED = [
    *[({"farcall": 1, "id": "j1", "state": word}, state) for word, state in OWN.items()],
    *[({**recorded.FT_RUNNING, "status": word}, state) for word, state in FASTTASKAPI.items()],
    *[({**recorded.AP_RUNNING, "status": word}, state) for word, state in APIPOD.items()],
]


@pytest.mark.parametrize(("raw", "state"), DOCUMENTED)
def test_every_documented_word_means_its_state(raw, state):
    [update] = asking.read(asking.reply(raw))
    assert isinstance(update, Snapshot)
    assert update.state is state


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_words_compare_without_case(change):
    [update] = asking.read(asking.reply({**recorded.FT_QUEUED, "status": change("processing")}))
    assert update.state is State.RUNNING


@pytest.mark.parametrize(
    "raw",
    [
        {"farcall": 1, "id": "j1", "state": "defrosting"},
        {**recorded.FT_RUNNING, "status": "defrosting"},
        {**recorded.AP_RUNNING, "status": "defrosting"},
    ],
)
def test_an_unknown_word_is_an_error_that_quotes_it(raw):
    with pytest.raises(ProtocolError, match="'defrosting'"):
        asking.read(asking.reply(raw))


@pytest.mark.parametrize("word", ["streaming", "cancelled"])
def test_a_word_of_apipod_is_not_one_of_fasttaskapi(word):
    with pytest.raises(ProtocolError, match=word):
        asking.read(asking.reply({**recorded.FT_RUNNING, "status": word}))


def test_a_status_that_is_no_text_is_an_error():
    with pytest.raises(ProtocolError, match="None"):
        asking.read(asking.reply({**recorded.FT_RUNNING, "status": None}))
