"""The floors of the house, and that nobody climbs: the rules of imports, read from the source and enforced.

A module imports its own room and the floors below it; never a floor above, never another room of its own floor.
`audioroto/__init__.py` and `__main__.py` are the roof and may reach down to everything.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FLOORS = [
    ["errors"],  # 0  what is said when it cannot go on
    ["files"],  # 1  files that are whole or not there
    ["config"],  # 2  every knob
    ["audio", "text", "nn", "score"],  # 3  signal · strings · layers · error rates
    ["features"],  # 4  waveform → frames
    ["corpus", "model"],  # 5  utterances and batches · networks, losses, checkpoint
    ["search"],  # 6  model outputs → hypotheses
    ["train", "infer", "export"],  # 7  fit a model · use a model · other runtimes
    ["bench", "serve"],  # 8  measure · answer over the network
    ["cli"],  # 9  verbs: parse, call, print
    ["__init__", "__main__"],  # the roof
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Importing these loads no torch, not even through what they import in turn: they work on NumPy arrays and text, or
# answer `audioroto --help`.
FREE_OF_TORCH = [
    "audioroto.__init__",
    "audioroto.__main__",
    "audioroto.errors",
    "audioroto.files",
    "audioroto.config",
    "audioroto.audio",
    "audioroto.text",
    "audioroto.score",
    "audioroto.search.hypothesis",
    "audioroto.search.ctc_greedy",
    "audioroto.search.ctc_beam",
    "audioroto.search.ctc_align",
    "audioroto.infer",
    "audioroto.cli",
]
MAY_USE_TORCH = [
    "audioroto.audio.perturb",  # only training uses it
    "audioroto.infer.engine",  # samples → log-probabilities by torch; its callers import it inside functions
]

# Slow to import: only inside the functions that need them, in every room.
ONLY_INSIDE_FUNCTIONS = {"librosa", "matplotlib", "torchaudio"}


MAX_LINES = 350  # of a file, so that it is read at one sitting


@dataclass(frozen=True)
class Import:
    """One imported name: `module` in full, at module level (`eager`) or inside a function or for type checks only."""

    module: str
    line: int
    eager: bool


def find_modules(package: Path) -> dict[str, Path]:
    """All modules as dotted names; a package is its folder's name, and the root is `audioroto.__init__`."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        if parts[-1] == "__init__" and len(parts) > 2:
            parts.pop()
        modules[".".join(parts)] = path
    return modules


