// The C ABI: checks arguments, turns exceptions into statuses, hands memory to the caller.
#include "acne_edge.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>

#include "colour.h"
#include "error.h"
#include "grader.h"

// Callers see an opaque type; OwnedModel has its members.
struct acne_edge_model {};

namespace {

using acne_edge::Error;
using acne_edge::Grader;
using acne_edge::Prediction;

thread_local std::string last_error;

// Run `body`; an exception becomes a status and this thread's message.
template <typename Body>
acne_edge_status guarded(const Body& body) noexcept {
    acne_edge_status status = ACNE_EDGE_STATUS_INTERNAL;
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
    if (pointer == nullptr) throw Error(ACNE_EDGE_STATUS_USAGE, std::string(name) + " is null");
}

constexpr int number_of(int major, int minor, int patch) { return major * 1000000 + minor * 1000 + patch; }
static_assert(ACNE_EDGE_VERSION_NUMBER == number_of(ACNE_EDGE_PROJECT_NUMBERS), "acne_edge.h is of another version than the SDK");

struct OwnedModel : acne_edge_model {
    explicit OwnedModel(std::unique_ptr<const Grader> opened) : grader(std::move(opened)) {}

    std::unique_ptr<const Grader> grader;
};

const Grader& grader_of(const acne_edge_model* model) { return *static_cast<const OwnedModel*>(model)->grader; }

// A result, and the memory that its pointers refer to.
struct OwnedResult : acne_edge_result {
    explicit OwnedResult(Prediction made) : acne_edge_result(), prediction(std::move(made)) {
        const auto& result = prediction.interpretation;
        count = result.count;
        level = prediction.level;
        count_low = result.low;
        count_high = result.high;
        grade = result.grade;
        grades = static_cast<int32_t>(result.grade_probs.size());
        for (const int g : result.grade_set) grade_set |= 1U << g;
        map_height = prediction.map_height;
        map_width = prediction.map_width;
        grade_label = prediction.scale.labels[result.grade].c_str();
        grade_probs = result.grade_probs.data();
        scale = prediction.scale.name.c_str();
        abstained = result.abstained;
        lesion_map = prediction.lesion_map.data();
        quality = &prediction.quality;
        timings = &prediction.timings;
        lesions = prediction.lesions.data();
        lesion_count = static_cast<uint32_t>(prediction.lesions.size());
        image_width = prediction.image_width;
        image_height = prediction.image_height;
        grade_text = prediction.grade_text.c_str();
        crop_left = prediction.crop.left;
        crop_top = prediction.crop.top;
        crop_right = prediction.crop.right;
        crop_bottom = prediction.crop.bottom;
        unfamiliarity = result.unfamiliarity;
    }
    OwnedResult(const OwnedResult&) = delete;
    OwnedResult& operator=(const OwnedResult&) = delete;

    Prediction prediction;
};

// The options of any caller as this library knows them: what an older caller's struct lacks keeps its default, and what a newer
// one's has beyond must have its default, which is 0.
acne_edge_options known_options(const acne_edge_options* given) {
    constexpr std::size_t kFirst = offsetof(acne_edge_options, cache) + sizeof(given->cache);  // in version 0.1
    constexpr std::size_t kLargest = 4096;  // no header's; so that a size that was never set is not read
    if (given->size < kFirst || given->size > kLargest) {
        throw Error(ACNE_EDGE_STATUS_USAGE, "options.size is not set; call acne_edge_options_init first");
    }
    acne_edge_options known{};
    std::memcpy(&known, given, std::min<std::size_t>(given->size, sizeof known));
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    const auto is_set = [](unsigned char byte) { return byte != 0; };
    if (given->size > sizeof known && std::any_of(bytes + sizeof known, bytes + given->size, is_set)) {
        throw Error(ACNE_EDGE_STATUS_USAGE, "the options set one that this libacne_edge, " ACNE_EDGE_PROJECT_VERSION
                                            ", does not know; update the library or leave the option at its default");
    }
    return known;
}

acne_edge::Options read_options(const acne_edge_options* given) {
    acne_edge::Options options;
    if (given == nullptr) return options;
    const acne_edge_options known = known_options(given);
    options.backend = static_cast<acne_edge_backend>(known.backend);
    options.threads = known.threads;
    options.on_poor_quality = static_cast<acne_edge_poor_quality>(known.on_poor_quality);
    if (known.scale != nullptr) options.scale = known.scale;
    if (known.sha256 != nullptr) options.sha256 = known.sha256;
    if (known.cache != nullptr) options.cache = known.cache;
    return options;
}

}  // namespace

