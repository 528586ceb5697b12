"""Workstation tools: torch checkpoint -> ONNX -> INT8 -> engine, with a check at every step. Needs the extra `export`."""
