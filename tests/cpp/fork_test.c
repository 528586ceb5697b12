/* A model that was opened before a fork, in the child: it predicts, is closed, and can be opened again; and the child ends, by
 * _exit() as by exit().  fork_test MODEL PHOTOGRAPH */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <acne_edge.h>

enum { SECONDS = 60 };

static unsigned char jpeg[1 << 22];
static size_t size;

static acne_edge_model *open_model(const char *path, int threads) {
    acne_edge_model *model = NULL;
    acne_edge_options options;
    acne_edge_options_init(&options, sizeof options);
    options.threads = threads;
    if (acne_edge_open(path, &options, &model) != ACNE_EDGE_STATUS_OK) {
        fprintf(stderr, "%s\n", acne_edge_last_error());
        exit(2);
    }
    return model;
}

static acne_edge_status predict(const acne_edge_model *model) {
    acne_edge_result *result = NULL;
    const acne_edge_status status = acne_edge_predict_jpeg(model, jpeg, size, &result);
    acne_edge_result_free(result);
    return status;
}

/* What the child does; 0 if all is as it must be. */
static int live(acne_edge_model *inherited, const char *path, int threads) {
    if (predict(inherited) != ACNE_EDGE_STATUS_OK) return 3;
    acne_edge_close(inherited);
    acne_edge_model *own = open_model(path, threads);
    if (predict(own) != ACNE_EDGE_STATUS_OK) return 4;
    acne_edge_close(own);
    return 0;
}

static int try(const char *path, int threads, int orderly) {
    acne_edge_model *model = open_model(path, threads);
    int status = predict(model) == ACNE_EDGE_STATUS_OK ? 0 : 1;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(SECONDS);
        const int code = live(model, path, threads);
        if (orderly) exit(code);
        _exit(code);
    }
    int ended = 0;
    waitpid(child, &ended, 0);
    if (ended != 0) {
        printf("%d threads, %s: signal %d, code %d\n", threads, orderly ? "exit" : "_exit",
               WIFSIGNALED(ended) ? WTERMSIG(ended) : 0, WIFEXITED(ended) ? WEXITSTATUS(ended) : 0);
    }
    status |= ended != 0;
    status |= predict(model) != ACNE_EDGE_STATUS_OK; /* the parent's model is as it was */
    acne_edge_close(model);
    return status;
}

int main(int count, char **argument) {
    FILE *file = count == 3 ? fopen(argument[2], "rb") : NULL;
    if (file == NULL) return 2;
    size = fread(jpeg, 1, sizeof jpeg, file);
    fclose(file);
    int failed = 0;
    for (int threads = 0; threads <= 2; ++threads) {
        failed |= try(argument[1], threads, 0);
        failed |= try(argument[1], threads, 1);
    }
    puts(failed ? "failed" : "all children ended well");
    return failed;
}
