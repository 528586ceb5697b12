// Takes a photograph through the seven stages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"
#include "image.h"
#include "prediction.h"

namespace acne_edge {

struct Options {
    acne_edge_backend backend = ACNE_EDGE_BACKEND_AUTO;
    int threads = 0;
    std::string scale;   // empty: the model's own
    std::string sha256;  // empty: not checked
    acne_edge_poor_quality on_poor_quality = ACNE_EDGE_POOR_QUALITY_WARN;
    std::string cache;   // folder of optimised graphs; empty: none
};

class Grader {
public:
    // A model file, or its bytes, which must stay valid until this returns. Throws Error.
    Grader(const std::string& path, const Options& options);
    Grader(ByteView file, const Options& options);

    // Load a model and predict a photograph, which is decoded meanwhile. Throws Error.
    static std::pair<std::unique_ptr<Grader>, Prediction> open_and_predict(const std::string& path, const Options& options,
                                                                           const std::uint8_t* data, std::size_t size);

    // Both throw Error, and may be called by many threads at once.
    Prediction predict_jpeg(const std::uint8_t* data, std::size_t size) const;
    Prediction predict_rgb(const ImageView& image) const;

    const ModelInfo& model() const { return model_; }
    const std::string& manifest_text() const { return backend_->manifest_text(); }

private:
    struct Prepared;
    Grader(const ModelFile& file, const Options& options);
    static Grader open(const ModelFile& file, const Options& options);
    static Prepared prepare_jpeg(const Manifest& manifest, acne_edge_poor_quality policy, const std::uint8_t* data,
                                 std::size_t size);
    static void prepare(Prepared& prepared, const Manifest& manifest, acne_edge_poor_quality policy, const ImageView& image);
    Prediction infer(const Prepared& prepared) const;

    std::unique_ptr<Backend> backend_;
    Scale scale_;
    acne_edge_poor_quality on_poor_quality_;
    ModelInfo model_;
};

}  // namespace acne_edge
