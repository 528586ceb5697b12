// The C ABI: checks arguments, turns exceptions into statuses, hands memory to the caller.
#include "acne_edge.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>

#include "error.h"
#include "grader.h"

struct acne_edge_model {
    std::unique_ptr<const acne_edge::Grader> grader;
};

namespace {

using acne_edge::Error;
using acne_edge::Prediction;

thread_local std::string last_error;

// Run `body`; whatever it throws becomes a status and this thread's message.
template <typename Body>
acne_edge_status guarded(const Body& body) noexcept {
    acne_edge_status status = ACNE_EDGE_ERROR_INTERNAL;
    const char* message = "unknown error";
    try {
        try {
            body();
            last_error.clear();
            return ACNE_EDGE_OK;
        } catch (const Error& error) {
            status = error.status();
            last_error = error.what();
        } catch (const std::bad_alloc&) {
            last_error = "out of memory";
        } catch (const std::exception& error) {
            last_error = error.what();
        } catch (...) {
            last_error = message;
        }
    } catch (...) {  // no memory for the message
        last_error.clear();
    }
    return status;
}

void require(const void* pointer, const char* name) {
    if (pointer == nullptr) throw Error(ACNE_EDGE_ERROR_USAGE, std::string(name) + " is null");
}

// A result and what its pointers point into.
struct OwnedResult : acne_edge_result {
    explicit OwnedResult(Prediction made) : acne_edge_result(), prediction(std::move(made)) {
        const auto& result = prediction.interpretation;
        count = result.count;
        level = prediction.level;
        count_low = result.low;
        count_high = result.high;
        grade = result.grade;
        grade_label = prediction.scale.labels[result.grade].c_str();
        grades = static_cast<int32_t>(result.grade_probs.size());
        grade_probs = result.grade_probs.data();
        for (const int g : result.grade_set) grade_set |= 1U << g;
        scale = prediction.scale.name.c_str();
        abstained = result.abstained;
        quality = prediction.quality;
        map_height = prediction.map_height;
        map_width = prediction.map_width;
        lesion_map = prediction.lesion_map.data();
        timings = prediction.timings;
    }

    Prediction prediction;
};

acne_edge::Options read_options(const acne_edge_options* given) {
    acne_edge::Options options;
    if (given == nullptr) return options;
    // Callers compiled against an older header have a shorter struct; what it lacks keeps its default.
    constexpr std::size_t kSmallest = offsetof(acne_edge_options, sha256) + sizeof(given->sha256);
    if (given->size < kSmallest) {
        throw Error(ACNE_EDGE_ERROR_USAGE, "options.size is not set; call acne_edge_options_init first");
    }
    options.backend = given->backend;
    options.threads = given->threads;
    if (given->scale != nullptr) options.scale = given->scale;
    if (given->sha256 != nullptr) options.sha256 = given->sha256;
    const auto has = [&](std::size_t end) { return given->size >= end; };
    if (has(offsetof(acne_edge_options, on_poor_quality) + sizeof(given->on_poor_quality))) {
        options.on_poor_quality = given->on_poor_quality;
    }
    if (has(offsetof(acne_edge_options, cache) + sizeof(given->cache)) && given->cache != nullptr) options.cache = given->cache;
    return options;
}

}  // namespace

const char* acne_edge_version(void) { return ACNE_EDGE_VERSION; }

const char* acne_edge_last_error(void) { return last_error.c_str(); }

const char* acne_edge_status_name(acne_edge_status status) {
    switch (status) {
        case ACNE_EDGE_OK: return "ok";
        case ACNE_EDGE_ERROR_INTERNAL: return "error";
        case ACNE_EDGE_ERROR_USAGE: return "usage";
        case ACNE_EDGE_ERROR_IMAGE_DECODE: return "image_decode";
        case ACNE_EDGE_ERROR_IMAGE_SIZE: return "image_size";
        case ACNE_EDGE_ERROR_MODEL: return "model_error";
        case ACNE_EDGE_ERROR_MANIFEST: return "manifest_invalid";
        case ACNE_EDGE_ERROR_MODEL_INTEGRITY: return "model_integrity";
        case ACNE_EDGE_ERROR_BACKEND: return "backend_error";
        case ACNE_EDGE_ERROR_POOR_QUALITY: return "poor_quality";
    }
    return "error";
}

