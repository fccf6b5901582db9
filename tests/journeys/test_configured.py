"""A user keeps services in farcall.toml, lists them, and compares what they offer where."""

import farcall
import pytest
from farcall import cli
from farcall_server import FastTaskAPI
from typer.testing import CliRunner


def voice(*, default=1, keys=None):
    app = FastTaskAPI(api_keys=keys)

    @app.task_endpoint("/speak")
    def speak(text: str, times: int = default) -> str:
        return text.upper() * times

    return app


@pytest.fixture
def configured(own_home, serve):
    """Write a farcall.toml with the service at one address and, under a profile, at another."""

    def write(here, there, more=""):
        (own_home / "farcall.toml").write_text(f"""
            [services.voice]
            provider = "fasttaskapi"
            url = "{serve(here).url if here else "http://127.0.0.1:9"}"
            [services.voice.profiles.prod]
            url = "{serve(there).url if there else "http://127.0.0.1:9"}"
            {more}
            """)

    return write


def run(*words, **environment):
    return CliRunner().invoke(cli.app, list(words), env={"COLUMNS": "300", **environment})


def test_services_are_listed_with_their_keys_place_and_whether_they_answer(configured, monkeypatch):
    configured(voice(), voice(keys=["s3cret"]))
    listed = run("services").stdout
    plain, prod = (line for line in listed.splitlines() if "voice" in line)
    assert "yes" in plain
    assert "prod" in prod
    assert "wants a key" in prod
    url = prod.split("│")[4].strip()
    farcall.settings.api_keys[url] = "s3cret"
    listed = run("services").stdout
    (prod,) = (line for line in listed.splitlines() if "prod" in line)
    assert f"farcall.settings.api_keys['{url}']" in prod
    assert "yes" in prod
    assert "s3cret" not in listed


def test_a_service_that_is_down_or_wrongly_configured_is_listed_and_the_others_too(configured):
    configured(None, voice(), '[services.odd]\nurl = "http://127.0.0.1:9"')
    lines = {line.split("│")[1].strip(): line for line in run("services").stdout.splitlines() if "│" in line}
    assert "names no provider" in lines["odd"]
    assert "yes" in lines["voice"]  # the last one of two
    assert "Is the service running" in run("services").stdout


def test_a_narrow_terminal_cuts_no_address_and_no_keys_place_short(configured):
    configured(voice(), voice())
    listed = run("services", COLUMNS="60").stdout
    assert "…" not in listed
    assert listed.count("yes") == 2


def test_without_a_configuration_it_is_said_what_to_write():
    result = run("services")
    assert result.exit_code == 1
    assert "[services.NAME]" in result.stderr


def test_the_same_description_in_both_places_is_told(configured):
    configured(voice(), voice())
    result = run("check", "voice", "--profile", "prod", FARCALL_PROFILE="prod")
    assert (result.exit_code, result.stdout) == (0, "voice offers the same under 'prod'.\n")


def test_a_difference_is_named_and_fails_the_command(configured):
    configured(voice(), voice(default=2))
    result = run("check", "voice", "--profile", "prod")
    assert result.exit_code == 1
    assert result.stdout == "speak: 'times' is 1 if not given, and is 2 if not given under 'prod'.\n"


def test_a_description_that_is_not_the_services_own_is_told_from_one_that_is(configured, serve):
    url = serve(voice()).url
    configured(voice(), voice(default=2), f'spec = "{url}"')
    result = run("check", "voice", "--profile", "prod")
    assert (result.exit_code, result.stdout) == (0, "voice offers the same under 'prod'.\n")
    assert "Under 'prod' the configuration says what is offered" in result.stderr


def test_a_profile_that_there_is_not_is_no_success(configured):
    configured(voice(), None)
    result = run("check", "voice", "--profile", "prd")
    assert result.exit_code == 1
    assert "Did you mean 'prod'" in result.stderr


@pytest.mark.parametrize("by", ["variable", "argument"])
def test_a_profile_chooses_where_a_call_goes(configured, by):
    configured(None, voice(default=2))
    words, environment = (["--profile", "prod"], {}) if by == "argument" else ([], {"FARCALL_PROFILE": "prod"})
    result = run("call", "voice", "speak", "text=hi", *words, **environment)
    assert (result.exit_code, result.stdout) == (0, '"HIHI"\n')
