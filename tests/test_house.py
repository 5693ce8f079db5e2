"""The rules of the house, checked on the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from seqtool.settings.architectures import ARCHITECTURES

PACKAGE = Path(__file__).parent.parent / "seqtool"
# Imports point from right to left: a room may use those before it. `text`, `records` and `models` do not know each other.
ORDER = [
    "errors", "settings", "native", "files", "records", "text", "counts", "models", "runs", "vectors", "embeddings", "scoring", "generation",
    "training", "tasks", "exchange", "reports", "bench", "cli",
]  # fmt: skip
ONLY_IN = {"typer": "cli", "rich": "cli", "sentencepiece": "text"}


def sources() -> Iterator[tuple[str, Path, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        relative = file.relative_to(PACKAGE)
        room = relative.parts[0].removesuffix(".py")
        if room not in ("__init__", "__main__"):
            yield room, file, ast.parse(file.read_text())


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_every_room_is_in_the_order():
    assert {room for room, _, _ in sources()} == set(ORDER)


def test_imports_point_one_way():
    for room, file, tree in sources():
        for name in imports(tree):
            parts = name.split(".")
            if parts[0] == "seqtool" and len(parts) > 1:
                assert ORDER.index(parts[1]) <= ORDER.index(room), f"{file} imports {name}"
                apart = {room, parts[1]} & {"records", "text", "models"}
                assert len(apart) < 2, f"{file} imports {name}"


def test_every_module_has_a_test_file_of_its_name():
    tests, modules = PACKAGE.parent / "tests", (file.relative_to(PACKAGE) for _, file, _ in sources())
    missing = [
        str(name)
        for name in modules
        if name.name != "__init__.py" and not (tests / name.parent / f"test_{name.name}").is_file()
    ]
    assert not missing


def test_libraries_stay_in_their_rooms():
    for room, file, tree in sources():
        for name in imports(tree):
            assert ONLY_IN.get(name.split(".")[0], room) == room, f"{file} imports {name}"
            assert name.split(".")[0] not in ("pickle", "marshal", "shelve", "requests", "urllib"), f"{file}: {name}"


ARCHITECTURES_AT_HOME = (
    "settings/architectures.py", "models/cores/", "models/decoding/recurrent.py", "models/decoding/transformer.py",
    "models/decoding/stack.py", "models/cells.py", "models/recurrence.py", "settings/layouts.py", "exchange/layouts.py",
    "exchange/onnx_cores.py",
)  # fmt: skip
"""Where an architecture may be named: its entry, its own files, the cells and layer in C that these run, and where it
is said what other programs call its weights and equations.
"""


def architecture_names() -> set[str]:
    """The names of architectures, and of the classes in their own files."""
    classes = {
        node.name
        for file in (PACKAGE / "models" / "cores").glob("*.py")
        if file.name not in ("core.py", "decoder.py", "__init__.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    return classes | ARCHITECTURES.keys()


def test_nothing_else_names_an_architecture():
    """Neither as a string, nor by its class: what is known of one is data in its entry."""
    names, found = architecture_names(), []
    assert {"lstm", "Recurrent", "TransformerBlock"} <= names
    for _, file, tree in sources():
        if any(str(file.relative_to(PACKAGE)).startswith(home) for home in ARCHITECTURES_AT_HOME):
            continue
        for node in ast.walk(tree):
            said = {
                ast.Constant: lambda node: node.value,
                ast.Name: lambda node: node.id,
                ast.Attribute: lambda node: node.attr,
                ast.alias: lambda node: node.name,
            }.get(type(node), lambda node: None)(node)
            if isinstance(said, str) and said in names:
                found.append(f"{file.relative_to(PACKAGE)}:{node.lineno} {said}")
    assert not found


def test_config_and_cli_import_no_heavy_library_at_the_top():
    for room, file, tree in sources():
        if room in ("settings", "errors", "cli"):
            for node in tree.body:
                for name in imports(ast.Module([node], [])) if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                    assert name.split(".")[0] not in ("torch", "numpy", "sentencepiece", "safetensors"), (
                        f"{file}: {name}"
                    )


def test_the_library_never_prints_nor_exits():
    for room, file, tree in sources():
        if room == "cli":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "exit", "quit", "exec", "eval", "input"), f"{file}:{node.lineno}"