const char* acne_edge_version(void) { return ACNE_EDGE_PROJECT_VERSION; }

int32_t acne_edge_version_number(void) { return ACNE_EDGE_VERSION_NUMBER; }

const char* acne_edge_colour_management(void) {
    static const std::string name = acne_edge::colour_management();
    return name.c_str();
}

const char* acne_edge_last_error(void) { return last_error.c_str(); }

const char* acne_edge_status_name(acne_edge_status status) {
    switch (status) {
        case ACNE_EDGE_OK: return "ok";
        case ACNE_EDGE_STATUS_INTERNAL: return "error";
        case ACNE_EDGE_STATUS_USAGE: return "usage";
        case ACNE_EDGE_STATUS_IMAGE_DECODE: return "image_decode";
        case ACNE_EDGE_STATUS_IMAGE_SIZE: return "image_size";
        case ACNE_EDGE_STATUS_MODEL: return "model_error";
        case ACNE_EDGE_STATUS_MANIFEST: return "manifest_invalid";
        case ACNE_EDGE_STATUS_MODEL_INTEGRITY: return "model_integrity";
        case ACNE_EDGE_STATUS_BACKEND: return "backend_error";
        case ACNE_EDGE_STATUS_POOR_QUALITY: return "poor_quality";
    }
    return "error";
}

void acne_edge_options_init(acne_edge_options* options, size_t size) {
    if (options == nullptr || size < sizeof options->size || size > std::numeric_limits<std::uint32_t>::max()) return;
    std::memset(static_cast<void*>(options), 0, size);  // every default is 0 or null
    options->size = static_cast<std::uint32_t>(size);
}

acne_edge_status acne_edge_open(const char* path, const acne_edge_options* options, acne_edge_model** model) {
    return guarded([&] {
        require(path, "path");
        require(model, "model");
        *model = new OwnedModel(std::make_unique<Grader>(std::string(path), read_options(options)));
    });
}

acne_edge_status acne_edge_open_memory(const uint8_t* bytes, size_t size, const acne_edge_options* options,
                                       acne_edge_model** model) {
    return guarded([&] {
        require(bytes, "bytes");
        require(model, "model");
        *model = new OwnedModel(std::make_unique<Grader>(acne_edge::ByteView(bytes, size), read_options(options)));
    });
}

acne_edge_status acne_edge_open_and_predict(const char* path, const acne_edge_options* options, const uint8_t* jpeg, size_t size,
                                            acne_edge_model** model, acne_edge_result** result) {
    return guarded([&] {
        require(path, "path");
        require(jpeg, "jpeg");
        require(model, "model");
        require(result, "result");
        auto [grader, prediction] = Grader::open_and_predict(path, read_options(options), jpeg, size);
        auto opened = std::make_unique<OwnedModel>(std::move(grader));
        *result = new OwnedResult(std::move(prediction));
        *model = opened.release();
    });
}

void acne_edge_close(acne_edge_model* model) { delete static_cast<OwnedModel*>(model); }

acne_edge_status acne_edge_predict_jpeg(const acne_edge_model* model, const uint8_t* jpeg, size_t size,
                                        acne_edge_result** result) {
    return guarded([&] {
        require(model, "model");
        require(jpeg, "jpeg");
        require(result, "result");
        *result = new OwnedResult(grader_of(model).predict_jpeg(jpeg, size));
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
            throw Error(ACNE_EDGE_STATUS_USAGE, "stride is " + std::to_string(stride) + " bytes; a row of " +
                                                    std::to_string(width) + " pixels has " + std::to_string(width * 3));
        }
        *result = new OwnedResult(grader_of(model).predict_rgb({rgb, width, height, stride}));
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
    return model != nullptr ? grader_of(model).manifest_text().c_str() : nullptr;
}

const char* acne_edge_backend_name(const acne_edge_model* model) {
    return model != nullptr ? grader_of(model).model().backend.c_str() : nullptr;
}

const char* acne_edge_model_sha256(const acne_edge_model* model) {
    return model != nullptr ? grader_of(model).model().sha256.c_str() : nullptr;
}
