"""The floors of the library: imports point down, come from the defining module, and form no cycle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import skmm

ROOT = Path(skmm.__file__).parent

# file or folder of skmm -> floor; a new one is added here, on purpose
FLOORS = {
    "_blocks": 0,
    "_torch": 0,
    "probability": 1,
    "datasets": 1,
    "metrics": 1,
    "networks": 2,
    "training": 3,
    "inference": 4,
    "_estimator": 5,
    "impute": 6,
    "multiple_imputation": 6,
    "persistence": 6,
    "plotting": 6,
    "recipes": 6,
    "scorers": 6,
    "vae": 6,
    "vrnn": 6,
    "supervised": 7,
    "__init__": 8,
}
# imported inside the functions that need them, and only there: optional extras, and what few users need
# and would be a third of the time of `import skmm`
LATE = {
    "matplotlib",
    "sklearn.cluster",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.neighbors",
}


class Import(NamedTuple):
    """One import statement of one module; ``names`` is None for ``import module``."""

    line: int
    module: str
    names: tuple[str, ...] | None
    in_function: bool
    for_type_checking: bool


class Imports(ast.NodeVisitor):
    """Collects every import of a module, wherever it stands."""

    def __init__(self, source: str) -> None:
        self.found: list[Import] = []
        self.in_function = False
        self.for_type_checking = False
        self.visit(ast.parse(source))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node.lineno, alias.name, None)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        self._add(node.lineno, module, tuple(alias.name for alias in node.names))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside, self.in_function = self.in_function, True
        self.generic_visit(node)
        self.in_function = outside

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node: ast.If) -> None:
        outside = self.for_type_checking
        self.for_type_checking = outside or ast.unparse(node.test).endswith("TYPE_CHECKING")
        self.generic_visit(node)
        self.for_type_checking = outside

    def _add(self, line: int, module: str, names: tuple[str, ...] | None) -> None:
        self.found.append(Import(line, module, names, self.in_function, self.for_type_checking))


def defined_in(source: str) -> set[str]:
    """Names at the top of a module that it defines itself, as opposed to those it has imported."""
    names: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(source).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)  # what is inside belongs to it, not to the module
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        pending.extend(ast.iter_child_nodes(node))
    return names


def unit_of(module: str) -> str:
    """Name the file or folder directly under skmm that holds a module."""
    return [*module.split("."), "__init__"][1]


def folder_of(module: str) -> str:
    return module.rpartition(".")[0]


def complaints(module: str, sources: dict[str, str]) -> Iterator[str]:
    """Say what is wrong with the imports of one of the modules."""
    if unit_of(module) not in FLOORS:
        yield f"{module} has no floor: add it to FLOORS"
        return
    floor = FLOORS[unit_of(module)]
    for line, target, names, in_function, for_type_checking in Imports(sources[module]).found:
        where = f"{module}:{line} imports {target}"
        package = target.split(".")[0]  # empty for a relative import
        if package in LATE or ".".join(target.split(".")[:2]) in LATE:
            if not (in_function or for_type_checking):
                yield f"{where}, which is to be late, outside a function"
        elif in_function:
            yield f"{where} inside a function"
        if package not in ("skmm", ""):
            continue
        if names is None:
            yield f"{where} as a module: import the names it defines"
        elif target not in sources:
            yield f"{where}, which is no module of skmm"
        elif unit_of(target) in FLOORS:  # where not, the complaint is about the target itself
            for name in sorted(set(names) - defined_in(sources[target])):
                yield f"{where}.{name}, which is not defined there"
            below = FLOORS[unit_of(target)]
            # a package whose __init__ names what its files define lies in its own folder; folders in a folder
            # may be seen from it, and not the other way
            folder = folder_of(target)
            inside = unit_of(target) == unit_of(module) and folder.startswith(f"{folder_of(module)}.")
            neighbours = folder in (folder_of(module), module) or inside
            if below > floor or (below == floor and not neighbours):
                yield f"{where}: floor {floor} must not see floor {below}"


def cycle_in(sources: dict[str, str]) -> list[str]:
    """Find modules that import one another in a circle; empty where there are none."""
    graph = {module: {found.module for found in Imports(source).found} for module, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Source of every module by its dotted name; packages go by the name of their folder."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def test_imports_obey_the_floors(sources):
    assert [complaint for module in sources for complaint in complaints(module, sources)] == []


def test_imports_form_no_cycle(sources):
    assert cycle_in(sources) == []


def test_every_folder_is_a_package():
    """A folder without __init__.py works in a checkout but is left out of the wheel."""
    folders = {path.parent for path in ROOT.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


# the checks themselves, on modules that do not exist

SANE = {
    "skmm": "from skmm.vae import VAE\n__version__ = '0'",
    "skmm._blocks": "'A folder of modules.'",
    "skmm._blocks.layout": "from skmm._blocks.blocks import Blocks\nLAYOUT: int = 1",
    "skmm._blocks.blocks": "import numpy as np\nclass Blocks: ...",
    "skmm._torch": "def seed():\n    local = 1",
    "skmm.datasets": "from skmm.datasets.tables import make_table",
    "skmm.datasets.tables": "def make_table(): ...",
    "skmm.probability.fusion": "FUSIONS = {}",
    "skmm.vae": "from skmm._blocks.layout import LAYOUT\nclass VAE: ...",
    "skmm.plotting": "from skmm.vae import VAE\ndef plot():\n    import matplotlib.pyplot as plt",
}


def test_sane_imports_pass():
    assert [complaint for module in SANE for complaint in complaints(module, SANE)] == []
    assert cycle_in(SANE) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("skmm.probability.fusion", "from skmm.vae import VAE", "floor 1 must not see floor 6"),
        ("skmm._blocks.blocks", "from skmm._torch import seed", "floor 0 must not see floor 0"),
        ("skmm._torch", "if TYPE_CHECKING:\n    from skmm.vae import VAE", "floor 0 must not see floor 6"),
        ("skmm.datasets", "from skmm.probability.fusion import FUSIONS", "floor 1 must not see floor 1"),
        ("skmm.probability.fusion", "from skmm.datasets.tables import make_table", "floor 1 must not see"),
        ("skmm.vae", "from skmm.datasets import make_table", "make_table, which is not defined there"),
        ("skmm.vae", "from skmm import __version__", "floor 6 must not see floor 8"),
        ("skmm.vae", "from skmm._blocks.layout import Blocks", "layout.Blocks, which is not defined there"),
        ("skmm.vae", "from skmm._blocks import layout", "_blocks.layout, which is not defined there"),
        ("skmm.vae", "from skmm._torch import local", "_torch.local, which is not defined there"),
        ("skmm.vae", "from .plotting import plot", "imports .plotting, which is no module"),
        ("skmm.vae", "import skmm._torch", "as a module"),
        ("skmm.vae", "class A:\n    def f(self):\n        from skmm._torch import seed", "inside a function"),
        ("skmm.vae", "def f():\n    import pandas", "imports pandas inside a function"),
        ("skmm.plotting", "import matplotlib.pyplot as plt", "late, outside a function"),
        ("skmm.metrics", "from sklearn.metrics import r2_score", "late, outside a function"),
        ("skmm.utils", "", "skmm.utils has no floor"),
        ("skmm.helpers.text", "", "skmm.helpers.text has no floor"),
    ],
)
def test_wrong_imports_are_found(module, source, complaint):
    (found,) = complaints(module, SANE | {module: source})
    assert complaint in found


def test_cycles_are_found():
    cyclic = SANE | {"skmm._blocks.blocks": "from skmm._blocks.layout import LAYOUT\nclass Blocks: ..."}
    assert set(cycle_in(cyclic)) == {"skmm._blocks.layout", "skmm._blocks.blocks"}
