/* libacne_edge: counts acne lesions and grades severity from one photograph, on the device that took it.
 *
 * Conventions
 *   Status      Every call that can fail returns a status. On failure nothing is written to the outputs, and
 *               acne_edge_last_error() holds one line that says what is wrong, where, and what to do.
 *   Ownership   What a function allocates it hands to the caller, who frees it with the function named there. Pointers inside
 *               a result live as long as the result. Inputs are read during the call only and never kept.
 *   Threads     One model may be used by many threads at once. A result belongs to one thread at a time. Closing a model while
 *               another call uses it is an error of the caller.
 *   Exceptions  None leaves the library.
 *   ABI         Structs that the library allocates may grow at their end; options carry their size. Enumerators keep their values.
 *
 * The result is decision support for professionals, not a diagnosis.
 */
#ifndef ACNE_EDGE_H
#define ACNE_EDGE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define ACNE_EDGE_API __declspec(dllexport)
#else
#define ACNE_EDGE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum acne_edge_status {
    ACNE_EDGE_OK = 0,
    ACNE_EDGE_ERROR_INTERNAL = 1,        /* out of memory, or a defect of the library */
    ACNE_EDGE_ERROR_USAGE = 2,           /* a call that makes no sense, as with a null pointer */
    ACNE_EDGE_ERROR_IMAGE_DECODE = 3,    /* not a JPEG, damaged or cut short */
    ACNE_EDGE_ERROR_IMAGE_SIZE = 4,      /* a side under 32 pixels, or over 100 megapixels */
    ACNE_EDGE_ERROR_MODEL = 5,           /* the model file cannot be read or does not keep the contract */
    ACNE_EDGE_ERROR_MANIFEST = 6,        /* the model file holds no manifest, or one that is not valid */
    ACNE_EDGE_ERROR_MODEL_INTEGRITY = 7, /* the model file is not the one that was asked for */
    ACNE_EDGE_ERROR_BACKEND = 8,         /* the runtime is not built in, or cannot run the model */
    ACNE_EDGE_ERROR_POOR_QUALITY = 9     /* a poor capture, where options.on_poor_quality is to fail */
} acne_edge_status;

typedef enum acne_edge_backend {
    ACNE_EDGE_BACKEND_AUTO = 0, /* by the file: ONNX runs on ONNX Runtime, an engine file on TensorRT */
    ACNE_EDGE_BACKEND_ONNXRUNTIME = 1,
    ACNE_EDGE_BACKEND_TENSORRT = 2
} acne_edge_backend;

/* What a poor capture leads to, one with acne_edge_quality.reasons. */
typedef enum acne_edge_poor_quality {
    ACNE_EDGE_POOR_QUALITY_WARN = 0,    /* the reasons, and no more */
    ACNE_EDGE_POOR_QUALITY_ABSTAIN = 1, /* acne_edge_result.abstained is set too */
    ACNE_EDGE_POOR_QUALITY_FAIL = 2     /* ACNE_EDGE_ERROR_POOR_QUALITY before the network runs */
} acne_edge_poor_quality;

typedef struct acne_edge_options {
    size_t size;               /* of this struct, as the caller was compiled; set by acne_edge_options_init */
    acne_edge_backend backend;
    int32_t threads;           /* threads inside an operator; 0 lets the runtime choose. Where many predict at once, 1 is best */
    const char *scale;         /* severity scale, "hayashi" or "report"; null is the one the model was trained on */
    const char *sha256;        /* hexadecimal digest that the model file must have; null does not check */
    acne_edge_poor_quality on_poor_quality;
    const char *cache;         /* folder to keep the model in as ONNX Runtime has optimised it for this machine, so that it
                                  loads several times faster the next time; made if need be, and not used if others may write
                                  to it or it cannot be written; null keeps nothing */
} acne_edge_options;

/* A loaded model. */
typedef struct acne_edge_model acne_edge_model;

/* Why a photograph may not be fit to be counted; bits of acne_edge_quality.reasons. */
enum {
    ACNE_EDGE_LOW_RESOLUTION = 1 << 0,
    ACNE_EDGE_TOO_DARK = 1 << 1,
    ACNE_EDGE_TOO_BRIGHT = 1 << 2,
    ACNE_EDGE_BLURRED = 1 << 3,
    ACNE_EDGE_NO_SKIN = 1 << 4
};

typedef struct acne_edge_quality {
    int32_t short_side; /* pixels, as decoded */
    double brightness;  /* mean luma, 0..255 */
    double clipped;     /* share of pixels that are white, 0..1 */
    double sharpness;   /* mean absolute Laplacian of the thumbnail's luma */
    double skin;        /* share of pixels of skin colour, 0..1 */
    uint32_t reasons;   /* 0 is a good capture */
} acne_edge_quality;

