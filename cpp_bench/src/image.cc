#include "image.h"

#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which needs it
#include <cstring>
#include <string>

#include <jpeglib.h>

#include "colour.h"
#include "error.h"
#include "jpeg_header.h"

namespace acne_edge {
namespace {

std::string format_size(std::int64_t width, std::int64_t height) {
    return "image is " + std::to_string(width) + "x" + std::to_string(height) + " pixels; ";
}

// libjpeg reports errors through a function that must not return; this one jumps back to `recover`.
struct ErrorManager {
    jpeg_error_mgr base;
    std::jmp_buf recover;
};

void on_error(j_common_ptr info) { std::longjmp(reinterpret_cast<ErrorManager*>(info->err)->recover, 1); }

void on_message(j_common_ptr, int) {}

// A source of bytes that suspends at its end, as in Pillow. libjpeg's own source would invent an end of image, so a file that is
// cut short would look complete.
void on_source(j_decompress_ptr) {}

boolean on_more(j_decompress_ptr) { return FALSE; }

void on_skip(j_decompress_ptr info, long bytes) {
    if (bytes <= 0) return;
    jpeg_source_mgr& source = *info->src;
    const auto skipped =
        static_cast<std::size_t>(bytes) < source.bytes_in_buffer ? static_cast<std::size_t>(bytes) : source.bytes_in_buffer;
    source.next_input_byte += skipped;
    source.bytes_in_buffer -= skipped;
}

// Four inverted ink values a pixel, as Adobe's software writes them, to RGB with Pillow's arithmetic.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, int width) {
    for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
        const int light = cmyk[3];
        for (int c = 0; c < 3; ++c) {
            const int product = (255 - cmyk[c]) * light + 128;
            rgb[c] = static_cast<std::uint8_t>(light - ((product + (product >> 8)) >> 8));
        }
    }
}

// A libjpeg decompressor. Its methods return false if the data is damaged or cut short. They hold no C++ objects with a
// destructor, because libjpeg's error jump would skip it.
class Decompressor {
public:
    Decompressor(const std::uint8_t* data, std::size_t size) {
        info_.err = jpeg_std_error(&errors_.base);
        errors_.base.error_exit = on_error;
        errors_.base.emit_message = on_message;
        source_.init_source = on_source;
        source_.fill_input_buffer = on_more;
        source_.skip_input_data = on_skip;
        source_.resync_to_restart = jpeg_resync_to_restart;
        source_.term_source = on_source;
        source_.next_input_byte = data;
        source_.bytes_in_buffer = size;
    }
    ~Decompressor() { jpeg_destroy_decompress(&info_); }
    Decompressor(const Decompressor&) = delete;
    Decompressor& operator=(const Decompressor&) = delete;

    const jpeg_decompress_struct& info() const { return info_; }
    bool is_cmyk() const { return info_.out_color_space == JCS_CMYK; }

    bool read_header() {
        if (setjmp(errors_.recover) != 0) return false;
        jpeg_create_decompress(&info_);
        info_.src = &source_;
        int state = JPEG_HEADER_TABLES_ONLY;
        while (state == JPEG_HEADER_TABLES_ONLY) state = jpeg_read_header(&info_, FALSE);
        return state == JPEG_HEADER_OK;
    }

    bool start(int scale) {
        if (setjmp(errors_.recover) != 0) return false;
        info_.scale_num = 1;
        info_.scale_denom = static_cast<unsigned>(scale);
        info_.out_color_space = info_.num_components == 4 ? JCS_CMYK : JCS_RGB;
        return jpeg_start_decompress(&info_) != FALSE;
    }

    bool read_row(std::uint8_t* row) {
        if (setjmp(errors_.recover) != 0) return false;
        return jpeg_read_scanlines(&info_, &row, 1) == 1;
    }

    bool finish() {
        if (setjmp(errors_.recover) != 0) return false;
        jpeg_finish_decompress(&info_);  // it may find no end of image; the pixels are all there
        return true;
    }

private:
    jpeg_decompress_struct info_{};
    ErrorManager errors_{};
    jpeg_source_mgr source_{};
};

// The same limit as in Python, which keeps four bytes a pixel, and two copies while it converts or turns an image.
void check_memory(const JpegHeader& header, int scale) {
    const auto scaled = [scale](int side) { return static_cast<std::int64_t>(side + scale - 1) / scale; };
    const int orientation = header.orientation();
    const bool twice =
        header.components != 3 || (orientation >= 2 && orientation <= 8) || (!header.profile.empty() && !is_srgb(header.profile));
    if (header.buffered + 4 * scaled(header.width) * scaled(header.height) * (twice ? 2 : 1) <= 4 * kMaxPixels) return;
    throw Error(ACNE_EDGE_STATUS_IMAGE_SIZE, "JPEG of " + std::to_string(header.width) + "x" + std::to_string(header.height) +
                                                 " pixels takes too much memory to decode; save it smaller, as a baseline JPEG");
}

}  // namespace

