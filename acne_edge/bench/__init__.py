"""How long a photograph takes on this machine: contenders in turn, cold start, throughput, memory."""
