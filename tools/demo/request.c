/* SPDX-License-Identifier: MIT
 *
 * From settings to pictures in files.
 */
#include "demo.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

int fail(sdiff_status status, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    return complain("sd-demo", status, sentence);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- interruption ---------------------------------------------------------------------------- */

/* The first Ctrl-C asks the pipeline to stop, the second one finds the default action again. */
static sdiff_pipeline *volatile running;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
    sdiff_pipeline_cancel(running);
}

static void watch_interrupts(sdiff_pipeline *pipeline)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    running = pipeline;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- settings -------------------------------------------------------------------------------- */

static int recall(demo *d, settings *s)
{
    char ignored[512];
    const char *path = s->from_png;
    sdiff_context *context = NULL;
    sdiff_status status = sdiff_context_new(NULL, &context);
    if (status != SDIFF_OK)
        return complain("sd-demo", status, NULL);
    status = sdiff_image_load_png(context, path, &d->recalled);
    int code = status == SDIFF_OK ? 0 : complain("sd-demo", status, sdiff_context_error(context));
    sdiff_context_free(context);
    if (code)
        return code;
    const char *text = sdiff_image_text(d->recalled, "parameters");
    if (!text)
        return fail(SDIFF_ERROR_FORMAT, "'%s' does not say how it was made (no text 'parameters')",
                    path);
    d->recalled_text = strdup(text);
    if (!d->recalled_text)
        return complain("sd-demo", SDIFF_ERROR_NO_MEMORY, NULL);
    const settings given = *s;
    settings_init(s);
    code = parameters_read(s, &given, d->recalled_text, ignored, sizeof ignored, &d->made_with);
    if (!code && *ignored && !s->quiet)
        fprintf(stderr, "sd-demo: warning: not used of the picture's settings: %s\n", ignored);
    return code;
}

int demo_read_settings(demo *d, int argc, char **argv)
{
    settings *s = &d->settings;
    settings_init(s);
    if (!settings_read(s, argc, argv))
        return EXIT_USAGE;
    if (s->help || s->version || s->list_samplers || !s->from_png)
        return 0;
    const int code = recall(d, s);
    if (code)
        return code;
    return settings_read(s, argc, argv) ? 0 : EXIT_USAGE; // options come before the picture's
}

/* ---- opening --------------------------------------------------------------------------------- */

static void log_line(void *user, int32_t level, const char *message)
{
    progress_line(user, "%s%s", level == SDIFF_LOG_LEVEL_WARNING ? "sd-demo: warning: " : "",
                  message);
}

static int open_context(demo *d)
{
    const settings *s = &d->settings;
    sdiff_context_params params;
    sdiff_context_params_init(&params, sizeof params);
    if (!s->quiet) {
        params.log = log_line;
        params.log_user = &d->progress;
        params.log_level = s->verbose ? SDIFF_LOG_LEVEL_DEBUG : SDIFF_LOG_LEVEL_WARNING;
    }
    params.kernels = s->kernels;
    params.threads = (int32_t)s->threads;
    params.memory_limit = (uint64_t)s->memory_limit;
    const sdiff_status status = sdiff_context_new(&params, &d->context);
    if (status == SDIFF_ERROR_NO_MEMORY)
        return fail(status, "there is not enough memory to begin with%s",
                    s->memory_limit ? " under --memory-limit" : "");
    if (status != SDIFF_OK)
        return fail(status, "%s names no known kernel sets (ref, openblas, avx2, avx512, "
                            "avx512bf16, amx, all)",
                    s->kernels ? "--kernels" : "the environment variable SDIFF_KERNELS");
    return 0;
}

