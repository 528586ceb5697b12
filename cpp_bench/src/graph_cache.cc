#include "graph_cache.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include "sha256.h"

namespace acne_edge {
namespace {

using Seal = std::uint64_t;  // follows a graph, to check that it is complete

// FNV-1a (Fowler, Noll, Vo) over words takes a quarter of SHA-256's time. It detects failing disks and writes that were cut
// short; the folder's permissions keep others from writing here.
Seal seal(ByteView bytes) {
    Seal sum = 0xcbf29ce484222325;
    const auto mix = [&](std::uint64_t word) { sum = (sum ^ word) * 0x100000001b3; };
    std::size_t at = 0;
    for (std::uint64_t word = 0; at + sizeof word <= bytes.size(); at += sizeof word) {
        std::memcpy(&word, bytes.data() + at, sizeof word);
        mix(word);
    }
    for (; at < bytes.size(); ++at) mix(bytes.data()[at]);
    return sum;
}

std::string digest(const std::string& text) { return sha256(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()); }

// Nothing if the file cannot be read.
MappedFile map_file(const std::string& path) {
    try {
        return MappedFile(path);
    } catch (const std::system_error&) {
        return {};
    }
}

// The first processor's kind and instruction sets, by which kernels are chosen. Empty if unknown.
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
    struct stat status{};
    return stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
           (status.st_uid == geteuid() || status.st_uid == 0);
}

}  // namespace

GraphCache::GraphCache(const std::string& folder, const std::string& model_sha256, const std::string& runtime) {
    const std::string machine = processor();
    if (!machine.empty() && is_private(folder)) {
        path_ = folder + "/" + digest(model_sha256 + "\n" + runtime + "\n" + machine) + ".ort";
    }
}

Graph GraphCache::read() const {
    const MappedFile file = usable() ? map_file(path_) : MappedFile();
    if (file.bytes().size() <= sizeof(Seal)) return {};
    const ByteView graph(file.bytes().data(), file.bytes().size() - sizeof(Seal));
    Seal written = 0;
    std::memcpy(&written, graph.end(), sizeof written);
    return seal(graph) == written ? Graph{file, graph} : Graph();
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
    const MappedFile graph = map_file(temporary);
    std::ofstream file(temporary, std::ios::binary | std::ios::app);
    const Seal sum = seal(graph.bytes());
    file.write(reinterpret_cast<const char*>(&sum), sizeof sum);
    file.close();
    if (graph.bytes().size() == 0 || !file || std::rename(temporary.c_str(), path_.c_str()) != 0) std::remove(temporary.c_str());
}

}  // namespace acne_edge
