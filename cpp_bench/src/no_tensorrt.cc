// Replaces session_tensorrt.cc in a build without TensorRT.
#include "backend.h"
#include "error.h"

namespace acne_edge {

std::unique_ptr<Backend> open_tensorrt(ByteView) {
    throw Error(ACNE_EDGE_STATUS_BACKEND,
                "this libacne_edge was built without TensorRT; build it where CMake finds NvInfer.h, or use an ONNX model");
}

}  // namespace acne_edge