void check_size(std::int64_t width, std::int64_t height) {
    if (width < kMinSide || height < kMinSide) {
        throw Error(ACNE_EDGE_STATUS_IMAGE_SIZE,
                    format_size(width, height) + "at least " + std::to_string(kMinSide) + " a side are needed");
    }
    if (width * height > kMaxPixels) {
        throw Error(ACNE_EDGE_STATUS_IMAGE_SIZE,
                    format_size(width, height) + "at most " + std::to_string(kMaxPixels / 1000000) + " megapixels are accepted");
    }
}

int dct_scale(int width, int height, int min_side) {
    const int times = (width < height ? width : height) / min_side;
    return times >= 8 ? 8 : times >= 4 ? 4 : times >= 2 ? 2 : 1;
}

Photograph decode_jpeg(const std::uint8_t* data, std::size_t size, int min_side) {
    if (size == 0) throw Error(ACNE_EDGE_STATUS_IMAGE_DECODE, "image is empty (0 bytes)");
    if (size < 3 || std::memcmp(data, "\xFF\xD8\xFF", 3) != 0) {
        throw Error(ACNE_EDGE_STATUS_IMAGE_DECODE, "not a JPEG; decode other formats yourself and pass their pixels as RGB");
    }
    const JpegHeader header = read_jpeg_header(data, size);
    check_size(header.width, header.height);
    const int scale = dct_scale(header.width, header.height, min_side);
    check_memory(header, scale);

    const Error damaged(ACNE_EDGE_STATUS_IMAGE_DECODE, "image data is damaged or cut short");
    Decompressor decompressor(data, size);
    if (!decompressor.read_header()) throw damaged;
    const auto& info = decompressor.info();
    const bool agreed = static_cast<std::int64_t>(info.image_width) == header.width &&
                        static_cast<std::int64_t>(info.image_height) == header.height && info.num_components == header.components;
    if (!agreed || !decompressor.start(scale)) throw damaged;  // decode only what was checked
    Image image(static_cast<int>(info.output_width), static_cast<int>(info.output_height));
    const bool inks = decompressor.is_cmyk();
    const auto conversion = make_conversion(header.profile, inks                     ? Pixels::kInks
                                                            : header.components == 1 ? Pixels::kGrey
                                                                                     : Pixels::kRgb);
    const std::unique_ptr<std::uint8_t[]> ink_row(inks ? new std::uint8_t[std::size_t{4} * info.output_width] : nullptr);
    for (int y = 0; y < image.height(); ++y) {
        std::uint8_t* row = inks ? ink_row.get() : image.row(y);
        if (!decompressor.read_row(row)) throw damaged;
        if (conversion) {
            conversion->run(row, image.row(y), static_cast<std::size_t>(image.width()));
        } else if (inks) {
            cmyk_to_rgb(row, image.row(y), image.width());
        }
    }
    if (!decompressor.finish()) throw damaged;
    const int orientation = header.orientation();
    const bool sideways = orientation >= 5 && orientation <= 8;
    return {turn_upright(std::move(image), orientation), sideways ? header.height : header.width,
            sideways ? header.width : header.height};
}

Image turn_upright(Image image, int orientation) {
    if (orientation < 2 || orientation > 8) return image;
    const bool swaps = orientation >= 5;  // rows become columns
    // The position of the upright image's first row and column in the stored one.
    const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Image upright(swaps ? image.height() : image.width(), swaps ? image.width() : image.height());
    const ImageView stored = image.view();
    const std::ptrdiff_t step =
        (swaps ? static_cast<std::ptrdiff_t>(stored.stride) : 3) * ((swaps ? from_bottom : from_right) ? -1 : 1);
    for (int y = 0; y < upright.height(); ++y) {
        const int row = swaps ? (from_bottom ? stored.height - 1 : 0) : (from_bottom ? stored.height - 1 - y : y);
        const int column = swaps ? (from_right ? stored.width - 1 - y : y) : (from_right ? stored.width - 1 : 0);
        const std::uint8_t* from = stored.row(row) + std::ptrdiff_t{3} * column;
        std::uint8_t* to = upright.row(y);
        for (int x = 0; x < upright.width(); ++x, to += 3) {
            std::memcpy(to, from + x * step, 3);
        }
    }
    return upright;
}

}  // namespace acne_edge