/* Milliseconds by stage. */
typedef struct acne_edge_timings {
    double decode, quality, preprocess, inference, interpretation, total;
} acne_edge_timings;

typedef struct acne_edge_result {
    double count;              /* lesions */
    double level;              /* nominal coverage of the count interval and of the grade set, 0..1 */
    int32_t count_low;         /* lesions; both ends belong to the interval */
    int32_t count_high;
    int32_t grade;             /* index into the scale's labels, from 0 */
    const char *grade_label;
    int32_t grades;            /* number of grades of the scale, at most 16 */
    const double *grade_probs; /* [grades], sums to 1 */
    uint32_t grade_set;        /* bit i is set: grade i cannot be excluded at the level */
    const char *scale;
    const char *abstained;     /* reason code for not trusting the grade, or null */
    acne_edge_quality quality;
    int32_t map_height;        /* cells */
    int32_t map_width;
    const float *lesion_map;   /* [map_height * map_width], row by row: expected lesions in each cell over the whole frame */
    acne_edge_timings timings;
} acne_edge_result;

/* The library's version, as "0.1.0". Never null, never freed. */
ACNE_EDGE_API const char *acne_edge_version(void);

/* The message of this thread's last failed call; empty if none failed. Owned by the library, valid until this thread's next
 * call. */
ACNE_EDGE_API const char *acne_edge_last_error(void);

/* The stable word for a status, as in the JSON of a failed input: "image_decode". Never null, never freed. */
ACNE_EDGE_API const char *acne_edge_status_name(acne_edge_status status);

/* Fill options with the defaults. `size` is the caller's sizeof(acne_edge_options): a newer library writes no more than that. */
ACNE_EDGE_API void acne_edge_options_init(acne_edge_options *options, size_t size);

/* Load a model file. Null options are the defaults. The caller frees *model with acne_edge_close. The file is mapped meanwhile: an
 * update must replace it by renaming, as package managers do, and not write into it. */
ACNE_EDGE_API acne_edge_status acne_edge_open(const char *path, const acne_edge_options *options, acne_edge_model **model);

/* acne_edge_open and acne_edge_predict_jpeg in one, for a device that wakes up for a photograph: the photograph is decoded
 * while the model loads. The caller frees *model with acne_edge_close and *result with acne_edge_result_free. */
ACNE_EDGE_API acne_edge_status acne_edge_open_and_predict(const char *path, const acne_edge_options *options, const uint8_t *jpeg,
                                                          size_t size, acne_edge_model **model, acne_edge_result **result);

/* Free a model. Null is allowed. Results outlive their model. */
ACNE_EDGE_API void acne_edge_close(acne_edge_model *model);

/* Predict one photograph from the bytes of a JPEG; its EXIF orientation is honoured. The caller frees *result with
 * acne_edge_result_free. */
ACNE_EDGE_API acne_edge_status acne_edge_predict_jpeg(const acne_edge_model *model, const uint8_t *jpeg, size_t size,
                                                      acne_edge_result **result);

/* Predict one upright photograph from pixels: rows of width * 3 bytes R, G, B, 0..255, each stride bytes after the one before.
 * The caller frees *result with acne_edge_result_free. */
ACNE_EDGE_API acne_edge_status acne_edge_predict_rgb(const acne_edge_model *model, const uint8_t *rgb, int32_t width,
                                                     int32_t height, size_t stride, acne_edge_result **result);

/* Free a result. Null is allowed. */
ACNE_EDGE_API void acne_edge_result_free(acne_edge_result *result);

/* The result as JSON of schema 1.0, on one line. `path` names the photograph there and may be null; the lesion map is included
 * unless `lesion_map` is 0. The caller frees *json with acne_edge_string_free. */
ACNE_EDGE_API acne_edge_status acne_edge_result_json(const acne_edge_result *result, const char *path, int lesion_map,
                                                     char **json);

/* Free a text that the library allocated. Null is allowed. */
ACNE_EDGE_API void acne_edge_string_free(char *text);

/* The model's manifest as JSON, as it stands in the file. Owned by the model; null if the model is null. */
ACNE_EDGE_API const char *acne_edge_manifest_json(const acne_edge_model *model);

/* What the model runs on, as "onnxruntime:CPUExecutionProvider". Owned by the model; null if the model is null. */
ACNE_EDGE_API const char *acne_edge_backend_name(const acne_edge_model *model);

/* The sha256 of the model file, hexadecimal. Owned by the model; null if the model is null. */
ACNE_EDGE_API const char *acne_edge_model_sha256(const acne_edge_model *model);

#ifdef __cplusplus
}
#endif

#endif