def read_imports(tree: ast.Module, modules: dict[str, Path]) -> list[Import]:
    """The imports of a file; `from package import name` is the module package.name where there is one."""
    imports = []
    for node, eager in _walk(tree, eager=True):
        if isinstance(node, ast.Import):
            imports += [Import(_root_or(alias.name), node.lineno, eager) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                imports.append(Import(below if below in modules else _root_or(node.module), node.lineno, eager))
    return imports


def _walk(node: ast.AST, eager: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        )
        yield child, eager
        yield from _walk(child, eager and not lazy)


def _root_or(module: str) -> str:
    return "audioroto.__init__" if module == "audioroto" else module


def room_of(module: str) -> str:
    return module.split(".")[1]


def is_under(module: str, prefixes: list[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


ROOT = Path(__file__).resolve().parents[1]
MODULES = find_modules(ROOT / "audioroto")
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
IMPORTS = {module: read_imports(tree, MODULES) for module, tree in TREES.items()}


def find_climbs(module: str, imports: list[Import]) -> list[str]:
    """The imports of a module that are not of its own room and not of a floor below."""
    room, climbs = room_of(module), []
    for imported in imports:
        if imported.module.split(".")[0] != "audioroto" or room == "__init__":
            continue
        target = room_of(imported.module)
        if target != room and FLOOR_OF[target] >= FLOOR_OF[room]:
            climbs.append(f"line {imported.line}: {module} (floor {FLOOR_OF[room]}) imports {imported.module}")
    return climbs


def eager_chain_to(library: str, module: str, imports: dict[str, list[Import]]) -> list[str]:
    """How importing `module` loads `library`, from the one to the other; empty when it does not."""
    chains, seen = [[module]], {module}
    for chain in chains:
        for imported in imports.get(chain[-1], []):
            if not imported.eager:
                continue
            if imported.module.split(".")[0] == library:
                return [*chain, imported.module]
            if imported.module in imports and imported.module not in seen:
                seen.add(imported.module)
                chains.append([*chain, imported.module])
    return []


def find_cycle(imports: dict[str, list[Import]]) -> list[str]:
    """Modules that import one another in a circle, at whatever level; empty when there are none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done or module not in imports:
            return []
        for imported in imports[module]:
            if cycle := visit(imported.module, [*path, module]):
                return cycle
        done.add(module)
        return []

    return next((cycle for module in imports if (cycle := visit(module, []))), [])


@pytest.mark.parametrize("module", MODULES)
def test_every_module_stands_on_a_floor(module: str) -> None:
    assert room_of(module) in FLOOR_OF, f"give {module} a floor in FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    assert find_climbs(module, IMPORTS[module]) == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute_and_name_what_they_take(module: str) -> None:
    imports = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ImportFrom)]
    assert [node.lineno for node in imports if node.level > 0] == [], "relative imports"
    assert [node.lineno for node in imports if node.names[0].name == "*"] == [], "star imports"


def test_no_circular_imports() -> None:
    assert find_cycle(IMPORTS) == []


@pytest.mark.parametrize("module", [module for module in MODULES if is_under(module, FREE_OF_TORCH)])
def test_these_load_no_torch(module: str) -> None:
    if not is_under(module, MAY_USE_TORCH):
        assert eager_chain_to("torch", module, IMPORTS) == []


@pytest.mark.parametrize("module", MODULES)
def test_slow_libraries_are_imported_where_they_are_used(module: str) -> None:
    eager = [imported for imported in IMPORTS[module] if imported.eager]
    assert [imported for imported in eager if imported.module.split(".")[0] in ONLY_INSIDE_FUNCTIONS] == []


@pytest.mark.parametrize("module", [module for module, path in MODULES.items() if path.name == "__init__.py"])
def test_rooms_have_empty_entrances(module: str) -> None:
    """Only the root has code in `__init__.py`; a room's may hold its docstring, and config's hands its names on."""
    if module != "audioroto.__init__":
        allowed = ast.ImportFrom | ast.Assign if module == "audioroto.config" else ()
        body = [node for node in TREES[module].body if not isinstance(node, allowed)]
        assert [
            node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        ] == []


@pytest.mark.parametrize("library", ["torch", "torchaudio", "librosa", "sentencepiece", "jiwer", "soundfile"])
def test_what_is_installed_is_used(library: str) -> None:
    """A verb reaches a module that imports it; `doctor`, which only asks for versions, does not count."""
    reached = [module for module in MODULES if is_under(module, ["audioroto.cli"]) and module != "audioroto.cli.doctor"]
    users = []
    for module in reached:
        for imported in IMPORTS[module]:
            if imported.module in MODULES and imported.module not in reached:
                reached.append(imported.module)
            if imported.module.split(".")[0] == library:
                users.append(module)
    assert users


@pytest.mark.parametrize("folder", ["audioroto", "tests"])
def test_files_are_short(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    num_lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert num_lines
    assert {path: number for path, number in num_lines.items() if number > MAX_LINES} == {}


def test_the_rules_see_what_they_forbid() -> None:
    """The readers above, held against a house that breaks each rule."""
    sources = {
        "audioroto.nn.a": "import torch\nfrom audioroto.nn import b",
        "audioroto.nn.b": "def f():\n    import audioroto.nn.a",
        "audioroto.text.c": "from audioroto.nn.a import X",
        "audioroto.model.d": "from audioroto.cli import main\nfrom audioroto import __version__",
        "audioroto.score.e": "if TYPE_CHECKING:\n    import torch\ndef f():\n    import torch",
    }
    modules = dict.fromkeys(sources, Path())
    imports = {module: read_imports(ast.parse(source), modules) for module, source in sources.items()}
    assert [bool(find_climbs(module, imports[module])) for module in sources] == [False, False, True, True, False]
    assert len(find_climbs("audioroto.model.d", imports["audioroto.model.d"])) == 2
    assert find_cycle(imports) == ["audioroto.nn.a", "audioroto.nn.b", "audioroto.nn.a"]
    assert eager_chain_to("torch", "audioroto.text.c", imports) == ["audioroto.text.c", "audioroto.nn.a", "torch"]
    assert eager_chain_to("torch", "audioroto.score.e", imports) == []