static int open_model(demo *d)
{
    settings *s = &d->settings;
    sdiff_model_params params;
    sdiff_model_params_init(&params, sizeof params);
    params.config = s->config;
    params.vae = s->vae;
    params.vocab = s->vocab;
    params.compute = (int32_t)s->compute;
    params.prediction = (int32_t)s->prediction;
    params.use_ema = (int32_t)s->ema;
    if (s->memory_limit) {
        params.width = (int32_t)s->width;
        params.height = (int32_t)s->height;
    }
    if (!s->model)
        s->model = default_model();
    if (!s->model)
        return fail(SDIFF_ERROR_IO, "the model that comes with the program is not there: "
                                    "name one with -m");
    const double start = seconds();
    sdiff_status status = sdiff_model_open(d->context, s->model, &params, &d->model);
    if (status == SDIFF_OK)
        status = sdiff_pipeline_new(d->model, &d->pipeline);
    if (status != SDIFF_OK)
        return complain("sd-demo", status, sdiff_context_error(d->context));
    if (s->verbose)
        progress_line(&d->progress, "%s\nloaded in %.2f s, %d threads, kernels %s",
                      sdiff_model_summary(d->model), seconds() - start,
                      sdiff_context_threads(d->context), sdiff_context_kernels(d->context));
    return adapters_add(d);
}

static int check_outputs(const settings *s)
{
    int code = check_output(s->output);
    if (!code && s->filmstrip)
        code = check_output(s->filmstrip);
    if (!code && s->preview && mkdir(s->preview, 0777) != 0 && errno != EEXIST)
        code = fail(SDIFF_ERROR_IO, "%s: the folder cannot be made: %s", s->preview,
                    strerror(errno));
    return code;
}

static int draw_seed(int64_t *seed)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return fail(SDIFF_ERROR_IO, "the system gives no random numbers: name a --seed");
    *seed = random;
    return 0;
}

/* Models without text need no sentence, and --depth-out without one is all there is to do.
 * `s->model` is NULL for the model that comes with the program, which is not opened in vain. */
static int check_sentence(demo *d)
{
    settings *s = &d->settings;
    if (s->prompt || s->depth_out || (s->model && !d->model))
        return 0;
    if (!d->model || !strstr(sdiff_model_info(d->model), "\"family\": \"unconditional\""))
        return fail(SDIFF_ERROR_INVALID_ARGUMENT,
                    "what is to be drawn? For example: sd-demo \"a green apple\"");
    s->prompt = "";
    return 0;
}

int demo_open(demo *d)
{
    settings *s = &d->settings;
    int code = check_sentence(d);
    if (code)
        return code;
    progress_init(&d->progress, s);
    if (d->recalled && s->strength >= 0 && !s->init_img && !s->quiet)
        progress_line(&d->progress, "sd-demo: warning: the picture was made from another one, "
                                    "which --init-img can name");
    code = check_outputs(s);
    if (!code && s->seed < 0 && (s->seed == -1 || !d->recalled))
        code = draw_seed(&s->seed);
    if (!code)
        code = open_context(d);
    if (!code)
        code = open_model(d);
    if (!code)
        code = check_sentence(d);
    if (!code)
        code = inputs_read(d);
    return code ? code : controls_add(d);
}

/* ---- drawing --------------------------------------------------------------------------------- */

static int on_step(void *user, const sdiff_step *step)
{
    demo *d = user;
    progress_step(&d->progress, step);
    filmstrip_step(&d->film, step);
    return d->film.code != 0;
}

/* Half of a picture's longer side, or 512 pixels where that is more than these. */
static int32_t tile_side(const sdiff_generate_params *request, int32_t scale)
{
    const int32_t side = request->width > request->height ? request->width : request->height;
    const int32_t half = side / 2 < 512 ? side / 2 : 512, least = 8 * scale;
    return half < least ? least : half / scale * scale;
}

static void fill_request(const demo *d, int64_t seed, sdiff_generate_params *request)
{
    const settings *s = &d->settings;
    sdiff_generate_params_init(request, sizeof *request);
    request->prompt = s->prompt;
    request->negative_prompt = s->negative;
    request->sampler = s->sampler;
    request->schedule = s->schedule;
    request->cfg_scale = s->cfg_scale;
    request->cfg_rescale = s->cfg_rescale;
    request->eta = s->eta;
    request->seed = seed;
    request->width = (int32_t)s->width;
    request->height = (int32_t)s->height;
    request->steps = (int32_t)s->steps;
    request->rng = (int32_t)s->rng;
    request->spacing = (int32_t)s->spacing;
    request->clip_skip = (int32_t)s->clip_skip;
    request->class_label = (int32_t)s->class_label;
    request->emphasis = (int32_t)s->emphasis;
    if (s->tile)
        request->tile = tile_side(request, sdiff_model_latent_scale(d->model));
    inputs_fill(d, request);
}

