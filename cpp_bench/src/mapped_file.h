// Memory-mapped files, because copying a model takes longer than everything else that reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace acne_edge {

// Bytes that belong to someone else.
class ByteView {
public:
    ByteView() = default;
    ByteView(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
    ByteView(const std::vector<std::uint8_t>& bytes) : ByteView(bytes.data(), bytes.size()) {}

    const std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }
    const std::uint8_t* begin() const { return data_; }
    const std::uint8_t* end() const { return data_ + size_; }

private:
    const std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

// Safe only for files that are replaced by renaming and never written into.
class MappedFile {
public:
    MappedFile() = default;  // nothing

    // Throws std::system_error, with the system's word for it, if there is no such regular file.
    explicit MappedFile(const std::string& path);

    // A file that the caller has in memory, and keeps there while this is used.
    explicit MappedFile(ByteView file) : start_(std::shared_ptr<const std::uint8_t>(), file.data()), size_(file.size()) {}

    ByteView bytes() const { return {start_.get(), size_}; }

private:
    std::shared_ptr<const std::uint8_t> start_;
    std::size_t size_ = 0;
};

}  // namespace acne_edge
