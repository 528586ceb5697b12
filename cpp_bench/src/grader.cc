#include "grader.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <future>
#include <utility>

#include "engine_file.h"
#include "error.h"
#include "quality.h"
#include "resize.h"
#include "sha256.h"

namespace acne_edge {
namespace {

constexpr long kMaxModelBytes = 1L << 30;

std::vector<std::uint8_t> read_model(const std::string& path) {
    const auto refuse = [&](const std::string& why) { throw Error(ACNE_EDGE_ERROR_MODEL, path + ": " + why); };
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
    // A directory opens, but has no end to seek to or nothing to read.
    if (!file || std::fseek(file.get(), 0, SEEK_END) != 0) {
        refuse(std::string("cannot read the model file (") + std::strerror(errno) + ")");
    }
    const long size = std::ftell(file.get());
    if (size > kMaxModelBytes) refuse("larger than " + std::to_string(kMaxModelBytes >> 20) + " MB; not a model of acne-edge");
    std::vector<std::uint8_t> bytes(size > 0 ? static_cast<std::size_t>(size) : 0);
    std::rewind(file.get());
    if (std::fread(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) {
        refuse(std::string("cannot read the model file (") + std::strerror(errno) + ")");
    }
    return bytes;
}

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

std::unique_ptr<Backend> open_backend(const std::vector<std::uint8_t>& model, const Options& options) {
    const bool engine = is_engine_file(model);
    switch (options.backend) {
        case ACNE_EDGE_BACKEND_AUTO: return engine ? open_tensorrt(model) : open_onnxruntime(model, options.threads);
        case ACNE_EDGE_BACKEND_ONNXRUNTIME: return open_onnxruntime(model, options.threads);
        case ACNE_EDGE_BACKEND_TENSORRT: return open_tensorrt(model);
    }
    throw Error(ACNE_EDGE_ERROR_USAGE, "unknown backend " + std::to_string(options.backend));
}

}  // namespace

// Milliseconds from lap to lap.
class Grader::Clock {
public:
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        return milliseconds(std::exchange(last_, now), now);
    }
    double total() const { return milliseconds(start_, last_); }

private:
    using Time = std::chrono::steady_clock::time_point;
    static double milliseconds(Time from, Time to) { return std::chrono::duration<double, std::milli>(to - from).count(); }

    Time start_ = std::chrono::steady_clock::now();
    Time last_ = start_;
};

Grader::Grader(const std::string& path, const Options& options) {
    if (options.threads < 0) {
        throw Error(ACNE_EDGE_ERROR_USAGE,
                    "threads is " + std::to_string(options.threads) + "; expected 0 (automatic) or more");
    }
    if (!options.scale.empty()) scale_ = find_scale(options.scale);
    const std::vector<std::uint8_t> bytes = read_model(path);
    // The digest takes as long as a tenth of the loading, and has a core of its own for that time.
    std::future<std::string> digest =
        std::async(std::launch::async, [&bytes] { return sha256(bytes.data(), bytes.size()); });
    if (!options.sha256.empty()) {
        model_.sha256 = digest.get();
        if (model_.sha256 != lower_case(options.sha256)) {
            throw Error(ACNE_EDGE_ERROR_MODEL_INTEGRITY, path + ": the file is not the one that was shipped; reinstall it");
        }
    }
    backend_ = open_backend(bytes, options);
    if (digest.valid()) model_.sha256 = digest.get();
    model_.name = backend_->manifest().name;
    model_.version = backend_->manifest().version;
    model_.backend = backend_->name();
    if (options.scale.empty()) scale_ = backend_->manifest().scale;
}

Prediction Grader::predict_jpeg(const std::uint8_t* data, std::size_t size) const {
    Clock clock;
    const Manifest& manifest = backend_->manifest();
    const Image image = decode_jpeg(data, size, manifest.decode_scale * std::max(manifest.height, manifest.width));
    return predict_decoded(image.view(), clock);
}

Prediction Grader::predict_rgb(const ImageView& image) const {
    Clock clock;
    check_size(image.width, image.height);
    return predict_decoded(image, clock);
}

Prediction Grader::predict_decoded(const ImageView& image, Clock& clock) const {
    const Manifest& manifest = backend_->manifest();
    Prediction prediction;
    acne_edge_timings& timings = prediction.timings;
    timings.decode = clock.lap();
    prediction.quality = assess(image);
    timings.quality = clock.lap();
    const Image input = resize(image, manifest.width, manifest.height);
    timings.preprocess = clock.lap();
    Outputs outputs = backend_->run(input.view().data);
    timings.inference = clock.lap();
    prediction.interpretation = interpret(outputs, manifest.scale, scale_, manifest.decoding, manifest.uncertainty);
    timings.interpretation = clock.lap();
    timings.total = clock.total();

    prediction.level = manifest.uncertainty.level;
    prediction.scale = scale_;
    prediction.model = model_;
    prediction.lesion_map = std::move(outputs.lesion_map);
    prediction.map_height = outputs.map_height;
    prediction.map_width = outputs.map_width;
    return prediction;
}

}  // namespace acne_edge