static int save(demo *d, sdiff_image *picture, int64_t seed, const char *path)
{
    char *model = model_name(d->settings.model);
    char *text = model ? parameters_write(&d->settings, seed, model) : NULL;
    const char *const texts[] = {"parameters", text, NULL};
    const sdiff_status status = text
                                    ? sdiff_image_save_png(d->context, picture, path, texts)
                                    : SDIFF_ERROR_NO_MEMORY;
    free(model);
    free(text);
    return status == SDIFF_OK ? 0
                              : complain("sd-demo", status, text ? sdiff_context_error(d->context)
                                                                 : NULL);
}

static int finish_picture(demo *d, int64_t index, int64_t seed, double elapsed)
{
    sdiff_image *made = sdiff_pipeline_image(d->pipeline, 0), *picture = NULL;
    char *path = numbered_path(d->settings.output, index + 1, d->settings.batch_count);
    int code = made && path ? inputs_finish(d, made, &picture)
                            : complain("sd-demo", SDIFF_ERROR_NO_MEMORY,
                                       sdiff_pipeline_error(d->pipeline));
    if (!code)
        code = save(d, picture, seed, path);
    if (!code)
        code = filmstrip_finish(&d->film, made);
    if (!code && !d->settings.quiet)
        printf("%s  seed %lld, %.1f s\n", path, (long long)seed, elapsed);
    free(path);
    return code;
}

static int draw_picture(demo *d, int64_t index)
{
    const settings *s = &d->settings;
    const int64_t seed = (int64_t)((uint64_t)s->seed + (uint64_t)index);
    const double start = seconds();
    sdiff_generate_params request;
    fill_request(d, seed, &request);
    request.on_progress = progress_update;
    request.progress_user = &d->progress;
    request.on_step = on_step;
    request.step_user = d;
    d->progress.picture = d->film.picture = index;
    d->progress.step = d->progress.steps = 0;
    d->film.width = request.width;
    d->film.height = request.height;
    d->film.path = s->filmstrip ? numbered_path(s->filmstrip, index + 1, s->batch_count) : NULL;
    const sdiff_status status = sdiff_pipeline_generate(d->pipeline, &request);
    progress_end(&d->progress);
    if (d->film.code)
        return d->film.code;
    if (interrupted)
        return fail(SDIFF_ERROR_CANCELLED, "interrupted");
    if (status != SDIFF_OK)
        return complain("sd-demo", status, sdiff_pipeline_error(d->pipeline));
    return finish_picture(d, index, seed, seconds() - start);
}

int demo_draw(demo *d)
{
    const settings *s = &d->settings;
    char *name = model_name(s->model);
    if (d->made_with && name && strcmp(name, d->made_with) != 0 && !s->quiet)
        progress_line(&d->progress, "sd-demo: warning: the picture was made with the model %s",
                      d->made_with);
    free(name);
    d->film.context = d->context;
    d->film.model = d->model;
    d->film.folder = s->preview;
    d->film.pictures = s->batch_count;
    watch_interrupts(d->pipeline);
    int code = 0;
    for (int64_t i = 0; i < s->batch_count && !code; i++) {
        code = draw_picture(d, i);
        filmstrip_drop(&d->film);
    }
    uint64_t peak = 0;
    sdiff_context_memory(d->context, NULL, &peak);
    if (s->verbose)
        progress_line(&d->progress, "%.1f MB of memory at most, model files aside",
                      (double)peak / 1e6);
    return code;
}

void demo_close(demo *d)
{
    running = NULL;
    inputs_drop(&d->inputs);
    sdiff_taesd_free(d->film.taesd);
    sdiff_pipeline_free(d->pipeline);
    sdiff_model_free(d->model);
    sdiff_image_free(d->recalled);
    sdiff_context_free(d->context);
    free(d->recalled_text);
}
