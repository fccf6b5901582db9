"""What is remembered of uploads is the user's own, shared by processes, and its loss costs no more than a resend."""

import logging
import os
import stat
import threading

import pytest
from farcall.storage_journal import Journal, Kept, UnderWay, state_folder

PLACE = "https://bucket.example.com/"


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "state")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_readable_by_its_user_alone(journal, tmp_path):
    journal.secret()
    assert mode(tmp_path / "state") == 0o700
    assert {mode(path) for path in (tmp_path / "state").iterdir()} == {0o600}


def test_it_lies_where_the_user_keeps_state(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert state_folder().parts[-3:] == (".local", "state", "farcall")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "farcall"


def test_the_secret_is_the_same_for_every_process(journal, tmp_path):
    assert len(journal.secret()) == 32
    assert Journal(tmp_path / "state").secret() == journal.secret()
    assert Journal(tmp_path / "other").secret() != journal.secret()


def test_a_file_is_known_by_place_and_content(journal):
    journal.keep(PLACE, "digest", "key", 0, None)
    assert journal.kept(PLACE, "digest") == Kept("key", 0)
    assert journal.kept("https://another/", "digest") == Kept(None, 0)
    assert journal.kept(PLACE, "other") == Kept(None, 0)


def test_a_time_is_never_brought_forward(journal):
    journal.keep(PLACE, "digest", "key", 0, 100.0)
    assert journal.refresh(PLACE, "digest", "key", 50.0)
    assert journal.overdue(PLACE, 80.0) == []
    assert journal.refresh(PLACE, "digest", "key", None)
    assert journal.overdue(PLACE, 1e12) == []


def test_what_is_overdue_is_given_up_until_it_is_deleted_and_gets_another_generation(journal):
    journal.keep(PLACE, "digest", "key", 0, 100.0)
    assert journal.overdue(PLACE, 101.0) == ["key"]
    assert journal.kept(PLACE, "digest") == Kept(None, 1)
    assert journal.overdue(PLACE, 101.0) == ["key"]  # for it was not deleted yet
    journal.deleted(PLACE, "key")
    assert journal.overdue(PLACE, 101.0) == []
    assert journal.kept(PLACE, "digest") == Kept(None, 1)
    assert not journal.refresh(PLACE, "digest", "key", 200.0)


def test_parts_are_remembered_for_their_upload_and_content_alone(journal):
    begun = UnderWay("key", "u1", 8, {})
    journal.begun(PLACE, "digest", begun, now=1.0)
    journal.arrived(PLACE, begun, 2, "two")
    assert journal.under_way(PLACE, "key", "digest") == UnderWay("key", "u1", 8, {2: "two"})
    assert journal.under_way(PLACE, "key", "other digest") is None
    journal.begun(PLACE, "digest", UnderWay("key", "u2", 8, {}), now=2.0)
    assert journal.under_way(PLACE, "key", "digest") == UnderWay("key", "u2", 8, {})
    journal.ended(PLACE, UnderWay("key", "u2", 8, {}))
    assert journal.under_way(PLACE, "key", "digest") is None


def test_many_threads_and_journals_write_at_once(tmp_path):
    begun = UnderWay("key", "u", 8, {})
    Journal(tmp_path).begun(PLACE, "digest", begun, now=1.0)

    def write(first):
        own = Journal(tmp_path)
        for number in range(first, first + 25):
            own.arrived(PLACE, begun, number, str(number))

    threads = [threading.Thread(target=write, args=(n * 25,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Journal(tmp_path).under_way(PLACE, "key", "digest").receipts) == 100


def test_a_broken_file_is_set_aside_and_begun_anew(tmp_path, caplog):
    (tmp_path / "storages.sqlite").write_bytes(b"this is no database" * 1000)
    with caplog.at_level(logging.WARNING, "farcall"):
        assert len(Journal(tmp_path).secret()) == 32
    assert "begun anew" in caplog.text
    assert (tmp_path / "storages.broken").exists()


def test_where_nothing_can_be_kept_it_lasts_as_long_as_the_process(tmp_path, caplog):
    (tmp_path / "state").write_text("a file where the folder should be")
    journal = Journal(tmp_path / "state")
    with caplog.at_level(logging.WARNING, "farcall"):
        journal.keep(PLACE, "digest", "key", 0, None)
    assert journal.kept(PLACE, "digest").key == "key"
    assert "none will resume" in caplog.text
    assert journal.folder() is None


def test_it_tells_where_it_lies(journal, tmp_path):
    assert journal.folder() == tmp_path / "state"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_fork_opens_its_own(journal, tmp_path):
    secret = journal.secret()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, journal.secret())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        assert told.read() == secret
    assert os.waitpid(child, 0)[1] == 0
    assert journal.secret() == secret
