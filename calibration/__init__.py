"""Calibration sets for INT8: crops of ACNE04 training photographs, listed by name and hash."""
