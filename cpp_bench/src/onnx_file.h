// What can be read of an ONNX file without ONNX Runtime.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace acne_edge {

// The manifest's text in the model's metadata, or nothing. A look ahead: what ONNX Runtime reads is what counts.
std::optional<std::string> find_manifest(const std::vector<std::uint8_t>& model);

}  // namespace acne_edge
