/* libacne_edge: counts acne lesions and grades severity from one photograph, on the device that took it.
 *
 *     #include <acne_edge.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         static unsigned char jpeg[16 << 20];
 *         acne_edge_model *model = NULL;
 *         acne_edge_result *result = NULL;
 *         FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
 *         size_t size = file ? fread(jpeg, 1, sizeof jpeg, file) : 0;
 *         acne_edge_status status = acne_edge_open(argv[1], NULL, &model);
 *
 *         if (status == ACNE_EDGE_OK) status = acne_edge_predict_jpeg(model, jpeg, size, &result);
 *         if (status == ACNE_EDGE_OK)
 *             printf("%.1f lesions (%d to %d), %s\n", result->count, result->count_low, result->count_high,
 *                    result->grade_text);
 *         else
 *             fprintf(stderr, "%s\n", acne_edge_last_error());
 *         if (file) fclose(file);
 *         acne_edge_result_free(result);
 *         acne_edge_close(model);
 *         return status;
 *     }
 *
 * Conventions
 *   Status      Every call that can fail returns a status, and compilers warn if it is ignored. On failure nothing is written
 *               to the outputs, and acne_edge_last_error() holds one line that says what is wrong, where, and what to do.
 *   Ownership   The caller frees what a function allocates, with the function named in its comment. Pointers inside a result
 *               are valid as long as the result. Inputs are read only during the call and never kept.
 *   Threads     Many threads may use one model at once. A result belongs to one thread at a time. Do not close a model while
 *               another call uses it.
 *   Forks       Fork only while no call is running. The child may open models of its own, and may use and close its parent's,
 *               which then predict on the calling thread, because their own threads do not survive the fork.
 *   Exceptions  None leaves the library.
 *   Names       A constant's name begins with its group: ACNE_EDGE_STATUS_..., ACNE_EDGE_QUALITY_...
 *   ABI         The soname changes with the minor version while the major version is 0 (libacne_edge.so.0.1), then with the
 *               major version. Within one soname, functions and enumerators may be added, and a struct may grow at its end: options
 *               carry their size; a result and the structs it points to are allocated by the library, so read them where they
 *               are and neither copy nor embed them. Structs hold enumerators as integers of fixed width. A library may be newer
 *               than the header that a program was compiled with, not older; acne_edge_version_number() tells.
 *
 * The result is decision support for professionals, not a diagnosis.
 */
#ifndef ACNE_EDGE_H
#define ACNE_EDGE_H

#include <stddef.h>
#include <stdint.h>

#define ACNE_EDGE_VERSION_MAJOR 0
#define ACNE_EDGE_VERSION_MINOR 1
#define ACNE_EDGE_VERSION_PATCH 0
/* This header's version as a number: 1002003 is 1.2.3. */
#define ACNE_EDGE_VERSION_NUMBER (ACNE_EDGE_VERSION_MAJOR * 1000000 + ACNE_EDGE_VERSION_MINOR * 1000 + ACNE_EDGE_VERSION_PATCH)

#define ACNE_EDGE_API __attribute__((visibility("default")))
#define ACNE_EDGE_CHECKED __attribute__((warn_unused_result))

