"""Validation against the Ministry's schemas, from a folder of the user's; needs lxml (extra ``xsd``)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..api.sessions import FormCode

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["Schemas"]

# The schema of each form by its target namespace, as FA's header fixes it; the file names differ between releases.
_FILES: Final = {
    FormCode.FA2: "FA(2)",
    FormCode.FA3: "FA(3)",
    FormCode.FA_RR1: "FA_RR(1)",
}


class Schemas:
    """The schemas in a folder and the folders in it; forms without one are not validated.

    Nothing is ever fetched: what a schema imports is looked up by its file name in the same folders.

    Args:
        folder: With files named like the Ministry's, e.g. ``schemat_FA(3)_v1-0E.xsd``.

    Raises:
        ModuleNotFoundError: lxml is not installed.
        ValueError: The folder has no schema of any form, or one that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        from lxml import etree

        files = {file.name: file for file in folder.rglob("*.xsd")}

        class InFolder(etree.Resolver):
            def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]  # stubs
                name = system_url.rpartition("/")[2]
                if name not in files:
                    raise ValueError(f"{folder} has no {name}")
                return self.resolve_filename(str(files[name]), context)  # type: ignore[attr-defined]  # stubs

        parser = etree.XMLParser(no_network=True)
        parser.resolvers.add(InFolder())
        self._schemas: dict[FormCode, etree.XMLSchema] = {}
        for form_code, mark in _FILES.items():
            for name, file in files.items():
                if mark in name:
                    try:
                        self._schemas[form_code] = etree.XMLSchema(etree.parse(file, parser))
                    except etree.LxmlError as error:
                        raise ValueError(f"{file} cannot be used: {error}") from error
        if not self._schemas:
            raise ValueError(f"{folder} has no schema of any form")
        self._parser = etree.XMLParser(no_network=True, resolve_entities=False)
        # A schema keeps the errors of its last validation.
        self._lock = threading.Lock()

    def validate(self, form_code: FormCode, invoice: bytes) -> tuple[str, ...]:
        """Return the violations of the schema in an invoice, which is well-formed XML without entities.

        Call it in a worker thread: it may take tens of milliseconds.
        """
        from lxml import etree

        schema = self._schemas.get(form_code)
        if schema is None:
            return ()
        document = etree.fromstring(invoice, self._parser)
        with self._lock:
            if schema.validate(document):
                return ()
            return tuple(f"line {error.line}: {error.message}" for error in schema.error_log)  # type: ignore[attr-defined]  # stubs
