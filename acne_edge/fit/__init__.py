"""Constants that are fitted, with numpy alone, on outputs for photographs that the network was not trained on.

`outputs` holds such outputs with their labels; `constants` chooses from them how a count and a grade are read off, and fits the
temperature, the conformal quantiles and the abstention threshold. `positions` fits the
threshold of positions. What torch or scikit-learn fits is in `training.calibrate`.
"""
