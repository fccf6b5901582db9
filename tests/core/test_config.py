"""farcall.toml, profiles, FARCALL_ variables, and where a key is looked for."""

import os
import subprocess
import sys

import pytest
from farcall import config, keys
from farcall.errors import ConfigError, UsageError
from farcall.hookspecs import ProviderFacts

TEXT2VOICE = """
[services.text2voice]
provider = "jobs"
url = "http://127.0.0.1:8000"
upload_threshold_bytes = 1000

[[services.text2voice.endpoints]]
path = "/speak"
parameters.text = {type = "string"}
parameters.speed = {type = "number", default = 1.0, place = "query"}

[services.text2voice.profiles.prod]
provider = "cloud"
endpoint_id = "abc123"
storage = "media"

[services.text2voice.profiles.lab]
url = "http://gpu.lan:8000"

[storages.media]
provider = "bucket"
bucket = "my-bucket"
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A folder of its own, an empty home, and no FARCALL_ variable."""
    for name in [name for name in os.environ if name.startswith("FARCALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "work" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "deep")
    monkeypatch.setattr(keys.settings, "api_keys", {})
    return tmp_path


@pytest.fixture
def text2voice(nowhere):
    (nowhere / "work" / "farcall.toml").write_text(TEXT2VOICE)


# --- the file -----------------------------------------------------------------------------------------------


def test_without_a_file_nothing_is_configured():
    assert config.find() is None
    assert config.load().services == {}


def test_the_nearest_file_upward_is_read_and_the_users_own_comes_last(nowhere):
    mine = nowhere / "home" / "farcall" / "farcall.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("")
    assert config.find() == mine
    (nowhere / "work" / "farcall.toml").write_text("")
    assert config.find() == nowhere / "work" / "farcall.toml"
    (nowhere / "work" / "deep" / "farcall.toml").write_text("")
    assert config.find() == nowhere / "work" / "deep" / "farcall.toml"


def test_farcall_config_names_a_file_outright(nowhere, monkeypatch, text2voice):
    other = nowhere / "other.toml"
    other.write_text('[services.x]\nprovider = "jobs"\n')
    monkeypatch.setenv("FARCALL_CONFIG", str(other))
    assert list(config.load().services) == ["x"]
    monkeypatch.setenv("FARCALL_CONFIG", str(nowhere / "none.toml"))
    with pytest.raises(ConfigError, match=r"FARCALL_CONFIG names .*none\.toml"):
        config.load()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("services = ?", r"is no TOML: .*line 1, column 12"),
        ("[servises.x]\n", r"farcall\.toml: servises: Extra inputs"),
        ("[services]\nx = 3\n", r"farcall\.toml: services\.x: "),
        ("[services.x]\nupload_threshold_bytes = 'big'\n", r"services\.x\.upload_threshold_bytes: "),
        ("[services.x]\nupload_threshold_bytes = -1\n", r"services\.x\.upload_threshold_bytes: .* or equal to 0"),
        ("[services.x]\nupload_threshold_bytes = true\n", r"services\.x\.upload_threshold_bytes: .* valid integer"),
        ("[[services.x.endpoints]]\nparth = '/a'\n", r"services\.x\.endpoints\.0\.path: Field required"),
        (
            "[[services.x.endpoints]]\npath = '/a'\nparameters.a = {type = 'intger'}\n",
            r"services\.x\.endpoints\.0\.parameters: .*'intger' is no JSON Schema type",
        ),
        ("[storages.s]\nbucket = 'b'\n", r"storages\.s\.provider: Field required"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_file_and_the_place(nowhere, text, place):
    (nowhere / "work" / "farcall.toml").write_text(text)
    with pytest.raises(ConfigError, match=place) as caught:
        config.load()
    assert str(nowhere / "work" / "farcall.toml") in str(caught.value)


def test_a_file_that_is_not_utf8_is_an_error_that_names_it(nowhere):
    (nowhere / "work" / "farcall.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"farcall\.toml is no TOML: .*0xff"):
        config.load()


def test_importing_config_reads_no_toml():
    code = "import sys, farcall.config; sys.exit('tomllib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- services and profiles ----------------------------------------------------------------------------------


def test_a_service_becomes_a_binding(text2voice):
    binding = config.load().binding("text2voice")
    assert binding.provider == "jobs"
    assert dict(binding.options) == {"url": "http://127.0.0.1:8000"}
    assert binding.upload_threshold_bytes == 1000
    (speak,) = binding.endpoints
    assert speak.name == "speak"
    assert speak.parameters["text"].type is str
    assert speak.parameters["speed"].default == 1.0


def test_a_profile_that_names_a_provider_drops_the_others_options_and_keeps_what_is_the_cores(text2voice):
    binding = config.load().binding("text2voice", "prod")
    assert binding.provider == "cloud"
    assert dict(binding.options) == {"endpoint_id": "abc123"}
    assert binding.storage == "media"
    assert binding.upload_threshold_bytes == 1000
    assert [endpoint.name for endpoint in binding.endpoints] == ["speak"]


def test_a_profile_without_a_provider_changes_what_it_names(text2voice):
    binding = config.load().binding("text2voice", "lab")
    assert binding.provider == "jobs"
    assert dict(binding.options) == {"url": "http://gpu.lan:8000"}


def test_farcall_profile_is_the_profile_unless_one_is_given(text2voice, monkeypatch):
    monkeypatch.setenv("FARCALL_PROFILE", "prod")
    assert config.load().binding("text2voice").provider == "cloud"
    assert config.load().binding("text2voice", "lab").provider == "jobs"


def test_an_unknown_profile_is_an_error_with_the_known_ones(text2voice, monkeypatch):
    with pytest.raises(ConfigError, match=r"profile 'prd'\. Did you mean 'prod'\? Its profiles: lab, prod\."):
        config.load().binding("text2voice", "prd")
    monkeypatch.setenv("FARCALL_PROFILE", "stage")
    with pytest.raises(ConfigError, match="FARCALL_PROFILE asks for it"):
        config.load().binding("text2voice")


def test_an_unknown_service_is_an_error_with_the_known_ones(text2voice):
    with pytest.raises(ConfigError, match=r"no service 'text2vioce'\. Did you mean 'text2voice'\?"):
        config.load().binding("text2vioce")


def test_a_service_without_a_provider_is_an_error_when_it_is_wanted(nowhere):
    (nowhere / "work" / "farcall.toml").write_text("[services.x]\nurl = 'http://h'\n")
    with pytest.raises(ConfigError, match=r"services\.x names no provider; add provider ="):
        config.load().binding("x")


# --- FARCALL_ variables -------------------------------------------------------------------------------------


def test_a_variable_overrides_the_file_and_adds_to_it(text2voice, monkeypatch):
    monkeypatch.setenv("FARCALL_SERVICES__TEXT2VOICE__URL", "http://h:1")
    monkeypatch.setenv("FARCALL_SERVICES__TEXT2VOICE__PROFILES__PROD__ENDPOINT_ID", "xyz")
    monkeypatch.setenv("FARCALL_SERVICES__NEW__PROVIDER", "jobs")
    loaded = config.load()
    assert loaded.binding("text2voice").options["url"] == "http://h:1"
    assert loaded.binding("text2voice", "prod").options["endpoint_id"] == "xyz"
    assert loaded.binding("new").provider == "jobs"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("true", True),
        ('"12"', "12"),
        ("abc", "abc"),
        ("http://h:1/a?b=c", "http://h:1/a?b=c"),
        ("[1]", "[1]"),
        ("2024-01-01", "2024-01-01"),
        ("1\nother = 2", "1\nother = 2"),
        ("", ""),
    ],
)
def test_a_variables_value_is_a_toml_scalar_if_it_is_one_and_else_text(monkeypatch, text, value):
    monkeypatch.setenv("FARCALL_SERVICES__X__PROVIDER", "jobs")
    monkeypatch.setenv("FARCALL_SERVICES__X__OPTION", text)
    assert config.load().binding("x").options["option"] == value


def test_a_wrong_variable_is_an_error_that_names_it(text2voice, monkeypatch):
    monkeypatch.setenv("FARCALL_SERVICES__TEXT2VOICE__UPLOAD_THRESHOLD_BYTES", "big")
    with pytest.raises(ConfigError, match=r"^FARCALL_SERVICES__TEXT2VOICE__UPLOAD_THRESHOLD_BYTES: serv"):
        config.load()


def test_a_variable_that_looks_inside_a_value_is_an_error(text2voice, monkeypatch):
    monkeypatch.setenv("FARCALL_SERVICES__TEXT2VOICE__URL__HOST", "h")
    with pytest.raises(ConfigError, match="looks inside 'url', which is a value"):
        config.load()


# --- keys ---------------------------------------------------------------------------------------------------

CLOUD = ProviderFacts(
    url="https://api.cloud.example", origins=("https://api.cloud.example",), key_names=("CLOUD_API_KEY",)
)


def secret(url, argument=None):
    found = keys.find_key("cloud", url, CLOUD, argument=argument)
    return None if found is None else found.secret


def test_a_key_comes_from_the_argument_then_the_settings_then_the_environment(monkeypatch):
    url = "https://api.cloud.example/v2"
    assert secret(url) is None
    monkeypatch.setenv("CLOUD_API_KEY", "environment")
    assert secret(url) == "environment"
    keys.settings.api_keys["cloud"] = "by name"
    assert secret(url) == "by name"
    keys.settings.api_keys["https://api.cloud.example"] = "by origin"
    assert secret(url) == "by origin"
    assert secret(url, argument="argument") == "argument"


@pytest.mark.parametrize("url", ["https://evil.example", "http://api.cloud.example", "https://api.cloud.example:8443"])
def test_a_key_by_name_or_from_the_environment_never_goes_to_another_origin(monkeypatch, url):
    monkeypatch.setenv("CLOUD_API_KEY", "environment")
    keys.settings.api_keys["cloud"] = "by name"
    assert secret(url) is None
    keys.settings.api_keys[url] = "for it"
    assert secret(url) == "for it"


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8000", True),
        ("127.8.8.8", True),
        ("localhost:9", True),
        ("[::1]:9", True),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("127.1", False),
        ("10.0.0.1", False),
    ],
)
def test_this_machine_is_trusted_and_what_only_looks_like_it_is_not(host, ours):
    assert keys.is_trusted(f"http://{host}", CLOUD) is ours


