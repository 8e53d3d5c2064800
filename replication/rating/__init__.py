"""Blind ratings by people: a page that shows features and neurons alike, and files that hold what people said.

A rater sees the positive logits of a unit and windows from all activation intervals, forms one explanation, and scores intervals
by the paper's rubric. Features of the main dictionary, neurons of its model and features of a dictionary on shuffled copies of the
model come mixed. Source: paper, "Global analysis: manual interpretability" and the appendix on the rubric; the page is ours.
"""