void acne_edge_options_init(acne_edge_options* options, size_t size) {
    if (options == nullptr || size < sizeof options->size) return;
    std::memset(static_cast<void*>(options), 0, size);  // every default is 0 or null
    options->size = size;
}

acne_edge_status acne_edge_open(const char* path, const acne_edge_options* options, acne_edge_model** model) {
    return guarded([&] {
        require(path, "path");
        require(model, "model");
        *model = new acne_edge_model{std::make_unique<acne_edge::Grader>(path, read_options(options))};
    });
}

acne_edge_status acne_edge_open_and_predict(const char* path, const acne_edge_options* options, const uint8_t* jpeg, size_t size,
                                            acne_edge_model** model, acne_edge_result** result) {
    return guarded([&] {
        require(path, "path");
        require(jpeg, "jpeg");
        require(model, "model");
        require(result, "result");
        auto [grader, prediction] = acne_edge::Grader::open_and_predict(path, read_options(options), jpeg, size);
        auto opened = std::make_unique<acne_edge_model>(acne_edge_model{std::move(grader)});
        *result = new OwnedResult(std::move(prediction));
        *model = opened.release();
    });
}

void acne_edge_close(acne_edge_model* model) { delete model; }

acne_edge_status acne_edge_predict_jpeg(const acne_edge_model* model, const uint8_t* jpeg, size_t size,
                                        acne_edge_result** result) {
    return guarded([&] {
        require(model, "model");
        require(jpeg, "jpeg");
        require(result, "result");
        *result = new OwnedResult(model->grader->predict_jpeg(jpeg, size));
    });
}

acne_edge_status acne_edge_predict_rgb(const acne_edge_model* model, const uint8_t* rgb, int32_t width, int32_t height,
                                       size_t stride, acne_edge_result** result) {
    return guarded([&] {
        require(model, "model");
        require(rgb, "rgb");
        require(result, "result");
        acne_edge::check_size(width, height);
        if (stride < static_cast<std::size_t>(width) * 3) {
            throw Error(ACNE_EDGE_ERROR_USAGE, "stride is " + std::to_string(stride) + " bytes; a row of " +
                                                   std::to_string(width) + " pixels has " + std::to_string(width * 3));
        }
        *result = new OwnedResult(model->grader->predict_rgb({rgb, width, height, stride}));
    });
}

void acne_edge_result_free(acne_edge_result* result) { delete static_cast<OwnedResult*>(result); }

acne_edge_status acne_edge_result_json(const acne_edge_result* result, const char* path, int lesion_map, char** json) {
    return guarded([&] {
        require(result, "result");
        require(json, "json");
        const auto name = path != nullptr ? std::optional<std::string>(path) : std::nullopt;
        const std::string text = to_json(static_cast<const OwnedResult*>(result)->prediction, name, lesion_map != 0);
        auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
        if (copy == nullptr) throw std::bad_alloc();
        std::memcpy(copy, text.c_str(), text.size() + 1);
        *json = copy;
    });
}

void acne_edge_string_free(char* text) { std::free(text); }

const char* acne_edge_manifest_json(const acne_edge_model* model) {
    return model != nullptr ? model->grader->manifest_text().c_str() : nullptr;
}

const char* acne_edge_backend_name(const acne_edge_model* model) {
    return model != nullptr ? model->grader->model().backend.c_str() : nullptr;
}

const char* acne_edge_model_sha256(const acne_edge_model* model) {
    return model != nullptr ? model->grader->model().sha256.c_str() : nullptr;
}
