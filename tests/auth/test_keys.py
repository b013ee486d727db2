import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bookcast.auth.keys import ApiKeys, RightsFile, key_table, make_key
from bookcast.auth.principal import Grant
from bookcast.errors import SettingError

DIGEST = hashlib.sha256(b"bck_one").hexdigest()

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


def keys_in(folder: Path, text: str) -> ApiKeys:
    path = folder / "keys.toml"
    path.write_text(text, encoding="utf-8")
    return ApiKeys.read(str(path), "US")


def rights_in(folder: Path, text: str) -> RightsFile:
    path = folder / "rights.toml"
    path.write_text(text, encoding="utf-8")
    return RightsFile.read(str(path))


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """As editors on Windows write it before the text."""
    key, digest = make_key()
    assert keys_in(tmp_path, "\ufeff" + key_table("feeder", digest, Grant())).find(key)
    rights = rights_in(tmp_path, '\ufeff[default]\nscope = "publish"')
    assert rights.grants("alice") == [Grant(scope="publish")]


def test_a_key_is_recognised_by_its_hash(tmp_path: Path) -> None:
    """The file is of no use to who reads it: neither the key nor what lets one in stands there."""
    key, digest = make_key()
    text = key_table("feeder", digest, Grant())
    assert key not in text
    keys = keys_in(tmp_path, text)
    principal = keys.find(key)
    assert principal is not None
    assert (principal.id, principal.expires_at) == ("key:feeder", None)
    assert keys.find(digest) is None


def test_keys_are_made_at_random() -> None:
    """Each another, with a prefix that scanners know."""
    made = {make_key() for _ in range(10)}
    assert len({key for key, _ in made}) == 10
    assert all(key.startswith("bck_") and len(key) >= 40 for key, _ in made)
    assert all(hashlib.sha256(key.encode()).hexdigest() == digest for key, digest in made)


def test_a_key_is_for_publishing(tmp_path: Path) -> None:
    """By default it may publish all symbols."""
    principal = keys_in(tmp_path, f'[keys.feeder]\nsha256 = "{DIGEST}"').find("bck_one")
    assert principal is not None
    assert principal.rights.scopes == {"publish"}
    assert principal.rights.symbols is None


def test_a_key_may_have_other_rights(tmp_path: Path) -> None:
    """In the same words as a token; hexadecimal digits may be large."""
    text = f"""
        [keys.feeder]
        sha256 = "{DIGEST.upper()}"
        scope = "publish read"
        symbols = ["HK.*", "AAPL"]
        channels = ["trades"]
    """
    principal = keys_in(tmp_path, text).find("bck_one")
    assert principal is not None
    assert principal.rights.scopes == {"publish", "read"}
    assert principal.rights.symbols == ("HK.*", "US.AAPL")
    assert principal.rights.channels == frozenset({"trades"})


@given(st.text())
@example("\ud800")
def test_no_other_text_is_a_key(text: str) -> None:
    """Any other text is refused."""
    keys = ApiKeys({})
    assert keys.find(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[keys", "is not TOML"),
        ("[key.a]", "has key; there are [keys]"),
        ("[keys.a]", "keys.a.sha256 must be"),
        ("[keys]\na = 3", "keys.a.sha256 must be"),
        ('[keys.a]\nsha256 = "abc"', "keys.a.sha256 must be"),
        (f'[keys.a]\nsha256 = "{DIGEST}0"', "keys.a.sha256 must be"),
        (f'[keys.a]\nsha256 = "{DIGEST}\\n"', "keys.a.sha256 must be"),
        ("[keys.a]\nsha256 = 7", "keys.a.sha256 must be"),
        (f'[keys.a]\nsha256 = "{DIGEST}"\nsymbol = ["US.*"]', "symbol"),
        (f'[keys.a]\nsha256 = "{DIGEST}"\nsymbols = "US.*"', "symbols: expected a list"),
        (f'[keys.a]\nsha256 = "{DIGEST}"\nchannels = ["trade"]', "there are orderbook"),
    ],
)
def test_a_file_of_keys_that_cant_be_meant_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    """Naming the setting, the file and the place."""
    with pytest.raises(SettingError) as refusal:
        keys_in(tmp_path, text)
    assert "AUTH_API_KEYS_FILE" in str(refusal.value)
    assert "keys.toml" in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize("text", ["keys = 3", "[[keys]]\nname = 'a'"])