#ifdef __cplusplus
extern "C" {
#endif

typedef enum acne_edge_status {
    ACNE_EDGE_STATUS_OK = 0,
    ACNE_EDGE_STATUS_INTERNAL = 1,         /* out of memory, or a defect of the library */
    ACNE_EDGE_STATUS_USAGE = 2,            /* a wrong call, for example with a null pointer */
    ACNE_EDGE_STATUS_IMAGE_DECODE = 3,     /* not a JPEG, damaged or cut short */
    ACNE_EDGE_STATUS_IMAGE_SIZE = 4,       /* a side under 32 pixels, or over 100 megapixels */
    ACNE_EDGE_STATUS_MODEL = 5,            /* the model file cannot be read or breaks the contract */
    ACNE_EDGE_STATUS_MANIFEST = 6,         /* the model file holds no manifest, or one that is not valid or that requires
                                              what this version does not know */
    ACNE_EDGE_STATUS_MODEL_INTEGRITY = 7,  /* the model file has another sha256 than options.sha256 */
    ACNE_EDGE_STATUS_BACKEND = 8,          /* the runtime is not built in, or cannot run the model */
    ACNE_EDGE_STATUS_POOR_QUALITY = 9      /* a poor photograph, if options.on_poor_quality says to fail */
} acne_edge_status;

/* Short name of the status for success. */
#define ACNE_EDGE_OK ACNE_EDGE_STATUS_OK

typedef enum acne_edge_backend {
    ACNE_EDGE_BACKEND_AUTO = 0, /* by the file: ONNX runs on ONNX Runtime, an engine file on TensorRT */
    ACNE_EDGE_BACKEND_ONNXRUNTIME = 1,
    ACNE_EDGE_BACKEND_TENSORRT = 2
} acne_edge_backend;

/* How to treat a poor photograph, one with acne_edge_quality.reasons. */
typedef enum acne_edge_poor_quality {
    ACNE_EDGE_POOR_QUALITY_WARN = 0,    /* only report the reasons */
    ACNE_EDGE_POOR_QUALITY_ABSTAIN = 1, /* also set acne_edge_result.abstained */
    ACNE_EDGE_POOR_QUALITY_FAIL = 2     /* return ACNE_EDGE_STATUS_POOR_QUALITY before the network runs */
} acne_edge_poor_quality;

/* The default of every option, of later ones too, is 0 or null. What a newer header has and this library does not know is refused
 * unless it is that. */
typedef struct acne_edge_options {
    uint32_t size;           /* of this struct, as the caller was compiled; set by acne_edge_options_init */
    int32_t backend;         /* an acne_edge_backend */
    int32_t threads;         /* threads inside an operator; 0 lets the runtime choose. Where many predict at once, 1 is best */
    int32_t on_poor_quality; /* an acne_edge_poor_quality */
    const char *scale;       /* severity scale, "hayashi" or "banded"; null is the one the model was trained on */
    const char *sha256;      /* hexadecimal digest that the model file must have; null does not check */
    const char *cache;       /* folder to keep the model in as ONNX Runtime has optimised it for this machine, so that it loads
                                several times faster the next time; made if need be, and not used if others may write to it or it
                                cannot be written; null keeps nothing */
} acne_edge_options;

/* A loaded model. */
typedef struct acne_edge_model acne_edge_model;

/* Why lesions may not be countable in a photograph; bits of acne_edge_quality.reasons. */
enum {
    ACNE_EDGE_QUALITY_LOW_RESOLUTION = 1 << 0,
    ACNE_EDGE_QUALITY_TOO_DARK = 1 << 1,
    ACNE_EDGE_QUALITY_TOO_BRIGHT = 1 << 2,
    ACNE_EDGE_QUALITY_BLURRED = 1 << 3,
    ACNE_EDGE_QUALITY_NO_SKIN = 1 << 4,
    ACNE_EDGE_QUALITY_BLANK = 1 << 5, /* a lens cap or a wall: there is no grade, whatever options.on_poor_quality says */
    ACNE_EDGE_QUALITY_NOISY = 1 << 6,
    ACNE_EDGE_QUALITY_COMPRESSED = 1 << 7,
    ACNE_EDGE_QUALITY_CLOSE_UP = 1 << 8 /* brow or chin lies outside, and grades are for half a face; no option refuses it */
};

typedef struct acne_edge_quality {
    double brightness;    /* mean luma of the skin, 0..255; of the whole frame where there is too little skin */
    double clipped;       /* share of the skin that is too bright for the camera, 0..1 */
    double sharpness;     /* finest detail over coarse detail, from 0; 0.8 is typical */
    double skin;          /* share of pixels of skin colour, 0..1 */
    int32_t short_side;   /* pixels, as decoded */
    uint32_t reasons;     /* 0 for a good photograph */
    double noise;         /* finest detail of red minus green where it is smoothest, levels of 255; 0.2 is typical */
    double colour_detail; /* finest over coarse detail of red minus green, from 0; 0.7 is typical */
} acne_edge_quality;

/* Milliseconds by stage. */
typedef struct acne_edge_timings {
    double decode, quality, preprocess, inference, interpretation, total;
    double framing; /* between decode and quality: cutting off borders, and decoding again where that leaves too few pixels */
} acne_edge_timings;

/* A place where the network sees a lesion. This struct never grows, because results hold arrays of it. */
typedef struct acne_edge_lesion {
    double x;     /* of its centre: 0 at the left edge of the upright, uncropped photograph, 1 at the right edge */
    double y;     /* of its centre: 0 at the top, 1 at the bottom */
    double score; /* expected lesions there by the map, over 0 and at most 1 */
} acne_edge_lesion;

typedef struct acne_edge_result {
    double count;              /* lesions; says nothing where `abstained` is "blank" or "unfamiliar" */
    double level;              /* nominal coverage of the count interval and of the grade set, 0..1 */
    int32_t count_low;         /* lesions; the interval includes both ends */
    int32_t count_high;
    int32_t grade;             /* index into the scale's labels, from 0 */
    int32_t grades;            /* number of grades of the scale, at most 16 */
    uint32_t grade_set;        /* bit i is set: grade i cannot be excluded at the level */
    int32_t map_height;        /* cells */
    int32_t map_width;
    uint32_t lesion_count;     /* length of `lesions`, which may be more or less than `count` */
    const char *grade_label;   /* the network's answer even where `abstained` is set: look there first, or show `grade_text` */
    const double *grade_probs; /* [grades], sums to 1 */
    const char *scale;
    const char *abstained;     /* reason code for not trusting the grade, or null */
    const float *lesion_map;   /* [map_height * map_width], row by row: expected lesions in each cell over the crop */
    const acne_edge_quality *quality;
    const acne_edge_timings *timings;
    const acne_edge_lesion *lesions; /* [lesion_count], the most likely first; a picture marks as many as `count` rounded */
    int32_t image_width;       /* pixels of the photograph as taken, upright; the decoded image may be smaller */
    int32_t image_height;
    const char *grade_text;    /* what a person should read: all grades that are possible, "mild to moderate"; "none counted" under
                                  half a lesion; "no grade" where `abstained` says why */
    int32_t crop_left;         /* what was looked at, in pixels of the photograph: what was left where borders or an interface */
    int32_t crop_top;          /* were cut off, and else all of it */
    int32_t crop_right;        /* the first column to the right of it */
    int32_t crop_bottom;       /* the first row below it */
    double unfamiliarity;      /* how far the photograph's features lie from those learned, 0 and more; over 1 it is unfamiliar;
                                  under 0 where the model does not tell */
} acne_edge_result;

/* The library's version, as "0.1.0". Never null, never freed. */
ACNE_EDGE_API const char *acne_edge_version(void);

/* The library's version, a number like ACNE_EDGE_VERSION_NUMBER. If it is lower, the library is too old for the program. */
ACNE_EDGE_API int32_t acne_edge_version_number(void);

/* What the library can do with colour profiles: "Little CMS 2.14", and a photograph that carries one gives the pixels of its sRGB
 * twin; or "none", in a library that was built without, and every photograph is taken for sRGB, which moves the counts of those
 * that are not. Never null, never freed. */
ACNE_EDGE_API const char *acne_edge_colour_management(void);

/* The message of this thread's last failed call; empty if none failed. Owned by the library, valid until this thread's next
 * call. */
ACNE_EDGE_API const char *acne_edge_last_error(void);

/* The stable word for a status, such as "image_decode", as in the JSON of a failed input. Never null, never freed. */
ACNE_EDGE_API const char *acne_edge_status_name(acne_edge_status status);

/* Fill options with the defaults. `size` is the caller's sizeof(acne_edge_options): a newer library writes no more than that. */
ACNE_EDGE_API void acne_edge_options_init(acne_edge_options *options, size_t size);

/* Load a model file. Null options are the defaults. The caller frees *model with acne_edge_close. The file is mapped during the
 * call: an update must replace it by renaming, as package managers do, and not write into it. */
ACNE_EDGE_API ACNE_EDGE_CHECKED acne_edge_status
acne_edge_open(const char *path, const acne_edge_options *options, acne_edge_model **model);

/* Load a model from the bytes of a model file, for example in flash or in a firmware image. They are read only during the call:
 * the runtime copies what it needs, as it does from a file. The caller frees *model with acne_edge_close. */
ACNE_EDGE_API ACNE_EDGE_CHECKED acne_edge_status
acne_edge_open_memory(const uint8_t *bytes, size_t size, const acne_edge_options *options, acne_edge_model **model);

/* acne_edge_open and acne_edge_predict_jpeg in one, for a device that wakes up for a photograph: the photograph is decoded
 * while the model loads. The caller frees *model with acne_edge_close and *result with acne_edge_result_free. */
ACNE_EDGE_API ACNE_EDGE_CHECKED acne_edge_status
acne_edge_open_and_predict(const char *path, const acne_edge_options *options, const uint8_t *jpeg, size_t size,
                           acne_edge_model **model, acne_edge_result **result);

/* Free a model. Null is allowed. Results outlive their model. */
ACNE_EDGE_API void acne_edge_close(acne_edge_model *model);

/* Predict one photograph from the bytes of a JPEG; its EXIF orientation is honoured. The caller frees *result with
 * acne_edge_result_free. */
ACNE_EDGE_API ACNE_EDGE_CHECKED acne_edge_status
acne_edge_predict_jpeg(const acne_edge_model *model, const uint8_t *jpeg, size_t size, acne_edge_result **result);

/* Predict one upright photograph from pixels: rows of width * 3 bytes R, G, B, 0..255, each stride bytes after the one before.
 * The caller frees *result with acne_edge_result_free. */
ACNE_EDGE_API ACNE_EDGE_CHECKED acne_edge_status
acne_edge_predict_rgb(const acne_edge_model *model, const uint8_t *rgb, int32_t width, int32_t height, size_t stride,
                      acne_edge_result **result);

/* Free a result. Null is allowed. */
ACNE_EDGE_API void acne_edge_result_free(acne_edge_result *result);

/* The result as JSON of schema 1.1, on one line. `path` names the photograph there and may be null; the lesion map is included
 * unless `lesion_map` is 0. The caller frees *json with acne_edge_string_free. */
ACNE_EDGE_API ACNE_EDGE_CHECKED acne_edge_status
acne_edge_result_json(const acne_edge_result *result, const char *path, int lesion_map, char **json);

/* Free a text that the library allocated. Null is allowed. */
ACNE_EDGE_API void acne_edge_string_free(char *text);

/* The model's manifest, the JSON text in the file. Owned by the model; null if the model is null. */
ACNE_EDGE_API const char *acne_edge_manifest_json(const acne_edge_model *model);

/* The runtime and device of the model, as in "onnxruntime:CPUExecutionProvider". Owned by the model; null if that is null. */
ACNE_EDGE_API const char *acne_edge_backend_name(const acne_edge_model *model);

/* The sha256 of the model file, hexadecimal. Owned by the model; null if the model is null. */
ACNE_EDGE_API const char *acne_edge_model_sha256(const acne_edge_model *model);

#ifdef __cplusplus
}
#endif

#endif
