"""The rules of docs/architecture.md that a parser can check: layers, cycles, purity, sizes, names, lazy imports."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "queuectl"

#: The layers, lowest first; a name stands for the module and all below it. "" is the package's own __init__.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "_version",
            "backoff",
            "errors",
            "fields",
            "job",
            "later",
            "lifecycle",
            "moments",
            "relaxed",
            "settings",
            "specs",
            "strict",
            "times",
            "tokens",
        }
    ),
    frozenset({"stores"}),
    frozenset(
        {
            "ending",
            "checkup",
            "liveness",
            "logs",
            "pool",
            "processes",
            "rescue",
            "outputs",
            "runner",
            "service",
            "strangers",
            "supervisor",
            "waiter",
            "watch",
            "worker",
        }
    ),
    frozenset({"commands", "completion", "display", "health", "pager", "pointing", "render", "screen"}),
    frozenset({"drafting", "notices", "observer", "prompt", "script", "shell"}),
    frozenset({"", "__main__", "cli", "launch"}),
)
#: What layer 0 may not import: time, randomness and the outside world come in as arguments.
IMPURE_MODULES = frozenset(
    {"io", "os", "pathlib", "random", "secrets", "shutil", "socket", "subprocess", "tempfile", "time", "uuid"}
)
#: What layer 0 may not call, by the last two parts of the name.
IMPURE_CALLS = frozenset({"datetime.now", "datetime.today", "datetime.utcnow", "date.today", "open", "input"})
#: Packages of the face: no lower layer knows how a line is parsed or shown.
FACE_LAYER = 3
FACE_PACKAGES = frozenset({"click", "prompt_toolkit", "rich"})
#: The modules that may print. pyproject.toml keeps the same list for ruff.
PRINTING = frozenset({"cli", "commands.output", "render", "script", "shell"})
PRINTING_CALLS = frozenset({"print", "click.echo", "click.secho"})
#: Imported only by what uses them: start-up has to stay fast.
LAZY_PACKAGES = ("prompt_toolkit", "rich", "psutil", "psycopg")

MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common"})


@cache
def modules() -> dict[str, Path]:
    """Return the package's modules by dotted name below the package; "" is its __init__."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def prefixes(name: str) -> Iterator[str]:
    """Yield ``a.b.c``, ``a.b``, ``a``."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(len(parts), 0, -1))


def is_below(module: str, names: frozenset[str]) -> bool:
    """Tell whether *module* or one of the packages it lies in is among *names*."""
    return not names.isdisjoint(prefixes(module))


def layer_of(module: str) -> int | None:
    return next((layer for layer, names in enumerate(LAYERS) if is_below(module, names)), None)


def imported_names(module: str) -> Iterator[tuple[str, int]]:
    """Yield the absolute name of all that *module* imports, wherever in it, with the line.

    ``from a import b`` gives ``a.b``, since ``b`` may be a module.
    """
    inside = modules()[module].name == "__init__.py"
    own_package = f"{PACKAGE}.{module}".rstrip(".").split(".")
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - inside
                base = ".".join([*own_package[: len(own_package) - up], *base.split(".")]).rstrip(".")
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def imported_modules(module: str) -> Iterator[tuple[str, int]]:
    """Yield the modules of the package that *module* imports, with the line."""
    for name, line in imported_names(module):
        top, _, rest = name.partition(".")
        if top != PACKAGE:
            continue
        if target := next((prefix for prefix in prefixes(rest) if prefix in modules()), None):
            yield target, line  # of a class or function, the module that it lies in
        elif "." not in rest and layer_of(rest) is None:
            yield "", line  # a name of the package itself


def dotted(node: ast.expr) -> str:
    """Return the name that *node* spells, ``a.b.c``, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls(module: str) -> Iterator[tuple[str, int]]:
    """Yield what *module* calls, by at most the last two parts of its name, with the line."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield ".".join(dotted(node.func).split(".")[-2:]), node.lineno


def at(module: str, line: int = 1) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def refuse(offenders: list[str]) -> None:
    """Fail with all of *offenders*, one a line."""
    if offenders:
        pytest.fail("\n".join(offenders), pytrace=False)


def test_every_module_has_a_layer() -> None:
    """A new module is put into LAYERS by whoever writes it: the layer is a decision."""
    refuse([at(module) for module in modules() if layer_of(module) is None])


def test_imports_go_down_or_stay_in_the_layer() -> None:
    wrong = [
        f"{at(module, line)} (layer {layer_of(module)}) imports {target or PACKAGE} (layer {layer_of(target)})"
        for module in modules()
        for target, line in imported_modules(module)
        if (layer_of(target) or 0) > (layer_of(module) or 0)
    ]
    refuse(wrong)


def test_imports_form_no_cycle() -> None:
    """Imports inside functions and under TYPE_CHECKING count: they are knowledge too."""
    graph = {module: sorted({target for target, _ in imported_modules(module)} - {module}) for module in modules()}
    finished: set[str] = set()

    def cycle_from(module: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if module in trail:
            return (*trail[trail.index(module) :], module)
        if module in finished:
            return ()
        for target in graph[module]:
            if cycle := cycle_from(target, (*trail, module)):
                return cycle
        finished.add(module)
        return ()

    refuse([" -> ".join(cycle) for module in graph if (cycle := cycle_from(module, ()))])


def test_layer_0_is_pure() -> None:
    pure = [module for module in modules() if layer_of(module) == 0]
    imports = [
        f"{at(module, line)} imports {name}"
        for module in pure
        for name, line in imported_names(module)
        if name.split(".")[0] in IMPURE_MODULES
    ]
    impure_calls = [
        f"{at(module, line)} calls {name}" for module in pure for name, line in calls(module) if name in IMPURE_CALLS
    ]
    refuse(imports + impure_calls)


def test_only_the_face_knows_the_packages_of_the_face() -> None:
    wrong = [
        f"{at(module, line)} imports {name}"
        for module in modules()
        for name, line in imported_names(module)
        if name.split(".")[0] in FACE_PACKAGES and (layer_of(module) or 0) < FACE_LAYER
    ]
    refuse(wrong)


def test_only_what_makes_output_prints() -> None:
    wrong = [
        f"{at(module, line)} calls {name}"
        for module in modules()
        for name, line in calls(module)
        if name in PRINTING_CALLS and not is_below(module, PRINTING)
    ]
    refuse(wrong)


def test_modules_are_short() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    refuse([f"{at(module, length)}" for module, length in lengths.items() if length > MAX_MODULE_LINES])


def test_functions_are_short() -> None:
    functions = [
        (module, node)
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    wrong = [
        f"{at(module, node.lineno)} {node.name}: {length} lines"
        for module, node in functions
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    refuse(wrong)


def test_module_names_say_what_is_in_them() -> None:
    refuse([at(module) for module in modules() if VAGUE_NAMES.intersection(module.replace("_", ".").split("."))])


def test_every_package_is_installed() -> None:
    """pyproject.toml lists the packages; a folder that it forgets would be missing from an installation."""
    folders = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in modules().values()}
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert sorted(stated) == sorted(folders)


def test_start_up_imports_no_heavy_package() -> None:
    check = f"import queuectl.cli, sys; print(*[name for name in {LAZY_PACKAGES!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