def test_an_origin_is_one_however_it_is_spelt():
    keys.settings.api_keys["HTTPS://GPU.lan:443/some/path"] = "key"
    assert keys.settings.api_keys["https://gpu.lan"] == "key"
    assert "https://gpu.lan:443" in keys.settings.api_keys
    assert secret("https://gpu.lan/v1") == "key"
    del keys.settings.api_keys["https://gpu.lan"]
    assert not keys.settings.api_keys


@pytest.mark.parametrize("place", ["gpu.lan:8000", "gpu.lan/v1", "https://gpu.lan:port"])
def test_a_place_that_would_never_match_is_refused(place):
    with pytest.raises(UsageError, match=r"origin|no address"):
        keys.settings.api_keys[place] = "key"


@pytest.mark.parametrize("key", ["", None, 5])
def test_a_key_that_is_no_text_is_refused(key):
    with pytest.raises(UsageError, match="must be a text"):
        keys.settings.api_keys["cloud"] = key


def test_no_repr_shows_a_key():
    keys.settings.api_keys = {"cloud": "s3cret", "https://gpu.lan": "s3cret"}
    found = keys.find_key("cloud", "https://gpu.lan", CLOUD)
    assert "s3cret" not in f"{keys.settings!r}{keys.settings.api_keys!r}{keys.settings.api_keys}{found!r}"
    assert "'cloud': …" in repr(keys.settings)


def test_the_sentence_for_a_missing_key_says_where_was_looked_and_how_to_set_it():
    sentence = keys.where_looked("cloud", "https://api.cloud.example/v2", CLOUD)
    assert "argument api_key" in sentence
    assert "farcall.settings.api_keys['https://api.cloud.example']" in sentence
    assert "Set CLOUD_API_KEY or farcall.settings.api_keys['cloud']." in sentence


def test_the_sentence_for_another_origin_says_why_the_providers_key_was_not_sent():
    sentence = keys.where_looked("cloud", "https://evil.example", CLOUD)
    assert "such a key goes only to https://api.cloud.example" in sentence
    assert "farcall.settings.api_keys['https://evil.example'] = " in sentence


def test_a_service_says_which_of_its_parameters_are_files_and_which_storage_takes_them(nowhere):
    kept = 'storage = "media"\nupload_threshold_bytes = 5\nfile_params = {img = "ImageFile"}\n'
    written = f'[services.a]\nprovider = "b"\n{kept}'
    (nowhere / "work" / "farcall.toml").write_text(written)
    binding = config.load().binding("a")
    assert (binding.storage, binding.upload_threshold_bytes) == ("media", 5)
    assert binding.file_params == {"img": "ImageFile"}
