// What can be read of an ONNX file without ONNX Runtime.
#pragma once

#include <optional>
#include <string>

#include "mapped_file.h"

namespace acne_edge {

// The manifest's text in the model's metadata, or nothing. For a first look: what ONNX Runtime reads is what counts.
std::optional<std::string> find_manifest(ByteView model);

// Throws Error if a tensor of the model lies in another file, or a file that speaks of one cannot be searched. ONNX Runtime, handed
// bytes, would look for that file in the working directory, and no digest covers it. As acne_edge/onnx_file.py does.
void refuse_external_data(ByteView model);

}  // namespace acne_edge
