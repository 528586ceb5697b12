"""Trains the network on ACNE04. Needs the extra `train`; nothing on the device path imports this package."""
