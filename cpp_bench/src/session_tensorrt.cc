// TensorRT 10 or newer, on engine files of acne-edge. Compiled only where CMake finds NvInfer.h; only a device can run it.
#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include "backend.h"
#include "engine_file.h"
#include "error.h"

namespace acne_edge {
namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ACNE_EDGE_STATUS_BACKEND, message); }

void check(cudaError_t code, const char* call) {
    if (code != cudaSuccess) fail(std::string(call) + ": " + cudaGetErrorString(code));
}

// Prints nothing and remembers the last error.
class Logger final : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char* message) noexcept override {
        if (severity > Severity::kERROR) return;
        try {
            const std::lock_guard<std::mutex> lock(mutex_);
            last_ = message;
        } catch (...) {  // no memory for a message is no reason to end the process
        }
    }
    std::string last() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return last_.substr(0, last_.find('\n'));
    }

private:
    mutable std::mutex mutex_;
    std::string last_;
};

// Memory of the device.
class Buffer {
public:
    explicit Buffer(std::size_t size) { check(cudaMalloc(&data_, size), "cudaMalloc"); }
    ~Buffer() { cudaFree(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    void* data() const { return data_; }

private:
    void* data_ = nullptr;
};

class Stream {
public:
    Stream() { check(cudaStreamCreate(&stream_), "cudaStreamCreate"); }
    ~Stream() { cudaStreamDestroy(stream_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    cudaStream_t get() const { return stream_; }

private:
    cudaStream_t stream_ = nullptr;
};

class TensorRt final : public Backend {
public:
    explicit TensorRt(ByteView bytes) {
        const EngineFile file = read_engine_file(bytes);
        cudaDeviceProp device{};
        check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
        const auto number = [](int value) { return std::to_string(value); };
        check_fits(file,
                   "tensorrt " + number(NV_TENSORRT_MAJOR) + "." + number(NV_TENSORRT_MINOR) + "." + number(NV_TENSORRT_PATCH) +
                       "." + number(NV_TENSORRT_BUILD),
                   device.name, number(device.major) + "." + number(device.minor));
        manifest_text_ = file.manifest_text;
        manifest_ = file.manifest;
        name_ = std::string("tensorrt:") + device.name;

        runtime_.reset(nvinfer1::createInferRuntime(logger_));
        if (runtime_) engine_.reset(runtime_->deserializeCudaEngine(file.plan, file.plan_size));
        if (engine_) context_.reset(engine_->createExecutionContext());
        if (!context_) fail("TensorRT cannot load the engine: " + logger_.last());

        const nvinfer1::Dims4 shape(1, manifest_.height, manifest_.width, 3);
        if (!context_->setInputShape("image", shape)) fail("the engine does not take the manifest's input");
        bind("image", static_cast<std::size_t>(manifest_.height) * manifest_.width * 3);
        std::vector<std::size_t> sizes;
        for (const char* name : output_names(manifest_)) {
            const nvinfer1::Dims dims = context_->getTensorShape(name);
            std::size_t size = 1;
            for (int d = 0; d < dims.nbDims; ++d) {
                if (dims.d[d] < 1) fail(std::string("the engine has no output ") + name + " of a known size");
                size *= static_cast<std::size_t>(dims.d[d]);
            }
            sizes.push_back(size);
            bind(name, size * sizeof(float));
        }
        const nvinfer1::Dims map = context_->getTensorShape("lesion_map");
        if (sizes[0] != manifest_.scale.labels.size() || sizes[1] != static_cast<std::size_t>(manifest_.count_bins) ||
            map.nbDims != 3 || !std::all_of(sizes.begin() + 3, sizes.end(), [](std::size_t size) { return size == 1; })) {
            fail("the engine's outputs are not what its manifest says; build it again");
        }
        map_height_ = static_cast<int>(map.d[1]);
        map_width_ = static_cast<int>(map.d[2]);
    }

    std::string name() const override { return name_; }
    const std::string& manifest_text() const override { return manifest_text_; }
    const Manifest& manifest() const override { return manifest_; }

    // One execution context, so threads take turns.
    Outputs run(const std::uint8_t* image) const override {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto bytes = static_cast<std::size_t>(manifest_.height) * manifest_.width * 3;
        check(cudaMemcpyAsync(buffers_[0]->data(), image, bytes, cudaMemcpyHostToDevice, stream_.get()), "cudaMemcpyAsync");
        if (!context_->enqueueV3(stream_.get())) fail("TensorRT failed to run the model: " + logger_.last());
        Outputs outputs;
        outputs.grade_probs.resize(manifest_.scale.labels.size());
        outputs.count_probs.resize(static_cast<std::size_t>(manifest_.count_bins));
        outputs.lesion_map.resize(static_cast<std::size_t>(map_height_) * map_width_);
        outputs.map_height = map_height_;
        outputs.map_width = map_width_;
        download(outputs.grade_probs, 1);
        download(outputs.count_probs, 2);
        download(outputs.lesion_map, 3);
        std::vector<float> unfamiliarity(manifest_.familiarity.threshold > 0 ? 1 : 0), close_up(manifest_.close_up ? 1 : 0);
        std::size_t next = 4;  // what only some models tell
        if (!unfamiliarity.empty()) download(unfamiliarity, next++);
        if (!close_up.empty()) download(close_up, next++);
        check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
        if (!unfamiliarity.empty()) outputs.unfamiliarity = unfamiliarity[0];
        if (!close_up.empty()) outputs.close_up = close_up[0];
        return outputs;
    }

private:
    void bind(const char* name, std::size_t size) {
        buffers_.push_back(std::make_unique<Buffer>(size));
        if (!context_->setTensorAddress(name, buffers_.back()->data())) fail(std::string("the engine has no tensor ") + name);
    }

    void download(std::vector<float>& values, std::size_t buffer) const {
        check(cudaMemcpyAsync(values.data(), buffers_[buffer]->data(), values.size() * sizeof(float), cudaMemcpyDeviceToHost,
                              stream_.get()),
              "cudaMemcpyAsync");
    }

    Logger logger_;
    std::unique_ptr<nvinfer1::IRuntime> runtime_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    std::vector<std::unique_ptr<Buffer>> buffers_;  // the input's, then the outputs'
    Stream stream_;
    mutable std::mutex mutex_;
    std::string name_;
    std::string manifest_text_;
    Manifest manifest_;
    int map_height_ = 0;
    int map_width_ = 0;
};

}  // namespace

std::unique_ptr<Backend> open_tensorrt(ByteView model) { return std::make_unique<TensorRt>(model); }

}  // namespace acne_edge
