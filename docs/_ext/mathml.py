"""Formulas as MathML, which browsers show without a script and without the network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

# what docutils does not know of TeX: brackets grow by themselves in MathML
REPLACED = [
    (r"\\[bB]igg?[lr]?(?![a-zA-Z])", ""),
    (r"\\dots(?![a-zA-Z])", r"\\ldots "),
    (r"\\([td]?frac)\s*(\d)\s*(\w)", r"\\\1{\2}{\3}"),
]


def to_mathml(tex: str, node: nodes.Element, as_block: bool) -> str:
    for pattern, replacement in REPLACED:
        tex = re.sub(pattern, replacement, tex)
    try:
        return tex2mathml(tex, as_block=as_block)
    except MathError as error:
        logger.warning("formula not understood: %s (%s)", tex, error, location=node)
        return f"<code>{tex}</code>"


def visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(to_mathml(node.astext(), node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math-block">{to_mathml(node.astext(), node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
