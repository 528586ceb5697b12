#include "onnx_file.h"

#include <string_view>

#include "manifest.h"

namespace acne_edge {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kMetadata = 14;  // of ModelProto: entries of
constexpr std::uint64_t kKey = 1, kValue = 2;

// Walks the fields of a protocol buffer message and knows no more of it.
class Fields {
public:
    explicit Fields(std::string_view message) : left_(message) {}

    // The next field that holds bytes: its number and what it holds. False at the end, or where the message is damaged.
    bool next(std::uint64_t& number, std::string_view& bytes) {
        std::uint64_t tag = 0, value = 0;
        while (varint(tag)) {
            number = tag >> 3;
            switch (tag & 7) {
                case 0:
                    if (!varint(value)) return false;
                    break;
                case 1:
                    if (!skip(8)) return false;
                    break;
                case 5:
                    if (!skip(4)) return false;
                    break;
                case 2:
                    if (!varint(value) || value > left_.size()) return false;
                    bytes = left_.substr(0, static_cast<std::size_t>(value));
                    left_.remove_prefix(bytes.size());
                    return true;
                default: return false;
            }
        }
        return false;
    }

private:
    bool varint(std::uint64_t& value) {
        value = 0;
        for (int shift = 0; shift < 64 && !left_.empty(); shift += 7) {
            const auto byte = static_cast<std::uint8_t>(left_.front());
            left_.remove_prefix(1);
            value |= std::uint64_t{byte & 0x7FU} << shift;
            if (byte < 0x80) return true;
        }
        return false;
    }

    bool skip(std::size_t bytes) {
        if (bytes > left_.size()) return false;
        left_.remove_prefix(bytes);
        return true;
    }

    std::string_view left_;
};

}  // namespace

std::optional<std::string> find_manifest(ByteView model) {
    Fields fields({reinterpret_cast<const char*>(model.data()), model.size()});
    std::uint64_t number = 0;
    for (std::string_view field; fields.next(number, field);) {
        if (number != kMetadata) continue;
        std::string_view key, value;
        Fields entry(field);
        for (std::string_view part; entry.next(number, part);) {
            if (number == kKey) key = part;
            if (number == kValue) value = part;
        }
        if (key == kManifestKey) return std::string(value);
    }
    return std::nullopt;
}

}  // namespace acne_edge
