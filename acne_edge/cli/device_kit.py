"""`acne-edge device-kit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from acne_edge.errors import UsageError


def device_kit(
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="JSON file to write.")] = Path("device-kit.json"),
    cpu: Annotated[bool, typer.Option("--cpu", help="Measure ONNX Runtime alone, on a machine without a GPU.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Measured predictions of each benchmark; p99 needs 100.")] = 100,
) -> None:
    """Measure this device with drawn photographs, and write one file to send back.

    Builds the TensorRT engine for this machine's GPU, compares its outputs with those of the ONNX file, measures speed, and
    judges perturbed copies, on GPU and CPU; takes minutes. The file holds figures and versions, but no photograph, path, host or
    user name. The exit code is 4 if a part fails; the file then says why, and is worth sending all the same.
    """
    from acne_edge.bench import kit
    from acne_edge.evaluation.tables import to_json
    from acne_edge.files import write

    if file.is_dir() or not file.parent.is_dir():
        raise UsageError(
            f"{file}: " + ("is a folder; --output names a file" if file.is_dir() else f"no such folder: {file.parent}")
        )
    report = kit.run(not cpu, samples, _tell)
    write(file, (to_json(report) + "\n").encode())
    failed = [name for name, part in report["parts"].items() if not part["ok"]]
    if failed:
        print(f"{file}: {len(failed)} of {len(report['parts'])} parts failed ({', '.join(failed)}); send it back all the same")
        raise typer.Exit(4)
    print(f"{file}: complete{'' if report['gpu'] else ', for the CPU alone'}; send it back. It holds no photograph, path or name")


def _tell(name: str, part: dict[str, Any]) -> None:
    """Print the line of a part."""
    print(f"{'ok' if part['ok'] else 'FAIL':<6}{name:<20} {_summary(name, part)}", flush=True)


def _summary(name: str, part: dict[str, Any]) -> str:
    if not part["ok"]:
        return str(part["error"]["message"])
    what = name.split()[-1]
    if what == "environment":
        gpu = part["gpu"]
        return f"{part['cpu']}" + (f", {gpu['name']}, {gpu['tensorrt']}" if gpu else "")
    if what == "engine":
        return (
            f"{part['build']['precision']} for {part['build']['gpu']}, {part['bytes'] / 1e6:.1f} MB, in {part['seconds']:.0f} s"
        )
    if what == "verification":
        closest = max(row["difference"] / row["tolerance"] for row in part["rows"])
        return f"{part['backend']}: the largest difference is {closest:.2f} of its limit"
    if what == "benchmark":
        return f"{part['contenders'][0]['stages']['total']['p50']:.1f} ms a photograph at the median"
    return f"{part['backend']}: {len(part['rows'])} rows on {len(part['drawn'])} drawn photographs"
