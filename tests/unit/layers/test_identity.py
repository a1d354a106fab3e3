import hashlib
from uuid import UUID

from app.oci.digest import Digest
from workers.layers.identity import erofs_uuid, verity_uuid

LAYER = Digest("sha256:" + "ab" * 32)
#: RFC 9562 section 6.6.
URL_NAMESPACE = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")


def version_5(name: str) -> str:
    """RFC 9562 section 5.5, by hand: SHA-1, then version and variant bits."""
    raw = bytearray(hashlib.sha1(URL_NAMESPACE + name.encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(raw)))


def test_uuids_are_version_5_over_the_digest_with_its_algorithm() -> None:
    assert str(erofs_uuid(LAYER)) == version_5("erofs:blobs/sha256:" + "ab" * 32)
    assert str(verity_uuid(LAYER)) == version_5("dmverity:blobs/sha256:" + "ab" * 32)
