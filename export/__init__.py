"""Workstation tools: torch checkpoint -> ONNX -> INT8, with a check at every step. Needs the extra `export`."""
