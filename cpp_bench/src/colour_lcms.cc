// The part of colour.h that Little CMS does.
#include <algorithm>

#include <lcms2.h>

#include "colour.h"

namespace acne_edge {
namespace {

constexpr int kNearlyWhite = 224;  // the least value of each channel that white may be converted to

struct ProfileCloser {
    void operator()(void* profile) const { cmsCloseProfile(profile); }
};
using Profile = std::unique_ptr<void, ProfileCloser>;

struct TransformCloser {
    void operator()(void* transform) const { cmsDeleteTransform(transform); }
};
using Transform = std::unique_ptr<void, TransformCloser>;

cmsUInt32Number format_of(Pixels pixels) {
    switch (pixels) {
        case Pixels::kGrey: return COLORSPACE_SH(PT_GRAY) | EXTRA_SH(2) | CHANNELS_SH(1) | BYTES_SH(1);
        case Pixels::kInks: return TYPE_CMYK_8_REV;
        case Pixels::kRgb: break;
    }
    return TYPE_RGB_8;
}

class LittleCms final : public Conversion {
public:
    explicit LittleCms(Transform transform) : transform_(std::move(transform)) {}

    void run(const std::uint8_t* from, std::uint8_t* to, std::size_t pixels) const override {
        cmsDoTransform(transform_.get(), from, to, static_cast<cmsUInt32Number>(pixels));
    }

private:
    Transform transform_;
};

}  // namespace

std::unique_ptr<Conversion> open_profile(std::string_view profile, Pixels pixels) {
    const Profile source(cmsOpenProfileFromMem(profile.data(), static_cast<cmsUInt32Number>(profile.size())));
    const Profile target(cmsCreate_sRGBProfile());
    if (!source || !target) return nullptr;
    Transform transform(
        cmsCreateTransform(source.get(), format_of(pixels), target.get(), TYPE_RGB_8, INTENT_RELATIVE_COLORIMETRIC, 0));
    if (!transform) return nullptr;
    auto conversion = std::make_unique<LittleCms>(std::move(transform));
    const std::uint8_t white[4] = {255, 255, 255, 255};
    std::uint8_t converted[3] = {};
    conversion->run(white, converted, 1);
    return *std::min_element(converted, converted + 3) < kNearlyWhite ? nullptr : std::move(conversion);
}

std::string colour_management() {
    const int version = cmsGetEncodedCMMversion();  // 2140 is 2.14
    return "Little CMS " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace acne_edge
