"""Sphinx configuration: Markdown through MyST, the furo theme, nothing fetched from a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parent / part) for part in ("envs", "agents", "bridges", "benchmarks")),
]

import generate  # noqa: E402  needs the path above

from tropism.envs import __version__  # noqa: E402

project = "Tropism"
author = "The Tropism developers"
copyright = "2026, The Tropism developers"  # noqa: A001  the name Sphinx reads
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures stay short; the text gives types and shapes
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Tropism {release}"


def setup(app):
    """Write the generated pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda _: generate.main())
