from __future__ import annotations

import hashlib
import itertools
import struct
from pathlib import Path

import pytest
from Crypto.Cipher import AES, PKCS1_v1_5
from Crypto.PublicKey import ECC, RSA
from Crypto.Util.Padding import pad
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.errors import StartupError
from bookcast.feeds.futu.wire import (
    HEADER,
    MAX_BODY,
    Aes,
    Cipher,
    Frame,
    Garbage,
    Reader,
    Rsa,
    pack,
    plain,
    read_key,
)
from tests.budget import examples

KEY = RSA.generate(1024)
OTHER_KEY = RSA.generate(1024)
AES_KEY, VECTOR = b"0123456789abcdef", b"fedcba9876543210"

bodies = st.binary(max_size=400)
ciphers = st.sampled_from([None, Aes(AES_KEY, None), Aes(AES_KEY, VECTOR)])


def sha1(body: bytes) -> bytes:
    return hashlib.sha1(body).digest()


def test_a_message_is_written_as_the_vendor_writes_it() -> None:
    """44 bytes of header, little endian, then the body."""
    written = struct.pack("<ccIBBII20s8s", b"F", b"T", 3001, 0, 0, 7, 4, sha1(b"body"), bytes(8))
    assert pack(3001, 7, b"body") == written + b"body"
    assert HEADER.size == len(written) == 44


def test_the_header_tells_the_length_as_sent_and_the_checksum_of_the_plain_body() -> None:
    """Encrypted, a message is longer."""
    [frame] = Reader().read(pack(1, 2, b"plain", Aes(AES_KEY, VECTOR)))
    assert frame.protocol == 1
    assert frame.serial == 2
    assert len(frame.body) == 16
    assert frame.digest == sha1(b"plain")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), bodies, ciphers)
def test_what_was_packed_is_read_again(
    protocol: int, serial: int, body: bytes, cipher: Cipher | None
) -> None:
    """Encrypted or not."""
    [frame] = Reader().read(pack(protocol, serial, body, cipher))
    assert (frame.protocol, frame.serial) == (protocol, serial)
    assert plain(frame, cipher) == body


@given(st.lists(bodies, max_size=6), st.lists(st.integers(0, 2500), max_size=12))
def test_however_the_bytes_come_the_messages_are_the_same(
    sent: list[bytes], cuts: list[int]
) -> None:
    """In pieces of any size, and each as soon as it is complete."""
    packed = [pack(3013, serial, body) for serial, body in enumerate(sent)]
    stream = b"".join(packed)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = Reader()
    frames: list[Frame] = []
    for begin, end in itertools.pairwise(places):
        frames += reader.read(stream[begin:end])
        complete = sum(1 for at in range(len(packed)) if len(b"".join(packed[: at + 1])) <= end)
        assert len(frames) == complete
    assert [plain(frame) for frame in frames] == sent
    assert [frame.serial for frame in frames] == list(range(len(sent)))


def test_byte_by_byte_is_enough() -> None:
    """Nothing is given before the last one."""
    reader = Reader()
    *first, last = pack(1004, 1, b"")
    assert all(reader.read(bytes([byte])) == [] for byte in first)
    assert reader.read(bytes([last])) == [Frame(1004, 1, b"", sha1(b""))]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n" + bytes(44), "begins with b'HT'"),
        (HEADER.pack(b"FT", 1, 0, 0, 1, MAX_BODY + 1, bytes(20), bytes(8)), "67108865 bytes"),
        (HEADER.pack(b"FT", 1, 1, 0, 1, 2, bytes(20), bytes(8)), "push_proto_type=0"),
    ],
)
def test_what_is_not_the_protocol_is_garbage(data: bytes, words: str) -> None:
    """It is known by the header, before the body has come."""
    with pytest.raises(Garbage, match=words):
        Reader().read(data)


def test_a_body_as_large_as_allowed_is_waited_for() -> None:
    """Lists of all securities are large."""
    assert Reader().read(HEADER.pack(b"FT", 1, 0, 0, 1, MAX_BODY, bytes(20), bytes(8))) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_garbage(data: bytes) -> None:
    """Nothing else goes wrong."""
    try:
        frames = Reader().read(data)
    except Garbage:
        return
    for frame in frames:
        with pytest.raises(Garbage):
            plain(frame)


def test_a_wrong_checksum_is_garbage() -> None:
    """The body isn't what was sent."""
    frame = Frame(3013, 1, b"other", sha1(b"body"))
    with pytest.raises(Garbage, match=r"3013 has another checksum than its header says$"):
        plain(frame)


def test_a_wrong_key_is_suspected() -> None:
    """The sentence names the setting, whether what was sent can be decrypted to nonsense or not."""
    [frame] = Reader().read(pack(1001, 1, b"body", Rsa(OTHER_KEY)))
    too_large = frame._replace(body=b"\xff" * len(frame.body))
    for wrong in (frame, too_large):
        with pytest.raises(Garbage, match="is FUTU_RSA_KEY_FILE the key that OpenD has"):
            plain(wrong, Rsa(KEY))


@settings(max_examples=examples(200))
@given(st.binary(max_size=100), st.sampled_from([Aes(AES_KEY, None), Aes(AES_KEY, VECTOR)]))
def test_whatever_comes_encrypted_is_decrypted_or_garbage(body: bytes, cipher: Cipher) -> None:
    """Nothing else goes wrong."""
    with pytest.raises(Garbage):
        plain(Frame(1, 1, body, bytes(20)), cipher)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_comes_instead_of_rsa_is_garbage(body: bytes) -> None:
    """Nothing else goes wrong."""
    with pytest.raises(Garbage):
        plain(Frame(1001, 1, body, bytes(20)), Rsa(KEY))


