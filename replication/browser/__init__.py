"""The feature browser: a folder that opens by double click, without server and network, and from any static host.

What a run knows of its features becomes plain values (`schema`, read by `cards` and `about`), these become shards (`tables`, `site`), and the page
(`page/`) draws them. Published viewer files enter by the same values (`published`). Source: the paper's interactive explorer; see each module.
"""

MAP = "feature_umap"  # the study whose places and clusters the browser's map shows
