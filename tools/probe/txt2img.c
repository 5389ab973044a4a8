/* SPDX-License-Identifier: MIT
 *
 * sd-probe txt2img: a whole run from given noise, with the latents of every step.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    probe *p;
    sdiff_pipeline *pipeline;
    sdiff_generate_params request;
    int64_t shape[8]; // of all latents [b, c, h, w]
    size_t count;     // numbers of one picture's latents
    float *noise;     // [b, c, h, w]
    float *steps;     // [steps, b, c, h, w], grown when the number of steps is known
    int32_t step_count;
    int32_t image; // the picture being made
    char missing[96];
} run;

static int fail_tensors(const run *r)
{
    return complain("sd-probe", SDIFF_ERROR_INVALID_ARGUMENT, sdiff_tensors_error(r->p->in));
}

/* ---- callbacks ---------------------------------------------------------------------------------- */

static int keep_step(void *user, const sdiff_step *step)
{
    run *r = user;
    const size_t all = r->count * (size_t)r->shape[0];
    if (!r->steps) {
        r->step_count = step->steps;
        r->steps = calloc((size_t)step->steps * all, sizeof *r->steps);
    }
    if (!r->steps)
        return 1;
    memcpy(r->steps + (size_t)step->step * all + (size_t)step->image * r->count, step->latents,
           r->count * sizeof(float));
    r->image = step->image + (step->step + 1 == step->steps);
    return 0;
}

/* The N-th draw is noise.N of the input, one row for each picture. */
static int give_noise(void *user, int64_t draw, float *out, size_t count)
{
    run *r = user;
    char name[32];
    const size_t all = r->count * (size_t)r->shape[0];
    snprintf(name, sizeof name, "noise.%lld", (long long)draw);
    float *values = malloc(all * sizeof *values);
    const int ok = values && count == r->count &&
                   sdiff_tensors_get_f32(r->p->in, name, values, all) == SDIFF_OK;
    if (ok)
        memcpy(out, values + (size_t)r->image * r->count, count * sizeof *out);
    else
        snprintf(r->missing, sizeof r->missing, "the input tensor '%s' is missing or misshapen",
                 name);
    free(values);
    return !ok;
}

/* ---- the request ---------------------------------------------------------------------------------- */

