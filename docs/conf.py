"""Settings of the documentation site: ``make docs`` builds it, and every warning is an error.

Nothing is fetched: no intersphinx inventories at build time, and equations are MathML, so that
pages need no script from elsewhere when they are read.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_sphinx"), str(HERE.parent)]

import xdiffimpute  # noqa: E402

project = "xdiffimpute"
author = "The xdiffimpute developers"
copyright = author
release = xdiffimpute.__version__

extensions = [
    "myst_nb",  # brings myst_parser
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "families",
    "mathml",
    "notebooks",
]
exclude_patterns = ["_build", "_sphinx"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "off"  # notebooks are shown as they were committed
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings tell types, with shapes and units
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_google_docstring = False
napoleon_use_param = False  # types are words, not names to link
napoleon_use_rtype = False
nitpicky = True
nitpick_ignore_regex = [  # words in docstrings, and other packages: nothing is looked up outside
    (r"py:class", r"mapping|str to \w+"),
    (r"py:.*", r"(scipy|skimage)\..*"),
]

html_theme = "furo"
html_title = f"xdiffimpute {release}"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
toc_object_entries_show_parents = "hide"
html_static_path = ["_static"]
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
