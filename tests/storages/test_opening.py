"""A storage is opened by its address or by its name in farcall.toml; what is wrong is said, without a secret."""

import asyncio

import farcall
import pytest
from farcall import errors, plugins
from farcall.hookspecs import hookimpl

ENDPOINT = farcall.EndpointSpec(path="/digest", parameters={"film": farcall.File})


def test_a_storage_is_opened_by_its_name(s3_place, own_home):
    told = "\n".join(f'{name} = "{value}"' for name, value in s3_place.options.items())
    (own_home / "farcall.toml").write_text(
        f'[storages.media]\nprovider = "s3"\nbucket = "{s3_place.name}"\nprefix = "jobs"\nlink_s = 60\n{told}\n'
    )
    with farcall.open_storage("media") as storage:
        url = storage.upload(b"chips", key="menu.txt")
    assert s3_place.stored() == ["jobs/menu.txt"]
    assert "X-Amz-Expires=60&" in url


def test_an_option_given_here_goes_before_the_file(s3_place, own_home):
    (own_home / "farcall.toml").write_text('[storages.media]\nprovider = "s3"\nbucket = "another"\n')
    with farcall.open_storage("media", **{**s3_place.options, "bucket": s3_place.name}) as storage:
        storage.upload(b"chips", key="menu.txt")
    assert s3_place.stored() == ["menu.txt"]


def test_a_name_that_is_not_configured_is_told_with_those_that_are(own_home):
    (own_home / "farcall.toml").write_text('[storages.media]\nprovider = "s3"\n')
    with pytest.raises(errors.ConfigError, match=r"no \[storages\.mediaa\]; it has: media"):
        farcall.open_storage("mediaa")


def test_a_path_is_no_storage_and_is_not_sought_in_farcall_toml():
    with pytest.raises(errors.ConfigError, match=r"'\./x' is no address like 's3://bucket', and no name"):
        farcall.open_storage("./x")


def test_a_storage_that_is_not_open_yet_says_so():
    with pytest.raises(errors.UsageError, match=r"not open yet, so it has no upload; `await` it"):
        farcall.open_storage_async("s3://bucket").upload(b"chips")


def test_a_storage_that_is_not_installed_is_told_with_those_that_are():
    with pytest.raises(errors.UsageError, match=r"No storage named 'gs' is installed.*folder, s3"):
        farcall.open_storage("gs://bucket")


