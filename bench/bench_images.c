/* SPDX-License-Identifier: MIT
 *
 * Times whole pictures of a checkpoint: loading, text, steps, decoding, memory, beside the rate of
 * OpenBLAS's sgemm, and of AMX tiles where they are used, measured in the same run:
 *
 *     bench_images MODEL --vocab VOCAB [--kernels LIST] [--compute f32|bf16|bf16x3] [--threads N]
 *                  [--width W] [--height H] [--steps N] [--memory-limit MIB]
 *
 * The picture that counts is drawn after one of a single step, so that plans and pages are there.
 * Steps are guided: two rows of the U-Net.
 */
#include "layer.h"

#include "api/pipeline.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_STEPS = 1000 };

typedef struct options {
    const char *model, *vocab, *kernels, *compute;
    int32_t threads, width, height, steps, limit;
} options;

/* When what was done, in seconds. */
typedef struct times {
    double begin, first_step, last_step, end;
    double steps[MAX_STEPS];
    int32_t count;
    const sdi_session *session;
    double step_flops;
} times;

static double flops_of(const sdi_session *session, sdi_network network)
{
    const sdi_plan *plan = session->slots[network].plan;
    return plan ? sdi_plan_flops(plan, NN_EACH) : 0;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_images: %s: %s\n", what, why);
    return 1;
}

