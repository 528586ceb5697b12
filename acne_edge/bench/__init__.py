"""Measures speed on this machine: latency of contenders in turn, cold start, throughput, memory."""
