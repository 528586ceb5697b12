#include "engine_file.h"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

#include "error.h"
#include "sha256.h"

namespace acne_edge {
namespace {

constexpr std::string_view kMagic = "ACNETRT1";
constexpr std::size_t kStart = kMagic.size() + 4 + 8;  // where the header begins, after its length and the plan's
constexpr std::uint64_t kMaxHeader = 1 << 20;

[[noreturn]] void refuse(const std::string& message) { throw Error(ACNE_EDGE_STATUS_BACKEND, message); }

std::uint64_t little_endian(const std::uint8_t* data, int bytes) {
    std::uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | data[i];
    return value;
}

}  // namespace

bool is_engine_file(ByteView bytes) {
    return bytes.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), bytes.begin());
}

EngineFile read_engine_file(ByteView bytes) {
    if (!is_engine_file(bytes) || bytes.size() < kStart) {
        refuse("not an engine file of acne-edge: make one with `acne-edge engine`");
    }
    const std::uint64_t header_size = little_endian(bytes.data() + kMagic.size(), 4);
    const std::uint64_t plan_size = little_endian(bytes.data() + kMagic.size() + 4, 8);
    if (header_size > kMaxHeader || header_size > bytes.size() - kStart || plan_size != bytes.size() - kStart - header_size) {
        refuse("the engine file is damaged: its lengths do not add up; build it again");
    }
    const std::uint8_t* header = bytes.data() + kStart;
    EngineFile engine;
    engine.plan = header + header_size;
    engine.plan_size = static_cast<std::size_t>(plan_size);
    std::string digest;
    try {
        const auto values = nlohmann::json::parse(header, engine.plan);
        const auto& build = values.at("build");
        build.at("tensorrt").get_to(engine.tensorrt);
        build.at("gpu").get_to(engine.gpu);
        build.at("compute_capability").get_to(engine.compute_capability);
        values.at("plan_sha256").get_to(digest);
        engine.manifest_text = values.at("manifest").dump();
    } catch (const nlohmann::json::exception&) {
        refuse("the engine file is damaged: its header cannot be read; build it again");
    }
    if (sha256(engine.plan, engine.plan_size) != digest) {
        refuse("the engine file is damaged: its plan is not the one it was written with; build it again");
    }
    engine.manifest = parse_manifest(engine.manifest_text);
    return engine;
}

void check_fits(const EngineFile& engine, const std::string& tensorrt, const std::string& gpu,
                const std::string& compute_capability) {
    std::string differs;
    const auto compare = [&](const char* name, const std::string& built, const std::string& here) {
        if (built != here) differs += (differs.empty() ? "" : "; ") + std::string(name) + " is " + built + ", not " + here;
    };
    compare("tensorrt", engine.tensorrt, tensorrt);
    compare("compute_capability", engine.compute_capability, compute_capability);
    compare("gpu", engine.gpu, gpu);
    if (!differs.empty()) refuse("the engine is for another machine or model (" + differs + "): build it again");
}

}  // namespace acne_edge
