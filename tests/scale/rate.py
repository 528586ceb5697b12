"""`python -m tests.scale.rate PHOTOGRAPHS`: a batch on a local Ray cluster against `predict_many` on the same processors.

Prints both rates in photographs a second; the cluster's start is left out, that of its graders is not. Exits with 1 if Ray's rate
is under .9 of the other. Needs the extra `ray`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from acne_edge import AcneGrader
from acne_edge.cpus import available_cpus
from acne_edge.models import load_model
from acne_edge.scale import ray_data
from acne_edge.scale.parts import Parts
from tests import drawing

LEAST = 0.9
DIFFERENT = 50  # photographs that are drawn; the others are links to them


def main(count: int) -> bool:
    """Measure both; returns whether Ray is fast enough."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            file = folder / f"{number:06d}.jpg"
            if number < DIFFERENT:
                file.write_bytes(drawing.encode(drawing.face(number, number, 1200, 1400), "JPEG"))
            else:
                file.hardlink_to(folder / f"{number % DIFFERENT:06d}.jpg")
        paths = sorted(map(str, folder.glob("*.jpg")))
        with AcneGrader.load(backend="onnxruntime") as grader:
            list(grader.predict_many(paths[: 4 * available_cpus()]))
            begin = time.perf_counter()
            alone = sum(1 for _ in grader.predict_many(paths)) / (time.perf_counter() - begin)
        ray = ray_data.connect()
        settings = ray_data.Settings(None, load_model().sha256, "onnxruntime")
        kept = Parts(folder / "results", settings.made_by())
        begin = time.perf_counter()
        done = sum(map(len, ray_data.predict([(path, None) for path in paths], settings, kept, available_cpus())))
        together = done / (time.perf_counter() - begin)
        ray.shutdown()
    print(f"predict_many {alone:.1f}/s, Ray {together:.1f}/s, ratio {together / alone:.3f} of at least {LEAST}")
    return done == count and together >= LEAST * alone


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1])) else 1)
