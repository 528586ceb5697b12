// The photograph inside a picture: borders, letterbox bars and the interface around it are cut off, as acne_edge/framing.py does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image.h"

namespace acne_edge {

inline constexpr const char* kFramingRule = "framing-1";  // what the manifest of a model requires whose photographs are cut

// A rectangle of whole pixels; right and bottom are the first that lie outside.
struct Box {
    int left = 0;
    int top = 0;
    int right = 0;
    int bottom = 0;

    int width() const { return right - left; }
    int height() const { return bottom - top; }
    bool operator==(const Box& other) const {
        return left == other.left && top == other.top && right == other.right && bottom == other.bottom;
    }
    bool operator!=(const Box& other) const { return !(*this == other); }
};

// Where the photograph lies in a picture; the whole of it where nothing is to be cut.
Box find_photograph(const ImageView& image);

// The same in a JPEG that was decoded for `min_side`. Where what is left of it has fewer pixels, it is decoded again at a finer
// scale, so that both sides keep `min_side` if the file has them. Throws Error if it can no longer be decoded.
Box find_photograph(Photograph& photograph, const std::uint8_t* data, std::size_t size, int min_side);

// A box of a decoded picture, in pixels of the whole photograph, halves rounded up.
Box scaled(const Box& box, const ImageView& decoded, int width, int height);

// The pixels of a box, where they are.
ImageView part_of(const ImageView& image, const Box& box);

}  // namespace acne_edge
