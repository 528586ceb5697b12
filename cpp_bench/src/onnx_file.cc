#include "onnx_file.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "error.h"
#include "manifest.h"

namespace acne_edge {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kMetadata = 14;  // of ModelProto: entries of
constexpr std::uint64_t kKey = 1, kValue = 2;
constexpr std::uint64_t kExternalData = 13;  // of TensorProto: where its values are, if not in the file

constexpr std::string_view kLocation = "location";  // the key under which external data names a file; without it there is none
constexpr int kDeepest = 100;                       // the limit of nested messages, as in protocol buffers' own readers

// For each message, the fields whose messages may contain a tensor at some depth.
enum class Kind { kModel, kTraining, kFunction, kGraph, kNode, kAttribute, kSparseTensor, kTensor };
struct Inside {
    Kind message;
    std::uint64_t field;
    Kind holds;
};
constexpr std::array<Inside, 19> kInside = {{
    {Kind::kModel, 7, Kind::kGraph},
    {Kind::kModel, 20, Kind::kTraining},
    {Kind::kModel, 25, Kind::kFunction},
    {Kind::kTraining, 1, Kind::kGraph},
    {Kind::kTraining, 2, Kind::kGraph},
    {Kind::kFunction, 7, Kind::kNode},
    {Kind::kFunction, 11, Kind::kAttribute},
    {Kind::kGraph, 1, Kind::kNode},
    {Kind::kGraph, 5, Kind::kTensor},
    {Kind::kGraph, 15, Kind::kSparseTensor},
    {Kind::kNode, 5, Kind::kAttribute},
    {Kind::kAttribute, 5, Kind::kTensor},
    {Kind::kAttribute, 6, Kind::kGraph},
    {Kind::kAttribute, 10, Kind::kTensor},
    {Kind::kAttribute, 11, Kind::kGraph},
    {Kind::kAttribute, 22, Kind::kSparseTensor},
    {Kind::kAttribute, 23, Kind::kSparseTensor},
    {Kind::kSparseTensor, 1, Kind::kTensor},
    {Kind::kSparseTensor, 2, Kind::kTensor},
}};

// Walks the fields of a protocol buffer message without knowing its type.
class Fields {
public:
    explicit Fields(std::string_view message) : left_(message) {}

    // Whether `next` reached the end of an undamaged message.
    bool whole() const { return whole_; }

    // The next field that holds bytes: its number and content. False at the end, or where the message is damaged.
    bool next(std::uint64_t& number, std::string_view& bytes) {
        std::uint64_t tag = 0, value = 0;
        whole_ = false;
        while (!left_.empty()) {
            if (!varint(tag)) return false;
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
        whole_ = true;
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
    bool whole_ = false;
};

struct Message {
    Kind kind;
    std::string_view bytes;
    int depth;
};

// Adds a field's message to those to search if it may contain a tensor. False if it is nested too deeply.
bool enter(const Message& message, std::uint64_t field, std::string_view bytes, std::vector<Message>& left) {
    for (const Inside& inside : kInside) {
        if (inside.message != message.kind || inside.field != field) continue;
        if (message.depth == kDeepest) return false;
        left.push_back({inside.holds, bytes, message.depth + 1});
    }
    return true;
}

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

void refuse_external_data(ByteView model) {
    const std::string_view all(reinterpret_cast<const char*>(model.data()), model.size());
    const std::boyer_moore_horspool_searcher location(kLocation.begin(), kLocation.end());
    if (std::search(all.begin(), all.end(), location) == all.end()) return;
    std::vector<Message> left = {{Kind::kModel, all, 0}};
    while (!left.empty()) {
        const Message message = left.back();
        left.pop_back();
        Fields fields(message.bytes);
        std::uint64_t number = 0;
        bool searched = true;
        for (std::string_view field; searched && fields.next(number, field);) {
            if (message.kind == Kind::kTensor && number == kExternalData) {
                throw Error(ACNE_EDGE_STATUS_MODEL,
                            "the model keeps weights outside its file; a model is one file: export it without external data");
            }
            searched = enter(message, number, field, left);
        }
        if (!searched || !fields.whole()) {
            throw Error(ACNE_EDGE_STATUS_MODEL, "not an ONNX file that can be searched for weights outside it");
        }
    }
}

}  // namespace acne_edge
