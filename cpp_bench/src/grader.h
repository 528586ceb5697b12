// Walks a photograph through the six stages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "backend.h"
#include "image.h"
#include "prediction.h"

namespace acne_edge {

struct Options {
    acne_edge_backend backend = ACNE_EDGE_BACKEND_AUTO;
    int threads = 0;
    std::string scale;   // empty: the model's own
    std::string sha256;  // empty: not checked
};

class Grader {
public:
    // Throws Error.
    Grader(const std::string& path, const Options& options);

    // Both throw Error, and may be called by many threads at once.
    Prediction predict_jpeg(const std::uint8_t* data, std::size_t size) const;
    Prediction predict_rgb(const ImageView& image) const;

    const ModelInfo& model() const { return model_; }
    const std::string& manifest_text() const { return backend_->manifest_text(); }

private:
    class Clock;
    Prediction predict_decoded(const ImageView& image, Clock& clock) const;

    std::unique_ptr<Backend> backend_;
    Scale scale_;
    ModelInfo model_;
};

}  // namespace acne_edge
