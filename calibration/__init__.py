"""Calibration for INT8: crops of ACNE04 training photographs, listed by name and hash, and activation ranges measured on them."""
