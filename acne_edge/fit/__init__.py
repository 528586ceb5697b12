"""Fits constants, with numpy alone, on outputs for photographs that the network was not trained on.

`outputs` holds such outputs with their labels. `constants` chooses how to read a count and a grade from them, and fits the
temperature, the conformal quantiles and the abstention threshold. `positions` fits the threshold of positions. Fits that need
torch or scikit-learn are in `training.calibrate`.
"""
