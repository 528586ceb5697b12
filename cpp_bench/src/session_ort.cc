// ONNX Runtime on the CPU.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>

#include <unistd.h>

#include <onnxruntime_cxx_api.h>

#include "backend.h"
#include "error.h"
#include "graph_cache.h"
#include "onnx_file.h"

namespace acne_edge {
namespace {

constexpr std::array<const char*, 1> kInputs = {"image"};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string shape_text(const std::vector<std::int64_t>& shape) {
    std::string text;
    for (const std::int64_t side : shape) text += (text.empty() ? "" : ", ") + (side < 0 ? "N" : std::to_string(side));
    return "[" + text + "]";
}

// ONNX Runtime 1.29 and newer sends usage data to its maker, unless this variable forbids it before its environment is made. It
// is set while the library is loaded, when no other thread can be reading the environment; a value set by the user is kept.
[[maybe_unused]] const int kNoTelemetry = setenv("ORT_DISABLE_TELEMETRY", "1", 0);

Ort::SessionOptions session_options(int threads) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);  // errors come back as exceptions; nothing else may write to stderr
    // Threads that sleep between operators cost a tenth of the inference time; threads that spin between frames waste a battery
    // and a core. So they spin only within a run, and only as long as the gap between operators: longer spinning takes the
    // processor from the decoder of another stream. For many streams, `threads` of 1 is best, which never waits.
    options.AddConfigEntry("session.force_spinning_stop", "1");
    options.AddConfigEntry("session.intra_op.spin_duration_us", "100");
    return options;
}

// A session on a cached graph, which must outlive it, or null. The runtime's own format needs no parsing.
Ort::Session open_cached(const Ort::Env& env, const Graph& graph, int threads) {
    if (graph.bytes.size() == 0) return Ort::Session(nullptr);
    Ort::SessionOptions options = session_options(threads);
    options.SetGraphOptimizationLevel(ORT_DISABLE_ALL);
    options.AddConfigEntry("session.load_model_format", "ORT");
    options.AddConfigEntry("session.use_ort_model_bytes_directly", "1");
    options.AddConfigEntry("session.use_ort_model_bytes_for_initializers", "1");
    try {
        return {env, graph.bytes.data(), graph.bytes.size(), options};
    } catch (const Ort::Exception&) {
        return Ort::Session(nullptr);
    }
}

// A session on the model whose optimised graph is put into the cache, or null.
Ort::Session open_and_keep(const Ort::Env& env, ByteView model, int threads, const GraphCache& cache) {
    const std::string temporary = cache.temporary();
    if (temporary.empty()) return Ort::Session(nullptr);
    Ort::SessionOptions options = session_options(threads);
    options.SetOptimizedModelFilePath(temporary.c_str());
    options.AddConfigEntry("session.save_model_format", "ORT");
    try {
        Ort::Session session(env, model.data(), model.size(), options);
        cache.keep(temporary);
        return session;
    } catch (const Ort::Exception&) {  // from the model or from writing; a second try without the cache tells which
        std::remove(temporary.c_str());
        return Ort::Session(nullptr);
    }
}

Ort::Session open_model(const Ort::Env& env, ByteView model, int threads) {
    try {
        return {env, model.data(), model.size(), session_options(threads)};
    } catch (const Ort::Exception& error) {
        throw Error(ACNE_EDGE_STATUS_MODEL, "ONNX Runtime cannot load the model: " + first_line(error.what()));
    }
}

class OnnxRuntime final : public Backend {
public:
    OnnxRuntime(const ModelFile& file, int threads, const std::string& folder) {
        env_ = Ort::Env(ORT_LOGGING_LEVEL_FATAL, "acne_edge");
        refuse_external_data(file.unchecked());
        GraphCache cache;
        if (!folder.empty()) cache = GraphCache(folder, file.sha256(), Ort::GetBuildInfoString());
        graph_ = cache.read();
        session_ = open_cached(env_, graph_, threads);
        if (!session_) session_ = open_and_keep(env_, file.checked(), threads, cache);
        if (!session_) session_ = open_model(env_, file.checked(), threads);
        Ort::AllocatorWithDefaultOptions allocator;
        const Ort::AllocatedStringPtr text =
            session_.GetModelMetadata().LookupCustomMetadataMapAllocated(kManifestKey, allocator);
        if (text == nullptr) {
            throw Error(ACNE_EDGE_STATUS_MANIFEST, "the ONNX file holds no acne-edge manifest: make one with `python -m export`");
        }
        manifest_text_ = text.get();
        manifest_ = parse_manifest(manifest_text_);
        outputs_ = output_names(manifest_);
        check_contract(allocator);
    }

    ~OnnxRuntime() override {
        if (getpid() == process_) return;
        session_.release();  // it would wait forever for threads that only the parent has
        env_.release();
    }
    OnnxRuntime(const OnnxRuntime&) = delete;
    OnnxRuntime& operator=(const OnnxRuntime&) = delete;

    std::string name() const override { return "onnxruntime:CPUExecutionProvider"; }
    const std::string& manifest_text() const override { return manifest_text_; }
    const Manifest& manifest() const override { return manifest_; }

