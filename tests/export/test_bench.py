from __future__ import annotations

import onnx
import pytest

from calibration.ranges import Ranges
from export.bench import float_layers, interleaved, operator_table, operators, table
from export.quantize import KEPT, cpu, quantize
from tests.toy_model import draw_images


def test_calls_take_turns_and_warm_up() -> None:
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)
    assert "".join(order) == "ab" * 5
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_the_table_shows_medians_and_speed() -> None:
    lines = table({"slow": [10.0, 20.0, 90.0], "fast": [5.0, 5.0, 5.0]}, "slow").splitlines()
    assert lines[1].split() == ["slow", "20.00", "11.00", "83.00", "1.00x"]
    assert lines[2].split() == ["fast", "5.00", "5.00", "5.00", "4.00x"]


@pytest.mark.slow
def test_operators_are_counted_as_the_runtime_fuses_them(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    """Every layer that the recipe quantises runs in an integer kernel, and no Relu, Q or DQ is left inside the ResNet."""
    int8 = quantize(graph, ranges["minmax"], cpu())
    found = operators(int8.SerializeToString(), draw_images(1, seed=0), threads=1, rounds=5)
    counts = {kind: number for kind, (number, _) in found.items()}
    assert counts["QLinearConv"] == 18
    assert counts["QGemm"] == 6
    assert counts["QLinearAdd"] == 7
    assert "Relu" not in counts
    assert counts["DequantizeLinear"] <= 5  # features that leave the ResNet
    assert all(ms >= 0 for _, ms in found.values())


def test_the_operators_of_two_files_stand_side_by_side() -> None:
    lines = operator_table({"Conv": (20, 30.0), "Relu": (2, 0.1)}, {"QLinearConv": (20, 15.0), "Relu": (1, 0.1)}).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["Conv", "20", "30.00", "0", "0.00"],
        ["QLinearConv", "0", "0.00", "20", "15.00"],
        ["others", "2", "0.10", "1", "0.10"],
        ["all", "22", "30.10", "21", "15.10"],
    ]


@pytest.mark.slow
def test_float_layers_are_the_kept_and_the_excluded(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    left = float_layers(quantize(graph, ranges["minmax"], cpu(), ["resnet.conv1"]))
    assert "resnet.conv1" in left
    assert all(name.startswith(KEPT) or name == "resnet.conv1" for name in left)
    assert len(left) == 9
