"""How good predictions are: labels, figures of merit with their intervals, and a model measured on a labelled set.

`labels` reads what people say. `outcome` holds that beside what a device says and turns both into figures, by `metrics` (pure
functions of arrays) and `bootstrap`. `tables` writes figures as JSON and Markdown. `run` measures a model on a labelled list.
Whoever measures - the command `evaluate`, the studies, the INT8 gate, the model card - calls these.
"""
