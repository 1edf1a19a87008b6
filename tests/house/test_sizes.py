"""Files and functions stay small enough to be read at one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield every function and method, nested ones too."""
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def lines(function: Function) -> int:
    """Count a function's lines from `def` to its last, without its docstring."""
    assert function.end_lineno is not None
    whole = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return whole
    assert first.end_lineno is not None
    return whole - (first.end_lineno - first.lineno + 1)


def outside_tests(path: Path) -> bool:
    return path.parts[0] != "tests"


def test_no_file_is_too_long(repository: Path, syntax: dict[Path, ast.Module]) -> None:
    counted = {path: len((repository / path).read_text("utf-8").splitlines()) for path in syntax if outside_tests(path)}
    assert not {str(path): count for path, count in counted.items() if count > LINES_OF_A_FILE}


def test_no_function_is_too_long(syntax: dict[Path, ast.Module]) -> None:
    counted = {
        f"{path}:{function.lineno} {function.name}": lines(function)
        for path, tree in syntax.items()
        if outside_tests(path)
        for function in functions(tree)
    }
    assert not {place: count for place, count in counted.items() if count > LINES_OF_A_FUNCTION}


@pytest.mark.parametrize(
    ("source", "count"),
    [("def f():\n    return 1", 2), ('def f():\n    """One.\n\n    Two."""\n    return 1', 2), ("def f(): ...", 1)],
)
def test_a_docstring_does_not_count(source: str, count: int) -> None:
    assert [lines(function) for function in functions(ast.parse(source))] == [count]
