from __future__ import annotations

import onnx

from calibration.ranges import Ranges
from export.bench import float_layers, interleaved, table
from export.quantize import KEPT, cpu, quantize


def test_calls_take_turns_and_warm_up() -> None:
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)
    assert "".join(order) == "ab" * 5
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_the_table_shows_medians_and_speed() -> None:
    lines = table({"slow": [10.0, 20.0, 90.0], "fast": [5.0, 5.0, 5.0]}, "slow").splitlines()
    assert lines[1].split() == ["slow", "20.00", "11.00", "83.00", "1.00x"]
    assert lines[2].split() == ["fast", "5.00", "5.00", "5.00", "4.00x"]


def test_float_layers_are_the_kept_and_the_excluded(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    left = float_layers(quantize(graph, ranges["minmax"], cpu(), ["resnet.conv1"]))
    assert "resnet.conv1" in left
    assert all(name.startswith(KEPT) or name == "resnet.conv1" for name in left)
    assert len(left) == 9
