"""Formats benchmark reports, and the comparison of two, as text."""

from __future__ import annotations

from typing import Any


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    first = report["contenders"][0]
    columns = [c for c in ("min", "mean", "p50", "p90", "p99") if c in first["stages"]["total"]]
    lines = []
    for contender in report["contenders"]:
        lines.append(f"{contender['name']} ({report['samples']} samples, ms)")
        lines.append(f"  {'stage':<15}" + "".join(f"{c:>9}" for c in (*columns, "cv")))
        for stage, s in contender["stages"].items():
            lines.append(f"  {stage:<15}" + "".join(f"{s[c]:>9.2f}" for c in columns) + f"{100 * s['cv']:>8.1f}%")
        lines += [f"  warning: {w}" for w in contender["warnings"]]
    base = first["stages"]["total"]["p50"]
    for other in report["contenders"][1:]:
        lines.append(f"{other['name']}: {other['stages']['total']['p50'] / base:.2f} times the p50 of {first['name']}")
    c = report["cold_start"]
    process, first = f"{c['process_ms']:.0f} ms", f"{c['first_inference_ms']:.0f} ms"
    lines.append(f"cold start: process {process}, {c['process_ratio']:.2f} times the bare imports ({c['imports_ms']:.0f} ms)")
    lines.append(f"  --help {c['help_ratio']:.2f} times; session {c['session_ms']:.0f} ms, first inference {first}")
    if "cpp_process_ms" in c:
        lines.append(f"  of the C++ library: process {c['cpp_process_ms']:.0f} ms, {c['cpp_ratio']:.1f} times faster")
    if "throughput" in report:
        t = report["throughput"]
        rate, ratio = t["images_per_second"], t["ratio"]
        lines.append(f"throughput: {rate:.1f} images/s, {ratio:.2f} times a loop over predict ({t['streams']} processors)")
    if "peak_rss_mb" in c:
        lines.append(f"peak resident memory of one prediction: {c['peak_rss_mb']:.0f} MB")
    e = report["environment"]
    lines.append(f"on {e['cpu']}, {e['cores']} cores [{' '.join(e['cpu_flags'])}], ONNX Runtime {e['versions']['onnxruntime']}")
    lines.append(f"   device {e['device']}, governor {e['governor']}, {e['system']}, Python {e['python']}")
    return "\n".join(lines)


def comparison_table(comparison: dict[str, Any]) -> str:
    """A comparison as text."""
    lines = [f"{side}  {r['path']}: {r['model']} on {r['machine']}" for side, r in zip("AB", comparison["reports"], strict=True)]
    for pair in comparison["comparisons"]:
        names, (a, b) = list(dict.fromkeys(pair["contenders"])), pair["samples"]
        lines.append(f"{' against '.join(names)} ({a} and {b} samples, medians in ms)")
        lines.append(f"  {'stage':<15}{'A':>9}{'B':>9}{'B / A':>8}  95 % interval")
        for stage, s in pair["stages"].items():
            ratio = "       -" if s["ratio"] is None else f"{s['ratio']:>8.2f}"
            interval = "" if s["low"] is None else f"{s['low']:.2f}-{s['high']:.2f}"
            row = f"  {stage:<15}" + "".join(f"{m:>9.2f}" for m in s["median_ms"]) + f"{ratio}  {interval}"
            lines.append(row.rstrip())
        lines.append(f"  {pair['verdict']}")
        lines += [f"  warning: {w}" for w in pair["warnings"]]
    lines += [f"warning: {w}" for w in comparison["warnings"]]
    lines.append("The intervals hold for these two runs. Runs of another hour differ too: repeat both before you decide.")
    return "\n".join(lines)