    Outputs run(const std::uint8_t* image) const override {
        const std::array<std::int64_t, 4> shape = {1, manifest_.height, manifest_.width, 3};
        const auto bytes = static_cast<std::size_t>(manifest_.height) * manifest_.width * 3;
        try {
            // The runtime takes inputs without const, and does not write to them.
            const Ort::Value input = Ort::Value::CreateTensor<std::uint8_t>(memory_, const_cast<std::uint8_t*>(image), bytes,
                                                                            shape.data(), shape.size());
            auto values = session_.Run(Ort::RunOptions{nullptr}, kInputs.data(), &input, 1, outputs_.data(), outputs_.size());
            Outputs outputs;
            outputs.grade_probs = read(values[0], {1, static_cast<std::int64_t>(manifest_.scale.labels.size())});
            outputs.count_probs = read(values[1], {1, manifest_.count_bins});
            const auto map_shape = values[2].GetTensorTypeAndShapeInfo().GetShape();
            if (map_shape.size() != 3) throw Error(ACNE_EDGE_STATUS_BACKEND, "the model's lesion map is not [N, h, w]");
            outputs.lesion_map = read(values[2], {1, map_shape[1], map_shape[2]});
            outputs.map_height = static_cast<int>(map_shape[1]);
            outputs.map_width = static_cast<int>(map_shape[2]);
            std::size_t next = 3;  // what only some models tell
            if (manifest_.familiarity.threshold > 0) outputs.unfamiliarity = read(values[next++], {1})[0];
            if (manifest_.close_up) outputs.close_up = read(values[next++], {1})[0];
            return outputs;
        } catch (const Ort::Exception& error) {
            throw Error(ACNE_EDGE_STATUS_BACKEND, "ONNX Runtime failed: " + first_line(error.what()));
        }
    }

private:
    static std::vector<float> read(const Ort::Value& value, const std::vector<std::int64_t>& expected) {
        const auto shape = value.GetTensorTypeAndShapeInfo().GetShape();
        if (shape != expected) {
            throw Error(ACNE_EDGE_STATUS_BACKEND,
                        "the model gave an output of " + shape_text(shape) + ", not of " + shape_text(expected));
        }
        const auto* data = value.GetTensorData<float>();
        return {data, data + std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())};
    }

    // Refuse a graph whose input or outputs differ from the manifest and the contract.
    void check_contract(OrtAllocator* allocator) const {
        std::map<std::string, std::size_t> places;  // of the outputs; others than those wanted are ignored
        for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
            places[session_.GetOutputNameAllocated(i, allocator).get()] = i;
        }
        bool named = session_.GetInputCount() == kInputs.size();
        for (std::size_t i = 0; named && i < kInputs.size(); ++i) {
            named = session_.GetInputNameAllocated(i, allocator).get() == std::string(kInputs[i]);
        }
        std::string wanted_names;
        for (const char* name : outputs_) {
            named = named && places.count(name) != 0;
            wanted_names += (wanted_names.empty() ? "" : ", ") + std::string(name);
        }
        if (!named) refuse("the model's input and outputs are not image -> " + wanted_names);
        const std::vector<std::int64_t> wanted = {manifest_.height, manifest_.width, 3};
        const Tensor input = describe(session_.GetInputTypeInfo(0));
        if (input.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 || input.shape.size() != 4 ||
            !std::equal(wanted.begin(), wanted.end(), input.shape.begin() + 1)) {
            refuse("the model's input is " + shape_text(input.shape) + ", not the manifest's uint8 [N, " +
                   std::to_string(manifest_.height) + ", " + std::to_string(manifest_.width) + ", 3]");
        }
        const std::array<std::int64_t, 2> widths = {static_cast<std::int64_t>(manifest_.scale.labels.size()),
                                                    manifest_.count_bins};
        for (std::size_t i = 0; i < outputs_.size(); ++i) {
            const Tensor output = describe(session_.GetOutputTypeInfo(places[outputs_[i]]));
            if (output.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
                refuse(std::string("the model's output ") + outputs_[i] + " is not float32");
            }
            if (i < widths.size() && (output.shape.size() != 2 || output.shape[1] != widths[i])) {
                refuse(std::string("the model's output ") + outputs_[i] + " is " + shape_text(output.shape) +
                       "; the manifest says [N, " + std::to_string(widths[i]) + "]");
            }
        }
    }

    struct Tensor {
        ONNXTensorElementDataType type;
        std::vector<std::int64_t> shape;
    };

    static Tensor describe(const Ort::TypeInfo& info) {
        if (info.GetONNXType() != ONNX_TYPE_TENSOR) refuse("the model's input and outputs are not all tensors");
        const auto tensor = info.GetTensorTypeAndShapeInfo();
        return {tensor.GetElementType(), tensor.GetShape()};
    }

    [[noreturn]] static void refuse(const std::string& message) { throw Error(ACNE_EDGE_STATUS_MODEL, message); }

    std::vector<const char*> outputs_;  // that are read; the last only of a model whose manifest says what they mean
    const pid_t process_ = getpid();  // that opened the model
    Ort::Env env_{nullptr};
    Graph graph_;  // of the cache; the session reads from it
    // Running a session does not change it, but the C++ interface has no const for that.
    mutable Ort::Session session_{nullptr};
    Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
    std::string manifest_text_;
    Manifest manifest_;
};

}  // namespace

std::unique_ptr<Backend> open_onnxruntime(const ModelFile& file, int threads, const std::string& cache) {
    try {
        return std::make_unique<OnnxRuntime>(file, threads, cache);
    } catch (const Ort::Exception& error) {
        throw Error(ACNE_EDGE_STATUS_MODEL, "ONNX Runtime cannot read the model: " + first_line(error.what()));
    }
}

}  // namespace acne_edge
