#include "framing.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "error.h"

namespace acne_edge {
namespace {

// The rule is written out in acne_edge/framing.py, by the same names.
constexpr int kNear = 8, kFar = 16, kStray = 50, kDepth = 8, kShare = 3, kThick = 32;
constexpr int kEqual = 2, kRun = 12;
constexpr int kLeast = 5, kLowest = 64;

enum class Side { kTop, kBottom, kLeft, kRight };
constexpr Side kSides[] = {Side::kTop, Side::kBottom, Side::kLeft, Side::kRight};

using Colour = std::array<int, 3>;

// Whether two pixels, or a pixel and a colour, are farther apart than `limit` in some channel.
template <typename Other>
bool differ(const std::uint8_t* pixel, const Other& other, int limit) {
    return std::abs(pixel[0] - other[0]) > limit || std::abs(pixel[1] - other[1]) > limit ||
           std::abs(pixel[2] - other[2]) > limit;
}

Box without(Box box, Side side, int lines) {
    switch (side) {
        case Side::kTop: box.top += lines; break;
        case Side::kBottom: box.bottom -= lines; break;
        case Side::kLeft: box.left += lines; break;
        case Side::kRight: box.right -= lines; break;
    }
    return box;
}

// The lines of a box, counted inwards from one of its sides.
class Lines {
public:
    Lines(const ImageView& image, const Box& box, Side side) {
        const bool rows = side == Side::kTop || side == Side::kBottom;
        const auto stride = static_cast<std::ptrdiff_t>(image.stride);
        count_ = rows ? box.height() : box.width();
        length_ = rows ? box.width() : box.height();
        line_step_ = rows ? stride : 3;
        pixel_step_ = rows ? 3 : stride;
        first_ = image.data + box.top * stride + std::ptrdiff_t{3} * box.left;
        if (side == Side::kBottom || side == Side::kRight) {
            first_ += (count_ - 1) * line_step_;
            line_step_ = -line_step_;
        }
    }

    int count() const { return count_; }
    int length() const { return length_; }
    const std::uint8_t* pixel(int line, int at) const { return first_ + line * line_step_ + at * pixel_step_; }

    // The upper median of a line, channel by channel.
    Colour median(int line) const {
        Colour colour{};
        for (std::size_t c = 0; c < 3; ++c) {
            std::array<int, 256> having{};
            for (int i = 0; i < length_; ++i) ++having[pixel(line, i)[c]];
            int value = 0;
            for (int up_to = having[0]; up_to <= length_ / 2; up_to += having[static_cast<std::size_t>(value)]) ++value;
            colour[c] = value;
        }
        return colour;
    }

    // How many pixels of a line are farther than `limit` from a colour in some channel.
    int far(int line, const Colour& colour, int limit) const {
        int count = 0;
        for (int i = 0; i < length_; ++i) count += differ(pixel(line, i), colour, limit);
        return count;
    }

    // How many of the lines are of a colour, or are not, before the first one that differs in that.
    int run(const Colour& colour, bool uniform) const {
        int at = 0;
        while (at < count_ && (std::int64_t{kStray} * far(at, colour, kNear) <= length_) == uniform) ++at;
        return at;
    }

