"""Workstation tools: torch checkpoint -> ONNX -> INT8 model files, checked at every step. Needs the extra `export`."""
