"""Taking a package apart again, by other means than it was made."""

from __future__ import annotations

import io
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ksef_async.api.packages import CompressionType
from ksef_async.packing import Package, PackedPart

__all__ = ["archive_of", "invoices_of", "opened"]


def opened(part: PackedPart, package: Package) -> bytes:
    """The part, decrypted; its hash and size hold."""
    encrypted = part.path.read_bytes()
    assert (len(encrypted), sha256(encrypted).digest()) == (part.size, part.sha256)
    key, vector = package.symmetric_key, package.initialization_vector
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(encrypted) + decryptor.finalize()) + unpadder.finalize()


def archive_of(package: Package) -> bytes:
    """The plain archive, joined; its hash and size hold."""
    assert [part.ordinal_number for part in package.parts] == [*range(1, len(package.parts) + 1)]
    archive = b"".join(opened(part, package) for part in package.parts)
    assert (len(archive), sha256(archive).digest()) == (package.size, package.sha256)
    return archive


def invoices_of(package: Package) -> list[tuple[str, bytes]]:
    """What stands in the archive, in its order, as the standard library reads it."""
    return unpacked(archive_of(package), package.compression)


def unpacked(archive: bytes, compression: CompressionType) -> list[tuple[str, bytes]]:
    if compression is CompressionType.ZIP:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened_zip:
            assert opened_zip.testzip() is None
            return [(info.filename, opened_zip.read(info)) for info in opened_zip.infolist()]
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened_tar:
        return [(info.name, _content(opened_tar, info)) for info in opened_tar]


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None
    return file.read()


def spool_is_empty(folder: Path) -> bool:
    return not [*folder.iterdir()]
