"""Measures how good predictions are: labels, figures of merit with intervals, and a whole model on a labelled set.

`labels` reads labels. `outcome` holds labels and results side by side and turns them into figures, by `metrics` (pure functions
of arrays) and `bootstrap`. `tables` writes figures as JSON and Markdown. `run` measures a model on a labelled list.
Everything that measures uses these: the command `evaluate`, the studies, the INT8 gate and the model card.
"""
