#include "graph_cache.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include <sys/stat.h>
#include <unistd.h>

#include "sha256.h"

namespace acne_edge {
namespace {

constexpr std::size_t kSeal = 64;  // the hexadecimal sha256 of a graph, behind it

std::string digest(const std::string& text) { return sha256(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()); }

// What kernels are chosen by: the kind of the first processor and its instruction sets. Empty if it cannot be told.
std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    std::string found;
    for (std::string line; std::getline(file, line) && !line.empty();) {
        for (const char* name : {"vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU "}) {
            if (line.rfind(name, 0) == 0) found += line + "\n";
        }
    }
    return found;
}

bool is_private(const std::string& folder) {
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), failed);
    mkdir(folder.c_str(), 0700);
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
           (status.st_uid == geteuid() || status.st_uid == 0);
}

std::vector<std::uint8_t> read_file(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
    struct stat status {};
    if (!file || fstat(fileno(file.get()), &status) != 0 || !S_ISREG(status.st_mode)) return {};
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(status.st_size));
    return std::fread(bytes.data(), 1, bytes.size(), file.get()) == bytes.size() ? bytes : std::vector<std::uint8_t>();
}

}  // namespace

GraphCache::GraphCache(const std::string& folder, const std::string& model_sha256, const std::string& runtime) {
    if (folder.empty()) return;
    const std::string machine = processor();
    if (!machine.empty() && is_private(folder)) {
        path_ = folder + "/" + digest(model_sha256 + "\n" + runtime + "\n" + machine) + ".ort";
    }
}

std::vector<std::uint8_t> GraphCache::read() const {
    std::vector<std::uint8_t> bytes = usable() ? read_file(path_) : std::vector<std::uint8_t>();
    if (bytes.size() <= kSeal) return {};
    const std::string seal(bytes.end() - kSeal, bytes.end());
    bytes.resize(bytes.size() - kSeal);
    return sha256(bytes.data(), bytes.size()) == seal ? bytes : std::vector<std::uint8_t>();
}

std::string GraphCache::temporary() const {
    if (!usable()) return "";
    std::string name = path_ + ".XXXXXX";
    const int file = mkstemp(name.data());
    if (file < 0) return "";
    close(file);
    return name;
}

void GraphCache::keep(const std::string& temporary) const {
    const std::vector<std::uint8_t> graph = read_file(temporary);
    std::ofstream file(temporary, std::ios::binary | std::ios::app);
    file << sha256(graph.data(), graph.size());
    file.close();
    if (graph.empty() || !file || std::rename(temporary.c_str(), path_.c_str()) != 0) std::remove(temporary.c_str());
}

}  // namespace acne_edge
