/* Counts the lesions on one photograph:  firmware_example MODEL.onnx PHOTO.jpg */
#include <acne_edge.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    long length = 0;
    if (file && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)length);
    if (bytes) *size = fread(bytes, 1, (size_t)length, file);
    if (file) fclose(file);
    return bytes;
}

static int fail(const char *what) {
    fprintf(stderr, "firmware_example: %s: %s\n", what, acne_edge_last_error());
    return 1;
}

int main(int argc, char **argv) {
    acne_edge_model *model = NULL;
    acne_edge_result *result = NULL;
    acne_edge_options options;
    unsigned char *jpeg = NULL;
    size_t size = 0;
    int code = 1;

    if (argc != 3) {
        fprintf(stderr, "usage: firmware_example MODEL.onnx PHOTO.jpg\n");
        return 2;
    }
    acne_edge_options_init(&options, sizeof options);
    options.threads = 1; /* leave the other cores to the camera */
    if (acne_edge_open(argv[1], &options, &model) != ACNE_EDGE_OK) return fail(argv[1]);

    jpeg = read_file(argv[2], &size);
    if (!jpeg) {
        fprintf(stderr, "firmware_example: %s: cannot be read\n", argv[2]);
    } else if (acne_edge_predict_jpeg(model, jpeg, size, &result) != ACNE_EDGE_OK) {
        fail(argv[2]);
    } else {
        printf("%.1f lesions (%d to %d), %s%s%s%s\n", result->count, result->count_low, result->count_high, result->grade_text,
               result->abstained ? ": " : "", result->abstained ? result->abstained : "",
               result->quality->reasons ? ", poor photograph" : "");
        code = 0;
    }
    free(jpeg);
    acne_edge_result_free(result);
    acne_edge_close(model);
    return code;
}
