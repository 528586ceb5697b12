"""A disk cache of the graphs that ONNX Runtime has optimised, because optimising takes two thirds of a session's start.

A file's name holds the model file, the kind of processor and the version of ONNX Runtime that the graph is for. It also holds
the graph's own sha256, which is checked on every load. Nobody else may write to the folder, as with engine caches.
The cache is optional: files that cannot be read or written are ignored. `ACNE_EDGE_GRAPH_CACHE=0` switches it off.
"""

from __future__ import annotations

import hashlib
import os

from acne_edge.errors import BackendError
from acne_edge.files import cache_folder, private

SWITCH = "ACNE_EDGE_GRAPH_CACHE"
KEPT = 4  # graphs; the oldest are deleted
PROCESSOR_KEYS = ("vendor_id", "model name", "flags", "Features", "CPU implementer", "CPU part")


class GraphCache:
    """One model's graphs in the cache. `sha256` is the model file's, in hexadecimal."""

    def __init__(self, sha256: str) -> None:
        self._key = hashlib.sha256(f"{sha256}\n{processor()}".encode()).hexdigest()[:32]
        self.draft: str | None = None  # the file that ONNX Runtime is to write the graph to; None: the cache is of no use
        if os.environ.get(SWITCH) == "0":
            return
        try:
            self._folder = cache_folder("graphs")
            private(self._folder)
        except BackendError:
            return
        self.draft = os.path.join(self._folder, f".{self._key}.{os.getpid()}.tmp")

    def load(self) -> dict[str, bytes]:
        """The graphs by version of ONNX Runtime, each whole and unchanged since it was kept; mostly one or none."""
        graphs: dict[str, bytes] = {}
        if self.draft is None:
            return graphs
        try:
            for name in os.listdir(self._folder):
                key, _, rest = name.partition("-")
                if key == self._key:
                    path, runtime = os.path.join(self._folder, name), rest.rpartition("-")[0]
                    with open(path, "rb") as stream:
                        graph = stream.read()
                    if name == self._name(runtime, graph):
                        graphs[runtime] = graph
                    else:
                        os.unlink(path)
        except OSError:
            pass
        return graphs

    def keep(self, runtime: str) -> None:
        """Give the draft its final name, if it was written, and delete the oldest graphs."""
        if self.draft is None:
            return
        try:
            with open(self.draft, "rb") as stream:
                name = self._name(runtime, stream.read())
            os.replace(self.draft, os.path.join(self._folder, name))
            graphs = [entry for entry in os.scandir(self._folder) if entry.name.endswith(".onnx")]
            for entry in sorted(graphs, key=lambda e: e.stat().st_mtime_ns)[:-KEPT]:
                os.unlink(entry.path)
        except OSError:
            self.drop()

    def drop(self) -> None:
        """Remove the draft."""
        if self.draft is not None and os.path.exists(self.draft):
            os.unlink(self.draft)

    def _name(self, runtime: str, graph: bytes) -> str:
        return f"{self._key}-{runtime}-{hashlib.sha256(graph).hexdigest()}.onnx"


def processor() -> str:
    """The lines that identify this kind of processor; an optimised graph may depend on it."""
    words = [os.uname().machine] if hasattr(os, "uname") else []
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            first = stream.read(8192).split("\n\n")[0]
        words += [line for line in first.splitlines() if line.partition(":")[0].strip() in PROCESSOR_KEYS]
    except OSError:
        pass
    return "\n".join(words)
