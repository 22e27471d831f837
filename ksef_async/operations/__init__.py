"""The API as a table: one row for every KSeF operation this library knows, in a file for each resource.

The client builds its requests from it, the sandbox its routes, and the contract tests hold it to the specification
(OpenAPI 2.9.0). Everything that is true of an operation as such is said here and nowhere else. `table.OPERATIONS` has
all rows; a client imports those it calls, so that a program loads the models of what it uses.
"""

from __future__ import annotations

from .operation import Bearer, Operation, RateGroup

__all__ = ["Bearer", "Operation", "RateGroup"]