    // How many of them are a border; 0 if it does not end in a straight edge.
    int border() const {
        const Colour colour = median(0);
        const int count = run(colour, true);
        if (count == 0 || count + kDepth > count_) return 0;
        return std::int64_t{kShare} * far(count + kDepth - 1, colour, kFar) >= length_ ? count : 0;
    }

private:
    const std::uint8_t* first_;
    std::ptrdiff_t line_step_, pixel_step_;
    int count_, length_;
};

Box without_borders(const ImageView& image, Box box) {
    Box before;
    do {
        before = box;
        for (const Side side : kSides) box = without(box, side, Lines(image, box, side).border());
    } while (box != before);
    return box;
}

// The box without the borders of one side, one after the other; their colours are added to `colours`.
Box without_side(const ImageView& image, Box box, Side side, std::vector<Colour>& colours) {
    while (true) {
        const Lines lines(image, box, side);
        const int count = lines.border();
        if (count == 0) return box;
        colours.push_back(lines.median(0));
        box = without(box, side, count);
    }
}

// Which pixels of a row lie in a long run of one colour.
std::vector<bool> flat(const Lines& rows, int row) {
    const int width = rows.length(), least = std::max(4, width / kRun);
    std::vector<bool> found(static_cast<std::size_t>(width), false);
    int start = 0;
    for (int x = 1; x <= width; ++x) {
        if (x < width && !differ(rows.pixel(row, x), rows.pixel(row, x - 1), kEqual)) continue;
        if (x - start >= least) std::fill(found.begin() + start, found.begin() + x, true);
        start = x;
    }
    return found;
}

// Whether a row is drawn rather than photographed.
bool is_drawn(const Lines& rows, int row) {
    const std::vector<bool> pixels = flat(rows, row);
    return 2 * std::count(pixels.begin(), pixels.end(), true) >= rows.length();
}

// The longest stretch of rows that are not drawn, the first of several; first and one past the last.
std::pair<int, int> highest_block(const Lines& rows) {
    std::pair<int, int> best{0, 0};
    for (int start = 0, y = 0; y <= rows.count(); ++y) {
        if (y < rows.count() && !is_drawn(rows, y)) continue;
        if (y - start > best.second - best.first) best = {start, y};
        start = y + 1;
    }
    return best;
}

// Whether a box, by its lines from one side, ends there in a straight edge to what lies around it; so it does where nothing does.
bool is_straight(const Lines& box, const Lines& around) {
    if (around.count() == 0) return true;
    const std::vector<bool> pixels = flat(around, 0);
    int far = 0;
    for (int i = 0; i < box.length(); ++i) {
        far += pixels[static_cast<std::size_t>(i)] && differ(box.pixel(kDepth - 1, i), around.pixel(0, i), kFar);
    }
    return std::int64_t{kShare} * far >= box.length();
}

Box without_interface(const ImageView& image, const Box& box) {
    const Lines rows(image, box, Side::kTop);
    if (!is_drawn(rows, 0) && !is_drawn(rows, rows.count() - 1)) return box;
    const auto [top, bottom] = highest_block(rows);
    if (bottom - top < kLowest || (top == 0 && bottom == box.height())) return box;
    const Box block{box.left, box.top + top, box.right, box.top + bottom};
    const Box middle = without(without(block, Side::kTop, kDepth), Side::kBottom, kDepth);
    std::vector<Colour> of_left, of_right;
    const Box columns = without_side(image, without_side(image, middle, Side::kLeft, of_left), Side::kRight, of_right);
    Box inside{columns.left, block.top, columns.right, block.bottom};
    const Lines above(image, {inside.left, box.top, inside.right, block.top}, Side::kBottom);
    const Lines below(image, {inside.left, block.bottom, inside.right, box.bottom}, Side::kTop);
    if (!of_left.empty() && !of_right.empty()) {
        int up = above.count(), down = below.count();
        for (const Colour& colour : of_left) {
            up = std::min(up, above.run(colour, false));
            down = std::min(down, below.run(colour, false));
        }
        inside.top -= up;
        inside.bottom += down;
        return inside;
    }
    const bool straight =
        is_straight(Lines(image, inside, Side::kTop), above) && is_straight(Lines(image, inside, Side::kBottom), below);
    return straight ? inside : box;
}

int rounded(int at, int whole, int part) {
    return static_cast<int>((std::int64_t{2} * at * whole + part) / (std::int64_t{2} * part));
}

}  // namespace

Box find_photograph(const ImageView& image) {
    const Box whole{0, 0, image.width, image.height};
    Box box = without_borders(image, whole);
    const Box inside = without_interface(image, box);
    if (inside != box) box = without_borders(image, inside);
    const auto too_small = [](int left, int before) { return std::int64_t{kLeast} * left < before || left < kMinSide; };
    const auto hardly = [](int left, int before) { return std::int64_t{kThick} * (before - left) < before; };
    if (too_small(box.width(), whole.width()) || too_small(box.height(), whole.height())) return whole;
    return hardly(box.width(), whole.width()) && hardly(box.height(), whole.height()) ? whole : box;
}

Box find_photograph(Photograph& photograph, const std::uint8_t* data, std::size_t size, int min_side) {
    const Box box = find_photograph(photograph.pixels.view());
    const int decoded = photograph.pixels.width();
    const int scale = (photograph.width + decoded - 1) / decoded;
    const int finer = dct_scale(box.width() * scale, box.height() * scale, min_side);
    if (finer >= scale) return box;
    try {
        photograph = decode_jpeg(data, size, std::min(photograph.width, photograph.height) / finer);
        return find_photograph(photograph.pixels.view());
    } catch (const Error& error) {
        if (error.status() != ACNE_EDGE_STATUS_IMAGE_SIZE) throw;
        return box;  // too large to be decoded at that scale
    }
}

Box scaled(const Box& box, const ImageView& decoded, int width, int height) {
    return {rounded(box.left, width, decoded.width), rounded(box.top, height, decoded.height),
            rounded(box.right, width, decoded.width), rounded(box.bottom, height, decoded.height)};
}

ImageView part_of(const ImageView& image, const Box& box) {
    return {image.row(box.top) + std::ptrdiff_t{3} * box.left, box.width(), box.height(), image.stride};
}

}  // namespace acne_edge
