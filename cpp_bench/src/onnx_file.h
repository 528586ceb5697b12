// What can be read of an ONNX file without ONNX Runtime.
#pragma once

#include <optional>
#include <string>

#include "mapped_file.h"

namespace acne_edge {

// The manifest's text in the model's metadata, or nothing. For a first look: what ONNX Runtime reads is what counts.
std::optional<std::string> find_manifest(ByteView model);

}  // namespace acne_edge
