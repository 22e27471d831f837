"""An extension of Griffe, which reads the library for the reference: the signatures of classes made by attrs.

Griffe reads source and does not run it, so it does not know the ``__init__`` that attrs writes. What the parameters are
is asked of attrs; their annotations are those of the source.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any

import attrs
import griffe

__all__ = ["AttrsSignatures"]


class AttrsSignatures(griffe.Extension):
    """Give each class made by attrs the ``__init__`` it has."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Go through all modules once the package is read as a whole."""
        self._visit(pkg)

    def _visit(self, module: griffe.Module | griffe.Class) -> None:
        for member in list(module.members.values()):
            if member.is_alias:
                continue
            if isinstance(member, griffe.Class) and any("attrs" in str(each.value) for each in member.decorators):
                # What needs an extra that is not installed is in no reference either.
                with suppress(ModuleNotFoundError):
                    member.set_member("__init__", _init(member))
            if isinstance(member, griffe.Module | griffe.Class):
                self._visit(member)


def _init(read: griffe.Class) -> griffe.Function:
    made: Any = import_module(read.module.path)
    for name in read.path.removeprefix(f"{read.module.path}.").split("."):
        made = getattr(made, name)
    fields = [field for field in attrs.fields(made) if field.init]
    parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
    for field in sorted(fields, key=lambda field: field.kw_only):
        kind = griffe.ParameterKind.keyword_only if field.kw_only else griffe.ParameterKind.positional_or_keyword
        annotation = read.all_members[field.name].annotation
        parameters.append(griffe.Parameter(field.alias, annotation=annotation, kind=kind, default=_default(field)))
    return griffe.Function(
        "__init__", parameters=griffe.Parameters(*parameters), returns="None", lineno=read.lineno, parent=read
    )


def _default(field: attrs.Attribute[Any]) -> str | None:
    if field.default is attrs.NOTHING:
        return None
    return "..." if isinstance(field.default, attrs.Factory) else repr(field.default)  # type: ignore[arg-type]
