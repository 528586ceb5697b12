/* The offset of every field and the value of every constant, on which linked programs rely. Changing a line breaks them, so it
 * needs a new soname; new fields and constants get new lines. It is C, as callers may be. */
#include "acne_edge.h"

#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")
#define IS(constant, value) _Static_assert((constant) == (value), #constant " has another value")
#define POINTER sizeof(void *)

AT(acne_edge_options, size, 0);
AT(acne_edge_options, backend, 4);
AT(acne_edge_options, threads, 8);
AT(acne_edge_options, on_poor_quality, 12);
AT(acne_edge_options, scale, 16);
AT(acne_edge_options, sha256, 16 + POINTER);
AT(acne_edge_options, cache, 16 + 2 * POINTER);
_Static_assert(sizeof(acne_edge_options) == 16 + 3 * POINTER, "acne_edge_options has grown: add the field's line");

AT(acne_edge_quality, brightness, 0);
AT(acne_edge_quality, clipped, 8);
AT(acne_edge_quality, sharpness, 16);
AT(acne_edge_quality, skin, 24);
AT(acne_edge_quality, short_side, 32);
AT(acne_edge_quality, reasons, 36);
AT(acne_edge_quality, noise, 40);
AT(acne_edge_quality, colour_detail, 48);
_Static_assert(sizeof(acne_edge_quality) == 56, "acne_edge_quality has grown: add the field's line");

AT(acne_edge_timings, decode, 0);
AT(acne_edge_timings, quality, 8);
AT(acne_edge_timings, preprocess, 16);
AT(acne_edge_timings, inference, 24);
AT(acne_edge_timings, interpretation, 32);
AT(acne_edge_timings, total, 40);
AT(acne_edge_timings, framing, 48);
_Static_assert(sizeof(acne_edge_timings) == 56, "acne_edge_timings has grown: add the field's line");

AT(acne_edge_lesion, x, 0);
AT(acne_edge_lesion, y, 8);
AT(acne_edge_lesion, score, 16);
_Static_assert(sizeof(acne_edge_lesion) == 24, "acne_edge_lesion has grown: results hold them side by side, so it must not");

AT(acne_edge_result, count, 0);
AT(acne_edge_result, level, 8);
AT(acne_edge_result, count_low, 16);
AT(acne_edge_result, count_high, 20);
AT(acne_edge_result, grade, 24);
AT(acne_edge_result, grades, 28);
AT(acne_edge_result, grade_set, 32);
AT(acne_edge_result, map_height, 36);
AT(acne_edge_result, map_width, 40);
AT(acne_edge_result, lesion_count, 44);
AT(acne_edge_result, grade_label, 48);
AT(acne_edge_result, grade_probs, 48 + POINTER);
AT(acne_edge_result, scale, 48 + 2 * POINTER);
AT(acne_edge_result, abstained, 48 + 3 * POINTER);
AT(acne_edge_result, lesion_map, 48 + 4 * POINTER);
AT(acne_edge_result, quality, 48 + 5 * POINTER);
AT(acne_edge_result, timings, 48 + 6 * POINTER);
AT(acne_edge_result, lesions, 48 + 7 * POINTER);
AT(acne_edge_result, image_width, 48 + 8 * POINTER);
AT(acne_edge_result, image_height, 52 + 8 * POINTER);
AT(acne_edge_result, grade_text, 56 + 8 * POINTER);
AT(acne_edge_result, crop_left, 56 + 9 * POINTER);
AT(acne_edge_result, crop_top, 60 + 9 * POINTER);
AT(acne_edge_result, crop_right, 64 + 9 * POINTER);
AT(acne_edge_result, crop_bottom, 68 + 9 * POINTER);
AT(acne_edge_result, unfamiliarity, 72 + 9 * POINTER);
_Static_assert(sizeof(acne_edge_result) == 80 + 9 * POINTER, "acne_edge_result has grown: add the field's line");

IS(ACNE_EDGE_STATUS_OK, 0);
IS(ACNE_EDGE_STATUS_INTERNAL, 1);
IS(ACNE_EDGE_STATUS_USAGE, 2);
IS(ACNE_EDGE_STATUS_IMAGE_DECODE, 3);
IS(ACNE_EDGE_STATUS_IMAGE_SIZE, 4);
IS(ACNE_EDGE_STATUS_MODEL, 5);
IS(ACNE_EDGE_STATUS_MANIFEST, 6);
IS(ACNE_EDGE_STATUS_MODEL_INTEGRITY, 7);
IS(ACNE_EDGE_STATUS_BACKEND, 8);
IS(ACNE_EDGE_STATUS_POOR_QUALITY, 9);
IS(ACNE_EDGE_BACKEND_AUTO, 0);
IS(ACNE_EDGE_BACKEND_ONNXRUNTIME, 1);
IS(ACNE_EDGE_BACKEND_TENSORRT, 2);
IS(ACNE_EDGE_POOR_QUALITY_WARN, 0);
IS(ACNE_EDGE_POOR_QUALITY_ABSTAIN, 1);
IS(ACNE_EDGE_POOR_QUALITY_FAIL, 2);
IS(ACNE_EDGE_QUALITY_LOW_RESOLUTION, 1);
IS(ACNE_EDGE_QUALITY_TOO_DARK, 2);
IS(ACNE_EDGE_QUALITY_TOO_BRIGHT, 4);
IS(ACNE_EDGE_QUALITY_BLURRED, 8);
IS(ACNE_EDGE_QUALITY_NO_SKIN, 16);
IS(ACNE_EDGE_QUALITY_BLANK, 32);
IS(ACNE_EDGE_QUALITY_NOISY, 64);
IS(ACNE_EDGE_QUALITY_COMPRESSED, 128);
IS(ACNE_EDGE_QUALITY_CLOSE_UP, 256);
