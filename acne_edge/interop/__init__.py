"""Results and annotations in formats that other programs read and write."""