def vendors_rsa(body: bytes) -> bytes:
    """Encrypt as ``futu.common.sys_config.RsaCrypt`` does."""
    cipher = PKCS1_v1_5.new(KEY)
    return b"".join(cipher.encrypt(body[at : at + 100]) for at in range(0, len(body), 100))


def vendors_rsa_opened(body: bytes) -> bytes:
    """Decrypt as ``futu.common.sys_config.RsaCrypt`` does."""
    cipher = PKCS1_v1_5.new(KEY)
    return b"".join(cipher.decrypt(body[at : at + 128], b"") for at in range(0, len(body), 128))


@settings(max_examples=20, deadline=None)
@given(bodies)
def test_rsa_is_the_vendors(body: bytes) -> None:
    """Pieces of 100 bytes become 128, in both directions."""
    encrypted = Rsa(KEY).encrypt(body)
    assert len(encrypted) == -(-len(body) // 100) * 128
    assert vendors_rsa_opened(encrypted) == body
    assert Rsa(KEY).decrypt(vendors_rsa(body)) == body


@pytest.mark.parametrize("bits", [1024, 2048])
def test_a_longer_key_takes_longer_pieces(bits: int) -> None:
    """A body of any length comes back as it was."""
    cipher = Rsa(RSA.generate(bits))
    for length in (0, 1, 99, 100, 101, 200, 201, 245, 1000):
        body = bytes(range(256)) * 4
        assert cipher.decrypt(cipher.encrypt(body[:length])) == body[:length]


def vendors_ecb(body: bytes) -> bytes:
    """Encrypt as ``futu.common.conn_mng.FutuConnMng`` does without a vector."""
    over = len(body) % 16
    padded = body + b"\x00" * (16 - over) if over else body
    return AES.new(AES_KEY, AES.MODE_ECB).encrypt(padded) + b"\x00" * 15 + bytes([over])


@given(bodies)
def test_aes_without_a_vector_is_the_vendors_own(body: bytes) -> None:
    """A last block, which isn't encrypted, tells how much of the one before counts."""
    encrypted = Aes(AES_KEY, None).encrypt(body)
    assert encrypted == vendors_ecb(body)
    assert Aes(AES_KEY, None).decrypt(encrypted) == body


@given(bodies)
def test_aes_with_a_vector_is_chained_and_padded(body: bytes) -> None:
    """PKCS7, and each message begins with the vector anew."""
    cipher = Aes(AES_KEY, VECTOR)
    expected = AES.new(AES_KEY, AES.MODE_CBC, iv=VECTOR).encrypt(pad(body, 16))
    assert cipher.encrypt(body) == cipher.encrypt(body) == expected
    assert cipher.decrypt(expected) == cipher.decrypt(expected) == body


@pytest.mark.parametrize("vector", [None, VECTOR])
@pytest.mark.parametrize("length", [0, 1, 15, 17, 31])
def test_what_is_not_in_blocks_is_not_decrypted(vector: bytes | None, length: int) -> None:
    """It says how long it is."""
    with pytest.raises(ValueError, match=f"^{length} bytes aren't whole blocks$"):
        Aes(AES_KEY, vector).decrypt(bytes(length))


@pytest.mark.parametrize("format_", ["PEM", "DER"])
@pytest.mark.parametrize("pkcs", [1, 8])
def test_a_private_key_is_read(tmp_path: Path, format_: str, pkcs: int) -> None:
    """However it was written."""
    path = tmp_path / "key"
    path.write_bytes(KEY.export_key(format_, pkcs=pkcs))
    assert read_key(path) == KEY


def test_a_missing_key_is_one_sentence(tmp_path: Path) -> None:
    """It names the file."""
    with pytest.raises(StartupError, match=r"^FUTU_RSA_KEY_FILE is .*nowhere.*No such file"):
        read_key(tmp_path / "nowhere")
    with pytest.raises(StartupError, match="can't be read"):
        read_key(tmp_path)


def test_a_public_key_is_not_enough(tmp_path: Path) -> None:
    """The sentence says what is needed."""
    path = tmp_path / "key.pub"
    path.write_bytes(KEY.public_key().export_key())
    with pytest.raises(StartupError, match=r"holds a public key; OpenD's private one is needed$"):
        read_key(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"hello",
        b"0",
        b"\x30\x82",
        b"-----BEGIN RSA PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n\xff\n-----END RSA PRIVATE KEY-----\n",
        KEY.export_key("PEM", passphrase="secret"),
        ECC.generate(curve="p256").export_key(format="PEM").encode(),
        b"ssh-rsa AAAA",
        b"ssh-rsa",
    ],
)
def test_what_is_no_key_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    """Whatever it is."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(StartupError, match=r"FUTU_RSA_KEY_FILE .*/key' holds no RSA key"):
        read_key(path)


@settings(max_examples=examples(200))
@given(st.binary(max_size=60))
def test_any_content_of_a_key_file_is_a_key_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Nothing else goes wrong."""
    path = tmp_path_factory.getbasetemp() / "any-key"
    path.write_bytes(content)
    with pytest.raises(StartupError):
        read_key(path)
