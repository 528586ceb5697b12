// The backend interface: a loaded model that turns one packed image into three outputs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grading.h"
#include "manifest.h"
#include "model_file.h"

namespace acne_edge {

class Backend {
public:
    virtual ~Backend() = default;

    // The runtime and the device it uses, as in "onnxruntime:CPUExecutionProvider".
    virtual std::string name() const = 0;

    // The manifest's JSON text in the model file.
    virtual const std::string& manifest_text() const = 0;
    virtual const Manifest& manifest() const = 0;

    // Infer one image: uint8 [height, width, 3], RGB, of the manifest's size. May be called by many threads at once.
    virtual Outputs run(const std::uint8_t* image) const = 0;
};

// Load a model. Each throws Error; a backend that is not built in throws ACNE_EDGE_STATUS_BACKEND. `cache` is the folder of
// graph_cache.h, or empty; what comes from there is
// loaded without a look at the file, which may then still be unchecked.
std::unique_ptr<Backend> open_onnxruntime(const ModelFile& file, int threads, const std::string& cache);
std::unique_ptr<Backend> open_tensorrt(ByteView model);

}  // namespace acne_edge
