"""Settings of the documentation: ``make docs`` builds it, without the network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when the first example imports it
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import skmm  # noqa: E402 - after the number of threads

project = "skmm"
author = "skmm developers"
project_copyright = "skmm developers, MIT licence"
release = version = skmm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",  # the changelog and the contributing guide are Markdown
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "building_blocks",
    "linked_docs",
    "mathml",
]
root_doc = "index"
exclude_patterns = ["_build", "figures", "_ext", "_templates", "auto_examples/*.ipynb", "auto_examples/*.py"]
templates_path = ["_templates"]
highlight_language = "python"
nitpicky = True
smartquotes = False  # quotes stand around values of parameters
toc_object_entries_show_parents = "hide"

autosummary_generate = True
autodoc_typehints = "none"  # types stand in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the template of classes documents methods on the page itself
numpydoc_xref_param_type = False
myst_heading_anchors = 2

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"[\\/]plot_",
    "within_subsection_order": "gallery_order.ReadingOrder",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skmm",),
    "abort_on_example_error": False,  # all of them are reported, and each is a warning, thus an error
    "min_reported_time": 1,
    "matplotlib_animations": False,
    "plot_gallery": "True",
    "show_memory": False,
    "remove_config_comments": True,
    "default_thumb_file": str(HERE / "images" / "complete_digits.png"),
    "parallel": 2,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skmm {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "skmm"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "install": [], "changelog": [], "contributing": []}
