"""Validation against the Ministry's schemas, from a folder of the user's; needs lxml (extra ``xsd``)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..api.sessions import FormCode
from ..protocol.extras import extra

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["Schemas"]

# What the name of each form's schema has in it; the rest of the file names differs between releases.
_FILES: Final = {
    FormCode.FA2: "FA(2)",
    FormCode.FA3: "FA(3)",
    FormCode.FA_RR1: "FA_RR(1)",
    FormCode.PEF3: "PEF(3)",
    FormCode.PEF_KOR3: "PEF_KOR(3)",
}


class Schemas:
    """The schemas in a folder and the folders in it; ``form_code in schemas`` says whether a form has one.

    Nothing is ever fetched: what a schema imports is looked up by its file name in the same folders.

    Args:
        folder: With files named like the Ministry's, e.g. ``schemat_FA(3)_v1-0E.xsd``.

    Raises:
        ModuleNotFoundError: lxml is not installed.
        ValueError: The folder has no schema of any form, or one that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        with extra("xsd", "lxml", what="Validating by a schema"):
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

    def __contains__(self, form_code: FormCode) -> bool:
        return form_code in self._schemas

    def validate(self, form_code: FormCode, invoice: bytes) -> tuple[str, ...]:
        """Return the violations of the schema in an invoice, which is well-formed XML without entities.

        Call it in a worker thread: it may take tens of milliseconds.

        Args:
            form_code: A form that has a schema here.
            invoice: The document.
        """
        from lxml import etree

        schema = self._schemas[form_code]
        document = etree.fromstring(invoice, self._parser)
        with self._lock:
            if schema.validate(document):
                return ()
            return tuple(f"{error.message} (line {error.line})" for error in schema.error_log)  # type: ignore[attr-defined]  # stubs
