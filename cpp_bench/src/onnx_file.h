// Reads an ONNX file without ONNX Runtime.
#pragma once

#include <optional>
#include <string>

#include "mapped_file.h"

namespace acne_edge {

// The manifest's text in the model's metadata, or nothing. It is for a first look; the text that ONNX Runtime reads counts.
std::optional<std::string> find_manifest(ByteView model);

// Throws Error if a tensor of the model is stored in another file, or the model mentions one and cannot be searched. ONNX Runtime,
// given bytes, would look for that file in the working directory, and no digest covers it. As acne_edge/onnx_file.py does.
void refuse_external_data(ByteView model);

}  // namespace acne_edge