@pytest.mark.parametrize(
    ("address", "options", "said"),
    [
        ("s3://bucket", {"bucet": "x"}, "no option bucet"),
        ("s3://bucket", {"access_key_id": "key"}, "come together"),
        ("s3://bucket", {"endpoint_url": "https://key:secret@host"}, "without key"),
        ("s3://bucket", {"secret_access_key": 5, "access_key_id": "key"}, "secret_access_key"),
        ("s3://key:secret@bucket", {}, "no key, no query"),
        ("s3://bucket?secret=1", {}, "no key, no query"),
        ("s3://", {}, "s3://bucket/prefix"),
        ("s3://bucket", {"profile": "nobody"}, "nobody"),
        ("s3://bucket", {"bucket": "other"}, "says bucket 'bucket' and the option says 'other'"),
        ("s3://bucket/a", {"prefix": "pp"}, "says prefix 'a' and the option says 'pp'"),
        ("azure://kitchen", {"container": "other"}, "says container 'kitchen' and the option says 'other'"),
        ("azure://kitchen", {"sas": "https://h/other?sr=c&sig=secret"}, "for the container 'other', and 'kitchen'"),
        ("azure://kitchen", {"account_url": "https://h", "sas": "secret"}, "holds no sig="),
        (
            "azure://My_Cont",
            {"account_url": "https://h", "account_key": "c2VjcmV0"},
            "'My_Cont' is no container's name",
        ),
        ("azure://a--b", {"account_url": "https://h", "account_key": "c2VjcmV0"}, "single hyphens"),
        ("s3://bucket", {"link_s": 0}, "link_s is a number of seconds"),
        ("s3://bucket", {"expire_after_s": "day"}, "expire_after_s is a number of seconds"),
        ("azure://container", {"account_url": "https://h/?sig=secret"}, "a SAS goes into sas="),
        ("azure://container", {"connection_string": "AccountKey=secret"}, "holds no AccountName"),
        ("azure://container", {"connection_string": "secret"}, "holds no AccountName"),
        ("azure://container", {"connection_string": "AccountName=a;AccountKey=secret"}, "no base64"),
        ("azure://container", {"account_url": "https://h", "account_key": "no secret"}, "no base64"),
    ],
)
def test_a_wrong_option_is_named_and_its_value_is_not_shown(address, options, said):
    with pytest.raises(errors.UsageError, match=said) as refused:
        farcall.open_storage(address, **options)
    assert "secret" not in str(refused.value).replace("secret_access_key", "")
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("seconds", [0, -5, True, "60", float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["link_s", "expire_after_s"])
def test_a_time_that_is_none_is_told_when_it_is_opened(s3_place, name, seconds):
    with pytest.raises(errors.UsageError, match=f"{name} is a number of seconds, more than 0"):
        s3_place.open(**{name: seconds})


@pytest.mark.parametrize("prefix", ["../elsewhere", "a/../b", "a//b", "a\nb"])
def test_a_prefix_that_leads_elsewhere_is_told_when_it_is_opened(place, prefix):
    for address, told in ((place.address, {"prefix": prefix}), (f"{place.address}/{prefix}", {})):
        with pytest.raises(errors.ConfigError, match=r"prefix: .* is no key"):
            farcall.open_storage(address, **place.options, **told)


def test_a_prefix_may_stand_beside_the_address(place):
    place.open(prefix="/jobs/").upload(b"chips", key="menu.txt")
    assert place.stored() == ["jobs/menu.txt"]


@pytest.mark.parametrize(
    ("address", "options", "sentence"),
    [
        ("s3://kitchen", {"session": 5}, r"session= is a boto3\.Session, not int"),
        ("azure://kitchen", {"account_url": "http://h/a", "credential": object()}, "a token over https only"),
        ("azure://kitchen", {"account_url": "https://h/a", "credential": 5}, "credential is wrong"),
        ("azure://kitchen", {"account_url": "https://h/a", "sas": lambda: None}, "gave NoneType, and no text"),
    ],
)
def test_a_credential_that_is_none_is_told_when_it_is_opened(address, options, sentence):
    with pytest.raises(errors.ConfigError, match=sentence):
        farcall.open_storage(address, **options)


def test_a_sas_that_cannot_sign_is_told_before_anything_is_sent():
    told = {"account_url": "https://127.0.0.1:1", "sas": "sv=2026&sig=secret"}
    with farcall.open_storage("azure://kitchen", **told) as storage:
        with pytest.raises(errors.UsageError, match=r"a SAS cannot sign addresses.*read_sas="):
            storage.upload(b"chips")
        with pytest.raises(errors.UsageError, match=r"a SAS cannot sign addresses.*read_sas="):
            farcall.connect("http://127.0.0.1:1", provider="openapi", endpoints=[ENDPOINT], storage=storage)


def test_what_is_no_place_is_told():
    for none in (None, 5, b"s3://bucket"):
        with pytest.raises(errors.UsageError, match=f"or a name, not {type(none).__name__}"):
            farcall.open_storage(none)


def test_a_storage_of_another_event_loop_says_so(place):
    storage = asyncio.run(opened(place))
    with pytest.raises(errors.UsageError, match="opened on another event loop"):
        asyncio.run(storage.upload(b"chips"))
    asyncio.run(storage.close())


async def opened(place):
    return await farcall.open_storage_async(place.address, **place.options)


def test_a_storage_awaited_is_open(s3_place):
    async def journey():
        storage = await farcall.open_storage_async(s3_place.address, **s3_place.options)
        async with storage:
            return await storage.exists("nothing")

    assert asyncio.run(journey()) is False


class Silent:
    @hookimpl
    def farcall_storage(self):
        return None


class Hookless:
    pass


class Wrong:
    @hookimpl
    def farcall_storage(self, bucket):
        raise AssertionError("never called")


@pytest.mark.parametrize("plugin", [Silent, Hookless, Wrong])
def test_a_plugin_that_is_no_storage_is_at_fault_and_listed_with_it(plugin):
    plugins.register("broken", plugin(), kind="storage")
    try:
        with pytest.raises(errors.PluginError, match="'broken'"):
            farcall.open_storage("broken://place")
        (listed,) = (found for found in plugins.installed("storage") if found.name == "broken")
        assert (listed.error is None) == (plugin is Silent)
    finally:
        plugins.unregister("broken", kind="storage")