static int note_step(void *user, const sdiff_step *step)
{
    times *t = user;
    t->last_step = bench_now();
    if (t->count == 0)
        t->first_step = t->last_step - step->seconds;
    if (t->count < MAX_STEPS)
        t->steps[t->count++] = step->seconds;
    /* Rows may run one after the other under a memory limit: the plan is then of one of them. */
    const sdi_slot *unet = &t->session->slots[SDI_NET_UNET];
    const int64_t rows = ((const sdi_unet_args *)(const void *)unet->args)->b;
    t->step_flops = flops_of(t->session, SDI_NET_UNET) * (rows == 1 ? 2 : 1);
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(times *t)
{
    qsort(t->steps, (size_t)t->count, sizeof *t->steps, by_size);
    return t->steps[t->count / 2];
}

/* ---- results --------------------------------------------------------------------------------- */

static void print_work(const char *name, double seconds, double flops, double sgemm, double amx)
{
    printf("%-28s %9.3f s", name, seconds);
    if (flops > 0) // unknown of plans that are gone, as those of tiles
        printf(" %9.1f GFLOP %8.1f GFLOP/s %6.1f %% of sgemm", flops * 1e-9, flops * 1e-9 / seconds,
               100 * flops / seconds / sgemm);
    if (flops > 0 && amx > 0)
        printf(" %6.1f %% of AMX", 100 * flops / seconds / amx);
    printf("\n");
}

static void print_results(const sdiff_pipeline *pipeline, times *t, double sgemm, double amx)
{
    const sdi_session *s = &pipeline->session;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%-28s %9.1f ms\n", "text, before the first step", 1e3 * (t->first_step - t->begin));
    print_work("guided step (median)", median(t), t->step_flops, sgemm, amx);
    print_work("decoding", t->end - t->last_step, flops_of(s, SDI_NET_VAE_DECODER), sgemm, amx);
    printf("%-28s %9.3f s for %d steps\n", "prompt to picture", t->end - t->begin, t->count);
    printf("%-28s %9.2f GB resident at most\n", "memory", (double)usage.ru_maxrss * 1024e-9);
}

/* ---- running --------------------------------------------------------------------------------- */

static int draw(sdiff_pipeline *pipeline, const options *o, int32_t steps, times *t)
{
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = "a lighthouse in a storm, oil painting";
    request.negative_prompt = "blurry";
    request.sampler = "euler";
    request.width = o->width;
    request.height = o->height;
    request.steps = steps;
    request.on_step = note_step;
    request.step_user = t;
    memset(t, 0, sizeof *t);
    t->session = &pipeline->session;
    t->begin = bench_now();
    const sdiff_status status = sdiff_pipeline_generate(pipeline, &request);
    t->end = bench_now();
    return status == SDIFF_OK ? 0 : fail("drawing", sdiff_pipeline_error(pipeline));
}

static int draw_warm(sdiff_model *model, const options *o, double sgemm, double amx)
{
    sdiff_pipeline *pipeline = NULL;
    times t;
    if (sdiff_pipeline_new(model, &pipeline) != SDIFF_OK)
        return fail("pipeline", sdiff_model_error(model));
    int code = draw(pipeline, o, 1, &t);
    if (!code)
        code = draw(pipeline, o, o->steps, &t);
    if (!code)
        print_results(pipeline, &t, sgemm, amx);
    sdiff_pipeline_free(pipeline);
    return code;
}

static int32_t compute_of(const char *name)
{
    return !name                     ? SDIFF_COMPUTE_AUTO
           : strcmp(name, "f32") == 0 ? SDIFF_COMPUTE_F32
           : strcmp(name, "bf16") == 0 ? SDIFF_COMPUTE_BF16
                                       : SDIFF_COMPUTE_BF16X3;
}

static int run(sdiff_context *context, const options *o, double sgemm, double amx)
{
    sdiff_model_params params;
    sdiff_model *model = NULL;
    sdiff_model_params_init(&params, sizeof params);
    params.vocab = o->vocab;
    params.compute = compute_of(o->compute);
    params.width = o->width;
    params.height = o->height;
    const double start = bench_now();
    if (sdiff_model_open(context, o->model, &params, &model) != SDIFF_OK)
        return fail(o->model, sdiff_context_error(context));
    printf("%-28s %9.3f s\n", "loading", bench_now() - start);
    const int code = draw_warm(model, o, sgemm, amx);
    sdiff_model_free(model);
    return code;
}

/* The limits of the machine with these kernels. */
static void measure_limits(const options *o, double *sgemm, double *amx)
{
    sdi_error error = {0};
    bench b = {.env = {.mem = sdi_mem_new(NULL), .error = &error}};
    uint32_t mask = SDI_SET_ALL;
    *sgemm = bench_sgemm_rate(&b.env);
    *amx = 0;
    if (o->kernels)
        (void)sdi_kernel_sets_parse(&b.env, o->kernels, &mask); // the context will complain
    if (sdi_kernel_sets_available(mask & SDI_SET_AMX_BF16) &&
        sdi_pool_new(&b.env, o->threads, NULL, NULL, &b.pool) == SDIFF_OK) {
        *amx = bench_amx_rate(&b);
        sdi_pool_free(&b.env, b.pool);
    }
    sdi_mem_unref(b.env.mem);
    printf("%-28s %9.1f GFLOP/s\n", "sgemm 4096 cubed", *sgemm * 1e-9);
    if (*amx > 0)
        printf("%-28s %9.1f GFLOP/s\n", "AMX tiles", *amx * 1e-9);
}

static int usage(const char *problem)
{
    fprintf(stderr, "%s\nusage: bench_images MODEL --vocab VOCAB [--kernels LIST] [--compute "
                    "f32|bf16|bf16x3] [--threads N] [--width W] [--height H] [--steps N] "
                    "[--memory-limit MIB]\n", problem);
    return 2;
}

static int read_options(options *o, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **text;
        int32_t *number;
    } known[] = {{"--vocab", &o->vocab, NULL},     {"--kernels", &o->kernels, NULL},
                 {"--compute", &o->compute, NULL}, {"--threads", NULL, &o->threads},
                 {"--width", NULL, &o->width},     {"--height", NULL, &o->height},
                 {"--steps", NULL, &o->steps},     {"--memory-limit", NULL, &o->limit}};
    for (int i = 2; i < argc; i += 2) {
        size_t k = 0;
        while (k < SDI_COUNT(known) && strcmp(argv[i], known[k].name) != 0)
            k++;
        if (k == SDI_COUNT(known) || i + 1 == argc)
            return usage(argv[i]);
        if (known[k].text)
            *known[k].text = argv[i + 1];
        else
            *known[k].number = (int32_t)strtol(argv[i + 1], NULL, 10);
    }
    return argc < 2 ? usage("a model is missing") : 0;
}

int main(int argc, char **argv)
{
    options o = {.model = argc > 1 ? argv[1] : NULL, .steps = 5};
    double sgemm, amx;
    int code = read_options(&o, argc, argv);
    if (code)
        return code;
    measure_limits(&o, &sgemm, &amx);
    sdiff_context_params params;
    sdiff_context *context = NULL;
    sdiff_context_params_init(&params, sizeof params);
    params.kernels = o.kernels;
    params.threads = o.threads;
    params.memory_limit = (uint64_t)o.limit << 20;
    if (sdiff_context_new(&params, &context) != SDIFF_OK)
        return fail("context", "no such kernels or threads");
    code = run(context, &o, sgemm, amx);
    sdiff_context_free(context);
    return code;
}
