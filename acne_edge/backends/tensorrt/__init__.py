"""TensorRT: builds engines from model files, keeps them, and runs them.

One builder serves three runtimes. It checks which features they have, not which version they are:

* TensorRT 10.x (JetPack 6 ships 10.3): the builder flags INT8 and FP16 allow these types;
* TensorRT 11: those flags are gone, every network is strongly typed, so FP16 is written into the graph before it is parsed;
* TensorRT for RTX (extra `tensorrt-rtx`): as 11, and it can build for a GPU that this machine does not have.

INT8 means the explicit Q/DQ file `*-int8-trt.onnx`; FP16 means the float file `*-fp32.onnx`. Calibrator classes are not used:
they are deprecated since 10.1 and gone in 11.

`engine_file` describes the file format of engines.

A machine without a GPU can show that the model parses and builds for SM86, SM89 and SM120 with TensorRT for RTX, and which
layers are INT8. **Only a device can show**, all at once by `acne-edge device-kit`, or by these commands:

* that an engine runs and gives the model's outputs:
  `python -m export verify RUN --model acne-edge-s-fp32.onnx --model acne-edge-s-int8-trt.onnx --engine`
* that TensorRT 10.x on a Jetson builds it: `acne-edge engine acne-edge-s-trt --target current`
* how fast it is: `trtexec --onnx=acne-edge-s-int8-trt.onnx --int8 --fp16 --shapes=image:1x256x256x3` (10.x).
"""

from __future__ import annotations

from typing import Literal

Target = Literal["current", "sm86", "sm89", "sm120"]  # the GPU of this machine, or a compute capability
Precision = Literal["int8", "fp16"]
