// Pillow's resampling, to the last bit, because other pixels give other counts.
#pragma once

#include "image.h"

namespace acne_edge {

// Resample with Pillow's antialiased triangle filter, Image.resize((width, height), BILINEAR); the frame is stretched.
Image resize(const ImageView& image, int width, int height);

}  // namespace acne_edge
