"""Directives that read the registries: what is named there is documented, without being listed twice."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util import logging

import skmm

logger = logging.getLogger(__name__)


def _registry(path: str) -> dict[str, Any]:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _where(thing: Any) -> str | None:
    """Name under which an object is documented; None for what has no name of its own."""
    name = getattr(thing, "__qualname__", None)
    if name is None or not name.isidentifier():
        return None
    return f"skmm.{name}" if name in skmm.__all__ else f"{thing.__module__}.{name}"


def _first_sentence(thing: Any) -> str:
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return " ".join(paragraph.split())


def _role(thing: Any) -> str:
    return "class" if inspect.isclass(thing) else "func"


class Parsed(Directive):
    """Parse generated lines in place of the directive."""

    required_arguments = 1

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        container = nodes.container(classes=["building-blocks"])
        self.state.nested_parse(StringList(self.lines(), source=self.arguments[0]), 0, container)
        return container.children


class Registry(Parsed):
    """A table of the names of a registry, and what stands behind each."""

    def lines(self) -> list[str]:
        lines = [
            ".. list-table::",
            "   :header-rows: 1",
            "   :widths: auto",
            "",
            "   * - name",
            "     - what it is",
        ]
        for name, thing in _registry(self.arguments[0]).items():
            where = _where(thing)
            link = f":{_role(thing)}:`~{where}`: " if where else ""
            lines += [f'   * - ``"{name}"``', f"     - {link}{_first_sentence(thing)}"]
        return [*lines, ""]


class Recipes(Parsed):
    """A table of the recipes: what each maximises, when it pays, and how far it is the paper's."""

    def lines(self) -> list[str]:
        columns = {
            "maximises": "maximises",
            "use": "for",
            "avoid": "not where",
            "exact": "beside the paper",
        }
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 22 20 18 18", "", "   * - model"]
        lines += [f"     - {title}" for title in columns.values()]
        for name, made in _registry(self.arguments[0]).items():
            lines += [f'   * - ``"{name}"``: {made.paper}']
            lines += [f"     - {getattr(made, column)}" for column in columns]
        return [*lines, ""]


class Documented(Parsed):
    """Documentation of everything in a registry that has no page of its own."""

    def lines(self) -> list[str]:
        lines: list[str] = []
        seen = set()
        for thing in _registry(self.arguments[0]).values():
            where = _where(thing)
            if where is None or where in seen or where.count(".") == 1:
                continue
            seen.add(where)
            lines += [f".. auto{'class' if inspect.isclass(thing) else 'function'}:: {where}", ""]
        return lines


def check_public_names(app: Any, env: Any) -> None:
    """Warn of public names that the reference does not list."""
    text = (env.srcdir / "api" / "index.rst").read_text()
    for name in skmm.__all__:
        if f"   {name}\n" not in text:
            logger.warning("api/index.rst does not list skmm.%s", name)


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("registry", Registry)
    app.add_directive("recipes", Recipes)
    app.add_directive("registry-docs", Documented)
    app.connect("env-updated", check_public_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