/* The default is the literal prompt, as diffusers reads it. */
static int32_t emphasis_of(const char *name)
{
    static const char *const names[] = {"original", "no_norm", "interpolate", "ignore", "none"};
    for (int32_t i = 0; i < 5; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static int read_keys(run *r)
{
    static const char *const spacings[] = {"leading", "linspace", "trailing"};
    const probe *p = r->p;
    sdiff_generate_params *g = &r->request;
    long long steps = g->steps, skip = 0, seed = 0;
    const char *spacing = probe_key(p, "spacing", NULL);
    if (!probe_int(p, "steps", INT32_MIN, INT32_MAX, &steps) ||
        !probe_int(p, "clip_skip", INT32_MIN, INT32_MAX, &skip) ||
        !probe_int(p, "seed", INT64_MIN, INT64_MAX, &seed) ||
        !probe_real(p, "cfg", &g->cfg_scale) || !probe_real(p, "eta", &g->eta) ||
        !probe_real(p, "rescale", &g->cfg_rescale))
        return EXIT_USAGE;
    g->prompt = probe_key(p, "prompt", "");
    g->negative_prompt = probe_key(p, "negative", "");
    g->sampler = probe_key(p, "sampler", NULL);
    g->schedule = probe_key(p, "schedule", NULL);
    g->emphasis = emphasis_of(probe_key(p, "emphasis", "none"));
    g->steps = (int32_t)steps;
    g->clip_skip = (int32_t)skip;
    g->seed = seed;
    for (int i = 0; spacing && i < 3; i++)
        if (strcmp(spacing, spacings[i]) == 0)
            g->spacing = i + 1;
    if (g->emphasis < 0)
        return probe_fail("emphasis=none, original, no_norm, interpolate or ignore");
    return spacing && !g->spacing ? probe_fail("spacing=leading, linspace or trailing") : 0;
}

static int read_noise(run *r)
{
    const int32_t rank = sdiff_tensors_shape(r->p->in, "noise", r->shape);
    const int32_t scale = sdiff_model_latent_scale(r->p->model);
    const int64_t channels = sdiff_model_latent_channels(r->p->model);
    if (rank < 0) {
        const int64_t side = sdiff_model_default_size(r->p->model) / scale;
        const int64_t shape[8] = {1, channels, side, side};
        memcpy(r->shape, shape, sizeof shape);
    } else if (rank != 4 || r->shape[1] != channels) {
        return probe_fail("the input tensor 'noise' has to be [b, latent channels, h, w]");
    }
    r->count = (size_t)(r->shape[1] * r->shape[2] * r->shape[3]);
    r->request.batch_count = (int32_t)r->shape[0];
    r->request.height = (int32_t)(r->shape[2] * scale);
    r->request.width = (int32_t)(r->shape[3] * scale);
    if (rank < 0)
        return 0;
    r->noise = malloc((size_t)r->shape[0] * r->count * sizeof(float));
    if (!r->noise)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    if (sdiff_tensors_get_f32(r->p->in, "noise", r->noise, (size_t)r->shape[0] * r->count) !=
        SDIFF_OK)
        return fail_tensors(r);
    r->request.init_latents = r->noise;
    if (sdiff_tensors_shape(r->p->in, "noise.0", NULL) >= 0) {
        r->request.noise = give_noise;
        r->request.noise_user = r;
    }
    return 0;
}

/* ---- results ---------------------------------------------------------------------------------------- */

static int put(run *r, const char *name, const int64_t *shape, const float *data)
{
    const sdiff_status status =
        sdiff_tensors_set(r->p->out, name, SDIFF_DTYPE_F32, 4, shape, data);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_tensors_error(r->p->out));
}

static int put_results(run *r)
{
    const size_t pixels = 3 * (size_t)r->request.width * (size_t)r->request.height;
    const size_t b = (size_t)r->shape[0];
    const int64_t image_shape[4] = {r->shape[0], 3, r->request.height, r->request.width};
    float *latents = malloc(b * r->count * sizeof(float));
    float *images = malloc(b * pixels * sizeof(float));
    int code = latents && images ? 0 : complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    for (size_t i = 0; i < b && !code; i++)
        sdiff_pipeline_result(r->pipeline, (int32_t)i, latents + i * r->count,
                              images + i * pixels);
    for (int32_t i = 0; i < r->step_count && !code; i++) {
        char name[32];
        snprintf(name, sizeof name, "latents.%d", i);
        code = put(r, name, r->shape, r->steps + (size_t)i * b * r->count);
    }
    if (!code)
        code = put(r, "latents", r->shape, latents);
    if (!code)
        code = put(r, "image", image_shape, images);
    free(latents);
    free(images);
    return code;
}

static int generate(run *r)
{
    sdiff_status status = sdiff_pipeline_new(r->p->model, &r->pipeline);
    if (status != SDIFF_OK)
        return complain("sd-probe", status, NULL);
    r->request.on_step = keep_step;
    r->request.step_user = r;
    status = sdiff_pipeline_generate(r->pipeline, &r->request);
    if (status != SDIFF_OK)
        return complain("sd-probe", *r->missing ? SDIFF_ERROR_INVALID_ARGUMENT : status,
                        *r->missing ? r->missing : sdiff_pipeline_error(r->pipeline));
    return put_results(r);
}

int probe_txt2img(probe *p)
{
    run r = {.p = p};
    sdiff_generate_params_init(&r.request, sizeof r.request);
    int code = probe_open_model(p);
    if (!code)
        code = read_keys(&r);
    if (!code)
        code = read_noise(&r);
    if (!code)
        code = generate(&r);
    sdiff_pipeline_free(r.pipeline);
    free(r.noise);
    free(r.steps);
    return code;
}