def test_keys_that_stand_in_no_table_are_refused(tmp_path: Path, text: str) -> None:
    """A file that names none of its keys is no file of keys."""
    with pytest.raises(SettingError, match="keys"):
        keys_in(tmp_path, text)


def test_one_key_cant_be_two_principals(tmp_path: Path) -> None:
    """It would be unclear whose rights it has."""
    text = f'[keys.a]\nsha256 = "{DIGEST}"\n[keys.b]\nsha256 = "{DIGEST.upper()}"\nscope = "admin"'
    with pytest.raises(SettingError, match=r"keys\.b"):
        keys_in(tmp_path, text)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\xff", "can't be read")])
def test_a_file_that_cant_be_read_is_named(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """With its setting, for keys as for rights."""
    path = tmp_path / "file.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match="AUTH_API_KEYS_FILE") as of_keys:
        ApiKeys.read(str(path), "US")
    with pytest.raises(SettingError, match="AUTH_RIGHTS_FILE") as of_rights:
        RightsFile.read(str(path))
    assert words in str(of_keys.value)
    assert words in str(of_rights.value)


@given(NAMES)
@example("feeder")
@example("team.feeder")
@example('a "quoted" name')
@example("é\\u0041]")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_for_a_key_reads_back(tmp_path: Path, name: str) -> None:
    """Under any name, with its rights."""
    grant = Grant(scope="publish", symbols=("US.*", 'a"b'), channels=("trades",), max_depth=5)
    principal = keys_in(tmp_path, key_table(name, DIGEST, grant)).find("bck_one")
    assert principal is not None
    assert principal.name == name
    assert principal.rights.scopes == {"publish"}
    assert principal.rights.max_depth == 5


def test_the_most_special_rights_come_first(tmp_path: Path) -> None:
    """Those of a principal count before the defaults."""
    rights = rights_in(
        tmp_path,
        """
        [default]
        max_depth = 5
        [principals.alice]
        max_depth = 50
        [principals."bob@example.com"]
        scope = "read publish"
        """,
    )
    assert [grant.max_depth for grant in rights.grants("alice")] == [50, 5]
    assert rights.grants("bob@example.com")[0].scope == "read publish"
    assert [grant.max_depth for grant in rights.grants("carol")] == [5]


def test_rights_may_say_nothing(tmp_path: Path) -> None:
    """An empty file, or none."""
    assert rights_in(tmp_path, "").grants("alice") == [Grant()]
    assert RightsFile().grants("alice") == [Grant()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default = ", "is not TOML"),
        ("[defaults]", "has defaults; there are [default], [principals]"),
        ("default = 3", "default"),
        ("[default]\ndepth = 3", "depth"),
        ("[default]\nmax_depth = 0", "default: max_depth"),
        ("[principals.alice]\nmax_depths = 3", "principals.alice"),
        ("[principals]\nalice = 3", "principals.alice"),
        ("[principals.alice]\nchannels = ['books']", "there are orderbook"),
    ],
)
def test_a_file_of_rights_that_cant_be_meant_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    """A misspelled restriction must not be none at all."""
    with pytest.raises(SettingError) as refusal:
        rights_in(tmp_path, text)
    assert "AUTH_RIGHTS_FILE" in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["principals = 3", "[[principals]]\nname = 'alice'\nmax_depth = 3"]
)
def test_principals_that_stand_in_no_table_are_refused(tmp_path: Path, text: str) -> None:
    """Their restrictions would be lost silently."""
    with pytest.raises(SettingError, match="principals"):
        rights_in(tmp_path, text)
