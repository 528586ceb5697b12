#include "grader.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <future>
#include <optional>
#include <utility>

#include "engine_file.h"
#include "error.h"
#include "onnx_file.h"
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

std::unique_ptr<Backend> open_backend(const std::vector<std::uint8_t>& model, const Options& options,
                                      const std::string& digest) {
    const bool engine = options.backend == ACNE_EDGE_BACKEND_TENSORRT ||
                        (options.backend == ACNE_EDGE_BACKEND_AUTO && is_engine_file(model));
    return engine ? open_tensorrt(model) : open_onnxruntime(model, options.threads, options.cache, digest);
}

void check_options(const Options& options) {
    const auto refuse = [](const std::string& message) { throw Error(ACNE_EDGE_ERROR_USAGE, message); };
    if (options.threads < 0) refuse("threads is " + std::to_string(options.threads) + "; expected 0 (automatic) or more");
    if (options.backend < ACNE_EDGE_BACKEND_AUTO || options.backend > ACNE_EDGE_BACKEND_TENSORRT) {
        refuse("unknown backend " + std::to_string(options.backend));
    }
    if (options.on_poor_quality < ACNE_EDGE_POOR_QUALITY_WARN || options.on_poor_quality > ACNE_EDGE_POOR_QUALITY_FAIL) {
        refuse("unknown on_poor_quality " + std::to_string(options.on_poor_quality));
    }
}

// The manifest before the model is loaded, if it can be had.
std::optional<Manifest> look_ahead(const std::vector<std::uint8_t>& model) {
    try {
        const auto text = find_manifest(model);
        if (text) return parse_manifest(*text);
    } catch (const Error&) {  // loading the model will tell
    }
    return std::nullopt;
}

// Milliseconds from lap to lap.
class Clock {
public:
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        return std::chrono::duration<double, std::milli>(now - std::exchange(last_, now)).count();
    }

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

// A photograph on its way to the network.
struct Grader::Prepared {
    Image input;
    acne_edge_quality quality{};
    acne_edge_timings timings{};
};

Grader::Grader(const std::string& path, const Options& options)
    : Grader((check_options(options), read_model(path)), path, options) {}

Grader::Grader(const std::vector<std::uint8_t>& bytes, const std::string& path, const Options& options)
    : on_poor_quality_(options.on_poor_quality) {
    if (!options.scale.empty()) scale_ = find_scale(options.scale);
    // Without instructions for it the digest takes a tenth of the loading, so it has a core of its own for that time.
    std::future<std::string> digest =
        std::async(std::launch::async, [&bytes] { return sha256(bytes.data(), bytes.size()); });
    if (!options.sha256.empty() || !options.cache.empty()) model_.sha256 = digest.get();
    if (!options.sha256.empty() && model_.sha256 != lower_case(options.sha256)) {
        throw Error(ACNE_EDGE_ERROR_MODEL_INTEGRITY, path + ": the file is not the one that was shipped; reinstall it");
    }
    backend_ = open_backend(bytes, options, model_.sha256);
    if (digest.valid()) model_.sha256 = digest.get();
    model_.name = backend_->manifest().name;
    model_.version = backend_->manifest().version;
    model_.backend = backend_->name();
    if (options.scale.empty()) scale_ = backend_->manifest().scale;
}

std::pair<std::unique_ptr<Grader>, Prediction> Grader::open_and_predict(const std::string& path, const Options& options,
                                                                        const std::uint8_t* data, std::size_t size) {
    check_options(options);
    const std::vector<std::uint8_t> bytes = read_model(path);
    const std::optional<Manifest> ahead = look_ahead(bytes);
    std::future<Prepared> preparing;
    if (ahead) {
        preparing = std::async(std::launch::async, [&] { return prepare_jpeg(*ahead, options.on_poor_quality, data, size); });
    }
    std::unique_ptr<Grader> grader(new Grader(bytes, path, options));
    const Manifest& manifest = grader->backend_->manifest();
    const bool same = ahead && ahead->decode_scale == manifest.decode_scale && ahead->height == manifest.height &&
                      ahead->width == manifest.width;
    const Prepared prepared = same ? preparing.get() : prepare_jpeg(manifest, options.on_poor_quality, data, size);
    Prediction prediction = grader->infer(prepared);
    return {std::move(grader), std::move(prediction)};
}

Prediction Grader::predict_jpeg(const std::uint8_t* data, std::size_t size) const {
    return infer(prepare_jpeg(backend_->manifest(), on_poor_quality_, data, size));
}

Prediction Grader::predict_rgb(const ImageView& image) const {
    Clock clock;
    check_size(image.width, image.height);
    return infer(prepare(backend_->manifest(), on_poor_quality_, image, clock.lap()));
}

Grader::Prepared Grader::prepare_jpeg(const Manifest& manifest, acne_edge_poor_quality policy, const std::uint8_t* data,
                                      std::size_t size) {
    Clock clock;
    const Image image = decode_jpeg(data, size, manifest.decode_scale * std::max(manifest.height, manifest.width));
    return prepare(manifest, policy, image.view(), clock.lap());
}

Grader::Prepared Grader::prepare(const Manifest& manifest, acne_edge_poor_quality policy, const ImageView& image,
                                 double decode) {
    Clock clock;
    Prepared prepared;
    prepared.timings.decode = decode;
    prepared.quality = assess(image);
    prepared.timings.quality = clock.lap();
    if (policy == ACNE_EDGE_POOR_QUALITY_FAIL && prepared.quality.reasons != 0) {
        std::string reasons;
        for (const auto& reason : kQualityReasons) {
            if (prepared.quality.reasons & reason.bit) reasons += (reasons.empty() ? "" : ", ") + std::string(reason.code);
        }
        throw Error(ACNE_EDGE_ERROR_POOR_QUALITY, "poor capture: " + reasons + "; take the photograph again");
    }
    prepared.input = resize(image, manifest.width, manifest.height);
    prepared.timings.preprocess = clock.lap();
    return prepared;
}

Prediction Grader::infer(const Prepared& prepared) const {
    Clock clock;
    const Manifest& manifest = backend_->manifest();
    Prediction prediction;
    acne_edge_timings& timings = prediction.timings = prepared.timings;
    prediction.quality = prepared.quality;
    Outputs outputs = backend_->run(prepared.input.view().data);
    timings.inference = clock.lap();
    prediction.interpretation = interpret(outputs, manifest.scale, scale_, manifest.decoding, manifest.uncertainty);
    if (on_poor_quality_ == ACNE_EDGE_POOR_QUALITY_ABSTAIN && prepared.quality.reasons != 0) {
        prediction.interpretation.abstained = "poor_quality";
    }
    timings.interpretation = clock.lap();
    timings.total = timings.decode + timings.quality + timings.preprocess + timings.inference + timings.interpretation;

    prediction.level = manifest.uncertainty.level;
    prediction.scale = scale_;
    prediction.model = model_;
    prediction.lesion_map = std::move(outputs.lesion_map);
    prediction.map_height = outputs.map_height;
    prediction.map_width = outputs.map_width;
    return prediction;
}

}  // namespace acne_edge
