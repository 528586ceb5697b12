#include "grader.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <future>
#include <optional>
#include <utility>

#include "engine_file.h"
#include "error.h"
#include "framing.h"
#include "onnx_file.h"
#include "positions.h"
#include "quality.h"
#include "resize.h"

namespace acne_edge {
namespace {

std::unique_ptr<Backend> open_backend(const ModelFile& file, const Options& options) {
    const bool engine = options.backend == ACNE_EDGE_BACKEND_TENSORRT ||
                        (options.backend == ACNE_EDGE_BACKEND_AUTO && is_engine_file(file.unchecked()));
    return engine ? open_tensorrt(file.checked()) : open_onnxruntime(file, options.threads, options.cache);
}

void check_options(const Options& options) {
    const auto refuse = [](const std::string& message) { throw Error(ACNE_EDGE_STATUS_USAGE, message); };
    if (options.threads < 0) refuse("threads is " + std::to_string(options.threads) + "; expected 0 (automatic) or more");
    if (options.backend < ACNE_EDGE_BACKEND_AUTO || options.backend > ACNE_EDGE_BACKEND_TENSORRT) {
        refuse("unknown backend " + std::to_string(options.backend));
    }
    if (options.on_poor_quality < ACNE_EDGE_POOR_QUALITY_WARN || options.on_poor_quality > ACNE_EDGE_POOR_QUALITY_FAIL) {
        refuse("unknown on_poor_quality " + std::to_string(options.on_poor_quality));
    }
}

// The manifest before the model is loaded, if it can be read.
std::optional<Manifest> peek_manifest(ByteView model) {
    try {
        const auto text = find_manifest(model);
        if (text) return parse_manifest(*text);
    } catch (const Error&) {  // loading the model will report it
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
    int width = 0;  // pixels of the photograph itself, upright
    int height = 0;
    Box crop;  // what was looked at of it
    acne_edge_quality quality{};
    acne_edge_timings timings{};
};

Grader::Grader(const std::string& path, const Options& options) {
    check_options(options);
    *this = open(ModelFile(path, options.sha256), options);
}

Grader::Grader(ByteView file, const Options& options) {
    check_options(options);
    *this = open(ModelFile(file, options.sha256), options);
}

Grader Grader::open(const ModelFile& file, const Options& options) {
    const std::future<void> digesting = std::async(std::launch::async, [&] { file.digest(); });
    return Grader(file, options);
}

Grader::Grader(const ModelFile& file, const Options& options) : on_poor_quality_(options.on_poor_quality) {
    if (!options.scale.empty()) scale_ = find_scale(options.scale);
    backend_ = open_backend(file, options);
    file.checked();  // the file is checked even if the graph comes from the cache
    model_.name = backend_->manifest().name;
    model_.version = backend_->manifest().version;
    model_.sha256 = file.sha256();
    model_.backend = backend_->name();
    if (options.scale.empty()) scale_ = backend_->manifest().scale;
}

std::pair<std::unique_ptr<Grader>, Prediction> Grader::open_and_predict(const std::string& path, const Options& options,
                                                                        const std::uint8_t* data, std::size_t size) {
    check_options(options);
    const ModelFile file(path, options.sha256);
    // The model opens in another thread; this one, which has the photograph in its caches, also runs it.
    std::future<std::unique_ptr<Grader>> opening =
        std::async(std::launch::async, [&] { return std::unique_ptr<Grader>(new Grader(file, options)); });
    const std::optional<Manifest> ahead = peek_manifest(file.unchecked());
    std::optional<Prepared> prepared;
    std::exception_ptr unusable;
    if (ahead) {
        try {
            prepared = prepare_jpeg(*ahead, options.on_poor_quality, data, size);
        } catch (...) {
            unusable = std::current_exception();
        }
    }
    file.digest();  // the other thread, if it has not come to that yet, is spared it
    std::unique_ptr<Grader> grader = opening.get();  // a model that is refused comes before a photograph that is
    const Manifest& manifest = grader->backend_->manifest();
    if (!ahead || ahead->decode_scale != manifest.decode_scale || ahead->height != manifest.height ||
        ahead->width != manifest.width || ahead->framed != manifest.framed) {
        prepared = prepare_jpeg(manifest, options.on_poor_quality, data, size);
    } else if (unusable) {
        std::rethrow_exception(unusable);
    }
    Prediction prediction = grader->infer(*prepared);
    return {std::move(grader), std::move(prediction)};
}

Prediction Grader::predict_jpeg(const std::uint8_t* data, std::size_t size) const {
    return infer(prepare_jpeg(backend_->manifest(), on_poor_quality_, data, size));
}

Prediction Grader::predict_rgb(const ImageView& image) const {
    const Manifest& manifest = backend_->manifest();
    Clock clock;
    Prepared prepared;
    check_size(image.width, image.height);
    prepared.timings.decode = clock.lap();
    prepared.width = image.width;
    prepared.height = image.height;
    prepared.crop = manifest.framed ? find_photograph(image) : Box{0, 0, image.width, image.height};
    prepared.timings.framing = clock.lap();
    prepare(prepared, manifest, on_poor_quality_, part_of(image, prepared.crop));
    return infer(prepared);
}

Grader::Prepared Grader::prepare_jpeg(const Manifest& manifest, acne_edge_poor_quality policy, const std::uint8_t* data,
                                      std::size_t size) {
    const int min_side = manifest.decode_scale * std::max(manifest.height, manifest.width);
    Clock clock;
    Prepared prepared;
    Photograph photograph = decode_jpeg(data, size, min_side);
    prepared.timings.decode = clock.lap();
    Box box{0, 0, photograph.pixels.width(), photograph.pixels.height()};
    if (manifest.framed) box = find_photograph(photograph, data, size, min_side);
    prepared.timings.framing = clock.lap();
    prepared.width = photograph.width;
    prepared.height = photograph.height;
    prepared.crop = scaled(box, photograph.pixels.view(), photograph.width, photograph.height);
    prepare(prepared, manifest, policy, part_of(photograph.pixels.view(), box));
    return prepared;
}

void Grader::prepare(Prepared& prepared, const Manifest& manifest, acne_edge_poor_quality policy, const ImageView& image) {
    Clock clock;
    Image small = resize(image, kQualitySide, kQualitySide);
    prepared.quality = assess(small.view(), std::min(image.width, image.height));
    prepared.timings.quality = clock.lap();
    if (policy == ACNE_EDGE_POOR_QUALITY_FAIL && prepared.quality.reasons != 0) {
        std::string reasons;
        for (const auto& reason : kQualityReasons) {
            if (prepared.quality.reasons & reason.bit) reasons += (reasons.empty() ? "" : ", ") + std::string(reason.code);
        }
        throw Error(ACNE_EDGE_STATUS_POOR_QUALITY, "poor photograph: " + reasons + "; take the photograph again");
    }
    const bool is_input = manifest.width == kQualitySide && manifest.height == kQualitySide;
    prepared.input = is_input ? std::move(small) : resize(image, manifest.width, manifest.height);
    prepared.timings.preprocess = clock.lap();
}

Prediction Grader::infer(const Prepared& prepared) const {
    Clock clock;
    const Manifest& manifest = backend_->manifest();
    Prediction prediction;
    acne_edge_timings& timings = prediction.timings = prepared.timings;
    prediction.quality = prepared.quality;
    Outputs outputs = backend_->run(prepared.input.view().data);
    timings.inference = clock.lap();
    prediction.interpretation = interpret(outputs, manifest.scale, scale_, manifest.decoding, manifest.uncertainty,
                                          manifest.familiarity, manifest.correction);
    if ((prepared.quality.reasons & ACNE_EDGE_QUALITY_BLANK) != 0) {
        prediction.interpretation.abstained = "blank";
    } else if (on_poor_quality_ == ACNE_EDGE_POOR_QUALITY_ABSTAIN && prepared.quality.reasons != 0) {
        prediction.interpretation.abstained = "poor_quality";
    }
    // Nothing is told of what shows no skin that the model knows.
    const bool shows_skin =
        (prepared.quality.reasons & ACNE_EDGE_QUALITY_BLANK) == 0 && prediction.interpretation.unfamiliarity <= 1;
    if (manifest.close_up && shows_skin && outputs.close_up >= *manifest.close_up) {
        prediction.quality.reasons |= ACNE_EDGE_QUALITY_CLOSE_UP;
    }
    prediction.grade_text = describe(scale_, prediction.interpretation);
    prediction.lesions = locate(outputs.lesion_map, outputs.map_height, outputs.map_width, manifest.position_threshold);
    prediction.image_width = prepared.width;
    prediction.image_height = prepared.height;
    prediction.crop = prepared.crop;
    if (prediction.is_cut()) move(prediction.lesions, prepared.crop, prepared.width, prepared.height);
    timings.interpretation = clock.lap();
    timings.total =
        timings.decode + timings.framing + timings.quality + timings.preprocess + timings.inference + timings.interpretation;

    prediction.level = manifest.uncertainty.level;
    prediction.scale = scale_;
    prediction.model = model_;
    prediction.lesion_map = std::move(outputs.lesion_map);
    prediction.map_height = outputs.map_height;
    prediction.map_width = outputs.map_width;
    return prediction;
}

}  // namespace acne_edge
