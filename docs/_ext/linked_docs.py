"""Links into the documentation of other projects, made from names alone: nothing is fetched."""

from __future__ import annotations

from typing import Any

from docutils import nodes

PAGES = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{}.html",
    "pandas": "https://pandas.pydata.org/docs/reference/api/{}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{}.html",
}
# objects that are documented on another page than their own name says
OTHER_NAMES = {"sklearn.base.BaseEstimator.set_output": "sklearn.base.TransformerMixin"}


def resolve(app: Any, env: Any, node: Any, contnode: nodes.Element) -> nodes.reference | None:
    """Turn a reference to an object of another project into a link."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    page = PAGES.get(target.partition(".")[0])
    if page is None or "." not in target:
        return None
    reference = nodes.reference("", "", internal=False, refuri=page.format(OTHER_NAMES.get(target, target)))
    reference += contnode
    return reference


def setup(app: Any) -> dict[str, bool]:
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
