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
    const auto refuse = [&](const std::string& why) { throw Error(ACNE_EDGE_ERROR_MODEL, path + ": " + why); };
    MappedFile file;
    try {
        file = MappedFile(path);
    } catch (const std::system_error& error) {
        refuse("cannot read the model file (" + error.code().message() + ")");
    }
    if (file.bytes().size() > kMaxModelBytes) {
        refuse("larger than " + std::to_string(kMaxModelBytes >> 20) + " MB; not a model of acne-edge");
    }
    return file;
}

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

}  // namespace

ModelFile::ModelFile(const std::string& path, const std::string& sha256)
    : path_(path), expected_(lower_case(sha256)), file_(map_model(path)),
      digest_(std::async(std::launch::deferred, [file = file_] {
          return acne_edge::sha256(file.bytes().data(), file.bytes().size());
      })) {}

ByteView ModelFile::checked() const {
    if (!expected_.empty() && digest() != expected_) {
        throw Error(ACNE_EDGE_ERROR_MODEL_INTEGRITY, path_ + ": the file is not the one that was shipped; reinstall it");
    }
    return file_.bytes();
}

}  // namespace acne_edge
