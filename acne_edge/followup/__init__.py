"""Photographs of one person over time: what changed between two visits, and whether the change is more than measurement error."""
