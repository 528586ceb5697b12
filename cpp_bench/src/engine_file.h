// Reads the header of a TensorRT engine file and checks whether it fits this machine. acne_edge/backends/tensorrt/engine_file.py
// writes and describes the format. It is read without TensorRT, so that every build can test it.
#pragma once

#include <cstdint>
#include <string>

#include "manifest.h"
#include "mapped_file.h"

namespace acne_edge {

struct EngineFile {
    std::string tensorrt;  // package and full version, as in "tensorrt 10.3.0.26"
    std::string gpu;
    std::string compute_capability;  // as in "8.7"
    std::string manifest_text;
    Manifest manifest;
    const std::uint8_t* plan = nullptr;  // within the bytes that were read
    std::size_t plan_size = 0;
};

bool is_engine_file(ByteView bytes);

// Parse and check. Throws Error: damaged, or with a manifest that is refused.
EngineFile read_engine_file(ByteView bytes);

// Throws Error, naming what differs, unless the engine was built for this TensorRT and this GPU. A plan that was not can crash
// the process, so this comes before TensorRT sees it.
void check_fits(const EngineFile& engine, const std::string& tensorrt, const std::string& gpu,
                const std::string& compute_capability);

}  // namespace acne_edge
