"""How good predictions are: labels, figures of merit, and a model measured on a labelled set."""
