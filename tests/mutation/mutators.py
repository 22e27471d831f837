"""Small wrong changes of a module's source, each of which some test should notice."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

__all__ = ["Mutant", "mutants_of"]

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
}
#: What they hold is text for people, or for type checkers.
_SKIPPED_FUNCTIONS: Final = frozenset({"__repr__", "__str__"})


@attrs.frozen(kw_only=True)
class Mutant:
    """One change of a module.

    Attributes:
        first: The first line of the statement that it changes, from 1.
        last: The last line of it, or of its head where it has a block.
        on_import: Whether it runs when the module is imported, in no test of its own.
        before: The changed piece.
        after: What it became.
        source: The whole module, changed.
    """

    first: int
    last: int
    on_import: bool
    before: str
    after: str
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """Return every mutant of a module."""
    text = source.encode()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    found = []
    for on_import, statement, node, after in _changes(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        changed = (text[:begin] + after.encode() + text[end:]).decode()
        body = getattr(statement, "body", None)
        last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
        before = text[begin:end].decode()
        found.append(
            Mutant(
                first=statement.lineno,
                last=max(last, statement.lineno),
                on_import=on_import,
                before=before,
                after=after,
                source=changed,
            )
        )
    return found


Change = tuple[ast.stmt, ast.stmt | ast.expr, str]


def _changes(tree: ast.Module) -> Iterator[tuple[bool, *Change]]:
    for block, on_import in _blocks(tree, on_import=True):
        for statement in block:
            if _is_text(statement):
                continue
            yield from ((on_import, *change) for change in _changes_of_statement(statement, tree))
            for expression in _own_expressions(statement):
                yield from ((on_import, statement, *change) for change in _changes_of_expression(expression))


def _blocks(tree: ast.AST, *, on_import: bool) -> Iterator[tuple[list[ast.stmt], bool]]:
    """Yield every list of statements that runs, and whether on import."""
    on_import = on_import and not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(tree, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block, on_import
            for statement in block:
                if isinstance(statement, ast.FunctionDef) and statement.name in _SKIPPED_FUNCTIONS:
                    continue
                if isinstance(statement, ast.ClassDef) and any("Protocol" in ast.unparse(b) for b in statement.bases):
                    continue
                if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
                    continue
                yield from _blocks(statement, on_import=on_import)
    for handler in getattr(tree, "handlers", []):
        yield from _blocks(handler, on_import=on_import)


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a docstring, an import, a record in the log, or for type checkers only."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
        return True
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id == "__all__" or "TypeVar(" in ast.unparse(statement.value)
    if not isinstance(statement, ast.Expr):
        return False
    return isinstance(statement.value, ast.Constant) or ast.unparse(statement.value).startswith("_log.")


def _own_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions of a statement, but not those of the statements in its block, nor annotations."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from (default for default in (*statement.args.defaults, *statement.args.kw_defaults) if default)
        return
    if isinstance(statement, ast.ClassDef):
        return
    for name, value in ast.iter_fields(statement):
        if name == "annotation":
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.expr):
                yield item
            elif isinstance(item, ast.withitem):
                yield item.context_expr


def _changes_of_statement(statement: ast.stmt, tree: ast.Module) -> Iterator[Change]:
    if isinstance(statement, ast.Raise | ast.Delete | ast.Continue | ast.Break) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call | ast.Await)
    ):
        yield statement, statement, "pass"
    elif isinstance(statement, ast.Return) and statement.value is not None and ast.unparse(statement.value) != "None":
        yield statement, statement, "return None"
    elif isinstance(statement, ast.Assign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        # A local name that is bound nowhere else would be missed by the next line that has it.
        if all(not isinstance(target, ast.Name) or _is_bound_twice(target.id, tree) for target in targets):
            yield statement, statement, "pass"
        if isinstance(statement, ast.AugAssign) and (other := _OPERATORS.get(type(statement.op))):
            changed = copy.copy(statement)
            changed.op = other()
            yield statement, statement, ast.unparse(changed)
    elif isinstance(statement, ast.If | ast.While):
        if not isinstance(statement.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            yield statement, statement.test, f"not ({ast.unparse(statement.test)})"
    elif isinstance(statement, ast.Try):
        for handler in statement.handlers:
            if isinstance(handler.type, ast.Tuple):
                for left_out in handler.type.elts:
                    rest = ", ".join(ast.unparse(each) for each in handler.type.elts if each is not left_out)
                    # The handler's line, not that of the whole statement.
                    yield _at(handler), handler.type, f"({rest},)"


def _at(handler: ast.ExceptHandler) -> ast.stmt:
    return ast.Pass(lineno=handler.lineno, end_lineno=handler.lineno, col_offset=0, end_col_offset=0)


def _is_bound_twice(name: str, tree: ast.Module) -> bool:
    stores = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return sum(node.id == name for node in stores) > 1


def _changes_of_expression(expression: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    for node in _walk(expression):
        for changed in _changed(node):
            text = ast.unparse(ast.fix_missing_locations(changed))
            yield node, text if isinstance(changed, ast.Constant | ast.Call | ast.Name) else f"({text})"


def _walk(expression: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of an expression that decide something: no text for people, nothing within an f-string."""
    if isinstance(expression, ast.JoinedStr):
        return
    yield expression
    for child in ast.iter_child_nodes(expression):
        if isinstance(child, ast.expr):
            yield from _walk(child)
        elif isinstance(child, ast.keyword):
            yield from _walk(child.value)
        elif isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):
                yield from _walk(part)


def _changed(node: ast.expr) -> Iterable[ast.expr]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                yield ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.IfExp) and not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"min", "max"}:
        yield ast.Call(ast.Name("max" if node.func.id == "min" else "min"), node.args, node.keywords)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"any", "all"}:
        yield ast.Call(ast.Name("all" if node.func.id == "any" else "any"), node.args, node.keywords)
