import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bookcast.auth.addresses import (
    Networks,
    client_address,
    is_loopback,
    neighbourhood,
    plain,
)

PROXIES = Networks(["10.0.0.0/8", "192.0.2.1", "fd00::/8"])

ADDRESSES = st.ip_addresses().map(str)

HEADER = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))
"""What a header may hold."""


@pytest.mark.parametrize(
    ("address", "contained"),
    [
        ("10.1.2.3", True),
        ("192.0.2.1", True),
        ("fd00::7", True),
        ("11.0.0.1", False),
        ("192.0.2.2", False),
        ("fe00::7", False),
        ("", False),
        ("localhost", False),
        ("10.0.0", False),
    ],
)
def test_networks_contain_the_addresses_in_them(address: str, contained: bool) -> None:
    """In CIDR notation or single ones; what isn't an address is in none."""
    assert PROXIES.contains(address) is contained


def test_no_networks_are_false() -> None:
    """An unset list is falsy, so it can be distinguished."""
    assert not Networks([])
    assert PROXIES
    assert not Networks([]).contains("127.0.0.1")


def test_bits_of_the_host_do_no_harm() -> None:
    """A network may be written as an address in it."""
    assert Networks(["10.1.2.3/8"]).contains("10.9.9.9")


def test_what_is_no_network_is_refused() -> None:
    """In the words of the library."""
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        Networks(["10.0.0.0/99"])


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:8080", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:8080", "2001:db8::7"),
        ('"[2001:db8::7]:8080"', "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:1", "203.0.113.7"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("203.0.113.7.8", None),
        ("203.0.113.07", None),
        ("2001:db8::7::1", None),
        ("[]", None),
    ],
)
def test_an_address_is_read_whatever_it_wears(written: str, address: str | None) -> None:
    """Without port, brackets, quotes and zone; IPv4 in IPv6 is IPv4."""
    assert plain(written) == address


@given(HEADER)
@example("::ffff:0:0%")
def test_any_text_is_an_address_or_none(text: str) -> None:
    """Any text is parsed to an address in its canonical form, or to None."""
    address = plain(text)
    if address is not None:
        assert str(ipaddress.ip_address(address)) == address
        assert plain(address) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 192.0.2.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7, 192.0.2.1", "10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7"),
        ("fd00::1", ["::ffff:203.0.113.7"], "203.0.113.7"),
    ],
)
def test_the_client_is_the_last_who_is_no_trusted_proxy(
    peer: str, forwarded: list[str], client: str
) -> None:
    """Over several headers and several proxies."""
    assert client_address(peer, forwarded, PROXIES) == client


@pytest.mark.parametrize("junk", ["unknown", "", "203.0.113", "10.0.0.2 10.0.0.3", "203.0.113.7;"])
def test_junk_is_nobodys_address(junk: str) -> None:
    """The address is then the proxy's that wrote the junk, never one before it."""
    assert client_address("10.0.0.1", [f"203.0.113.7, {junk}"], PROXIES) in {"10.0.0.1", ""}


@given(HEADER, ADDRESSES, st.booleans())
def test_what_a_client_writes_itself_has_no_effect(spoofed: str, client: str, apart: bool) -> None:
    """A proxy writes behind it, in the same header or in one of its own."""
    forwarded = [spoofed, client] if apart else [f"{spoofed}, {client}"]
    found = client_address("10.0.0.1", forwarded, Networks(["10.0.0.1"]))
    assert found == plain(client) or plain(client) == "10.0.0.1"


@given(HEADER, st.lists(HEADER, max_size=3))
def test_nobodys_word_counts_who_is_no_proxy(peer: str, forwarded: list[str]) -> None:
    """With no proxies trusted, the address is who is connected."""
    assert client_address(peer, forwarded, Networks([])) == peer


def test_an_ipv4_address_counts_alone() -> None:
    """Its neighbours are others."""
    assert neighbourhood("203.0.113.7") != neighbourhood("203.0.113.8")


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.booleans())
def test_ipv6_addresses_of_one_network_count_as_one(
    one: ipaddress.IPv6Address, other: ipaddress.IPv6Address, near: bool
) -> None:
    """A subscriber has 64 bits to choose from."""
    if near:
        other = ipaddress.IPv6Address(int(one) >> 64 << 64 | int(other) & (1 << 64) - 1)
    same = int(one) >> 64 == int(other) >> 64
    assert (neighbourhood(str(one)) == neighbourhood(str(other))) is same


@pytest.mark.parametrize("text", ["", "unknown", "a:b", ":", "1.2.3.4:5"])
def test_what_is_no_address_is_its_own_neighbourhood(text: str) -> None:
    """Counting works for any text that names a caller."""
    assert neighbourhood(text) == text


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.5", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("a.b", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    """Names other than localhost are not trusted to be local."""
    assert is_loopback(host) is loopback
