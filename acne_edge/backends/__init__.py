"""Runtimes behind one protocol, `Backend`; each module is imported only when it is chosen."""
