"""Lets the C++ library and the Python SDK predict golden photographs on another kind of processor, and compares.

python same_in_python.py GOLDEN EVERY --library COMMAND... --python COMMAND...

COMMAND is acne_edge_bench, or Python with the SDK's dependencies, each as an emulator runs it. Every EVERYth photograph is taken.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEAR = {"count": 0.05, "grade_probs": 0.002}
SAME = ("count_interval", "grade", "grade_set", "scale", "abstained", "model")

PREDICT = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from acne_edge import AcneGrader
grader = AcneGrader.load(sys.argv[3], threads=1)
for path in sys.argv[4:]:
    print(json.dumps(grader.predict(path).to_dict()), flush=True)
"""


def difference(ours: Any, theirs: Any) -> float:
    """The largest, of numbers or lists of numbers."""
    if isinstance(ours, list):
        return max(difference(a, b) for a, b in zip(ours, theirs, strict=True))
    return float(abs(ours - theirs))


def main(golden: Path, every: int, library: list[str], python: list[str]) -> None:
    """Print a line for each photograph; exit with an error if one is predicted differently."""
    cases = [case for case in json.loads((golden / "cases.json").read_text())["cases"][::every] if "error" not in case]
    photographs = [str(golden / f"{case['name']}.jpg") for case in cases]
    model = str(golden / "model.onnx")
    packages = Path(python[python.index("-L") + 1], "packages") if "-L" in python else ROOT
    script = [*python, "-E", "-c", PREDICT, str(ROOT), str(packages), model, *photographs]
    lines = subprocess.run(script, check=True, capture_output=True, text=True, env={**os.environ, "ACNE_EDGE_GRAPH_CACHE": "0"})
    different = 0
    for case, photograph, line in zip(cases, photographs, lines.stdout.splitlines(), strict=True):
        once = [*library, "--once", "--threads", "1", "--model", model, "--image", photograph]
        ours = json.loads(subprocess.run(once, check=True, capture_output=True, text=True).stdout)
        theirs = json.loads(line)
        apart = {key: difference(ours[key], theirs[key]) for key in NEAR}
        same = all(apart[key] <= NEAR[key] for key in NEAR) and all(ours[key] == theirs[key] for key in SAME)
        different += not same
        here = case["predictions"][0]["count"]
        print(f"{case['name']}: {ours['count']} lesions, Python {theirs['count']}; {'same' if same else 'NOT THE SAME'}"
              f" (golden, on another processor: {here})", flush=True)  # fmt: skip
    sys.exit(f"{different} of {len(cases)} are predicted differently" if different else 0)


if __name__ == "__main__":
    words = sys.argv[1:]
    at = words.index("--python")
    main(Path(words[0]), int(words[1]), words[3:at], words[at + 1 :])
