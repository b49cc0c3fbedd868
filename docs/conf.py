"""The site of the documents: `make site` builds it from README.md, docs/ and the generated tables into out/site."""

project = "mmdata"
author = "The mmdata authors"
copyright = author  # noqa: A001  Sphinx's own name for it
extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "schemas/operators.md", "benchmarks/LOG.md"]
root_doc = "docs/index"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "mmdata"
html_copy_source = False
html_show_sphinx = False
suppress_warnings = ["misc.highlighting_failure"]  # blocks that show what a command printed have no language
