#include "model_file.h"

#include <algorithm>
#include <cctype>
#include <system_error>

#include "error.h"
#include "sha256.h"

namespace acne_edge {
namespace {

constexpr std::size_t kMaxModelBytes = std::size_t{1} << 30;

MappedFile map_model(const std::string& path) {
    try {
        return MappedFile(path);
    } catch (const std::system_error& error) {
        throw Error(ACNE_EDGE_STATUS_MODEL, path + ": cannot read the model file (" + error.code().message() + ")");
    }
}

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

}  // namespace

ModelFile::ModelFile(const std::string& path, const std::string& sha256) : ModelFile(path, map_model(path), sha256) {}

ModelFile::ModelFile(ByteView file, const std::string& sha256) : ModelFile("the model in memory", MappedFile(file), sha256) {}

ModelFile::ModelFile(const std::string& name, const MappedFile& file, const std::string& sha256)
    : name_(name),
      expected_(lower_case(sha256)),
      file_(file),
      digest_(std::async(std::launch::deferred, [file] { return acne_edge::sha256(file.bytes().data(), file.bytes().size()); })) {
    if (file.bytes().size() > kMaxModelBytes) {
        throw Error(ACNE_EDGE_STATUS_MODEL,
                    name + ": larger than " + std::to_string(kMaxModelBytes >> 20) + " MB; not a model of acne-edge");
    }
}

ByteView ModelFile::checked() const {
    if (!expected_.empty() && digest() != expected_) {
        throw Error(ACNE_EDGE_STATUS_MODEL_INTEGRITY, name_ + ": the file is not the one that was shipped; reinstall it");
    }
    return file_.bytes();
}

}  // namespace acne_edge
