/* SPDX-License-Identifier: MIT
 *
 * sd-probe txt2img, img2img, inpaint, depth2img: a whole run from given noise, picture, mask and
 * depth map, with the latents of every step.
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
    float *noise;     // [b, c, h, w], NULL: drawn
    float *image, *mask, *depth;
    float *steps; // [step_count, b, c, h, w], grows: adaptive samplers find their number on the way
    int32_t step_count;
    int32_t *ended; // [b]: steps of each picture, which may differ
    int32_t drawing; // the picture that draws, from 0
    char missing[96];
} run;

static int fail_tensors(const run *r)
{
    return complain("sd-probe", SDIFF_ERROR_INVALID_ARGUMENT, sdiff_tensors_error(r->p->in));
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static int keep_step(void *user, const sdiff_step *step)
{
    run *r = user;
    const size_t all = r->count * (size_t)r->shape[0];
    if (step->step >= r->step_count) {
        const int32_t count = step->steps > step->step ? step->steps : step->step + 1;
        float *steps = realloc(r->steps, (size_t)count * all * sizeof *steps);
        if (!steps)
            return 1;
        r->steps = steps;
        r->step_count = count;
    }
    r->ended[step->image] = step->step + 1;
    memcpy(r->steps + (size_t)step->step * all + (size_t)step->image * r->count, step->latents,
           r->count * sizeof(float));
    return 0;
}

/* The N-th draw of each picture is its row of noise.N. */
static int give_noise(void *user, int64_t draw, float *out, size_t count)
{
    run *r = user;
    char name[32];
    const size_t all = r->count * (size_t)r->shape[0];
    r->drawing += draw == 0;
    snprintf(name, sizeof name, "noise.%lld", (long long)draw);
    float *values = malloc(all * sizeof *values);
    const int ok = values && count == r->count &&
                   sdiff_tensors_get_f32(r->p->in, name, values, all) == SDIFF_OK;
    if (ok)
        memcpy(out, values + (size_t)r->drawing * r->count, count * sizeof *out);
    else
        snprintf(r->missing, sizeof r->missing, "the input tensor '%s' is missing or misshapen",
                 name);
    free(values);
    return !ok;
}

/* ---- the request ----------------------------------------------------------------------------- */

/* One of a list of words as its index + first; 0 after a complaint. */
static int read_word(const probe *p, const char *key, const char *const *words, int32_t first,
                     int32_t *value)
{
    char sentence[128];
    const char *word = probe_key(p, key, NULL);
    if (!word)
        return 1;
    for (int32_t i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0) {
            *value = i + first;
            return 1;
        }
    snprintf(sentence, sizeof sentence, "%s=%.60s is not one of the words that --help lists", key,
             word);
    probe_fail(sentence);
    return 0;
}

static int read_words(run *r)
{
    static const char *const spacings[] = {"leading", "linspace", "trailing", NULL};
    static const char *const emphases[] = {"original", "no_norm", "interpolate",
                                           "ignore",   "none",    NULL};
    static const char *const encodes[] = {"sample", "mode", NULL};
    static const char *const finals[] = {"model", "sigma_min", "zero", NULL};
    static const char *const switches[] = {"0", "1", NULL};
    static const char *const decodes[] = {"1", "0", NULL};
    sdiff_generate_params *g = &r->request;
    const probe *p = r->p;
    return read_word(p, "spacing", spacings, SDIFF_SPACING_LEADING, &g->spacing) &&
           read_word(p, "emphasis", emphases, 0, &g->emphasis) &&
           read_word(p, "encode", encodes, 0, &g->encode_mode) &&
           read_word(p, "final", finals, 0, &g->final_sigma_min) &&
           read_word(p, "decode", decodes, 0, &g->no_decode) &&
           read_word(p, "brownian", switches, 0, &g->brownian) &&
           read_word(p, "keep", switches, 0, &g->keep_unmasked) &&
           read_word(p, "from_image", switches, 0, &g->start_from_image);
}

/* The defaults are those of diffusers' pipelines: literal prompts, noise on the picture also at
 * strength 1, all pixels as decoded. */
static int read_keys(run *r)
{
    const probe *p = r->p;
    sdiff_generate_params *g = &r->request;
    long long steps = g->steps, skip = 0, label = 0;
    g->emphasis = SDIFF_EMPHASIS_NONE;
    g->start_from_image = strcmp(p->component, "inpaint") != 0;
    g->keep_unmasked = 0;
    if (!probe_int(p, "steps", INT32_MIN, INT32_MAX, &steps) ||
        !probe_int(p, "clip_skip", INT32_MIN, INT32_MAX, &skip) ||
        !probe_seed(p, &g->seed) ||
        !probe_int(p, "class", INT32_MIN, INT32_MAX, &label) ||
        !probe_real(p, "cfg", &g->cfg_scale) || !probe_real(p, "eta", &g->eta) ||
        !probe_real(p, "rescale", &g->cfg_rescale) || !probe_real(p, "strength", &g->strength) ||
        !read_words(r))
        return EXIT_USAGE;
    g->prompt = probe_key(p, "prompt", "");
    g->negative_prompt = probe_key(p, "negative", "");
    g->sampler = probe_key(p, "sampler", NULL);
    g->schedule = probe_key(p, "schedule", NULL);
    g->steps = (int32_t)steps;
    g->clip_skip = (int32_t)skip;
    g->class_label = (int32_t)label;
    return 0;
}

/* ---- input tensors --------------------------------------------------------------------------- */

static int misshapen(const char *name, const char *needed)
{
    char sentence[128];
    snprintf(sentence, sizeof sentence, "the input tensor '%s' has to be %s", name, needed);
    return probe_fail(sentence);
}

static int read_tensor(const run *r, const char *name, size_t count, float **out)
{
    *out = malloc(count * sizeof **out);
    if (!*out)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    return sdiff_tensors_get_f32(r->p->in, name, *out, count) == SDIFF_OK ? 0 : fail_tensors(r);
}

/* Height and width of an input [1, channels, h, w]; those of one channel may lack its dimension.
 * 0: there is no such tensor; negative: it has another shape. */
static int read_sides(const run *r, const char *name, int64_t channels, int64_t sides[2])
{
    int64_t shape[8];
    const int32_t rank = sdiff_tensors_shape(r->p->in, name, shape);
    if (rank < 0)
        return 0;
    const int32_t spare = rank - 2 - (channels > 1);
    if (spare < 0 || rank > 4 || (channels > 1 && shape[rank - 3] != channels))
        return -1;
    for (int32_t i = 0; i < spare; i++)
        if (shape[i] != 1)
            return -1;
    for (int i = 0; i < 2; i++) {
        sides[i] = shape[rank - 2 + i];
        if (sides[i] < 1 || sides[i] > SDIFF_IMAGE_MAX_SIDE)
            return -1;
    }
    return 1;
}

static int read_picture(run *r)
{
    int64_t sides[2];
    const int found = read_sides(r, "image", 3, sides);
    if (found <= 0)
        return found < 0 ? misshapen("image", "[1, 3, h, w]") : 0;
    r->request.height = (int32_t)sides[0];
    r->request.width = (int32_t)sides[1];
    const int code = read_tensor(r, "image", 3 * (size_t)sides[0] * (size_t)sides[1], &r->image);
    r->request.image = r->image;
    return code;
}

static int read_mask(run *r)
{
    int64_t sides[2];
    const int found = read_sides(r, "mask", 1, sides);
    if (!found)
        return 0;
    if (found < 0 || sides[0] != r->request.height || sides[1] != r->request.width)
        return misshapen("mask", "[1, 1, h, w] of the picture's height and width");
    const int code = read_tensor(r, "mask", (size_t)sides[0] * (size_t)sides[1], &r->mask);
    r->request.mask = r->mask;
    return code;
}

static int read_depth(run *r)
{
    int64_t sides[2];
    const int found = read_sides(r, "depth", 1, sides);
    if (found <= 0)
        return found < 0 ? misshapen("depth", "[1, 1, h, w]") : 0;
    r->request.depth_height = (int32_t)sides[0];
    r->request.depth_width = (int32_t)sides[1];
    const int code = read_tensor(r, "depth", (size_t)sides[0] * (size_t)sides[1], &r->depth);
    r->request.depth = r->depth;
    return code;
}

/* What each component is given; the model decides what else it cannot do without. */
static int read_pictures(run *r)
{
    const char *component = r->p->component;
    int code = 0;
    if (strcmp(component, "txt2img") == 0)
        return 0;
    if ((code = read_picture(r)))
        return code;
    if (!r->image && strcmp(component, "depth2img") != 0)
        return misshapen("image", "there");
    if (strcmp(component, "inpaint") == 0) {
        code = read_mask(r);
        return code || r->mask ? code : misshapen("mask", "there");
    }
    return strcmp(component, "depth2img") == 0 ? read_depth(r) : 0;
}

/* The shape of the latents: of noise, else of the first draw, else as the picture's or the model's
 * size wants it. */
static int read_shape(run *r, const char *noise)
{
    const sdiff_model *model = r->p->model;
    const int64_t scale = sdiff_model_latent_scale(model);
    const int64_t channels = sdiff_model_latent_channels(model);
    const int64_t side = sdiff_model_default_size(model);
    const int32_t rank = noise ? sdiff_tensors_shape(r->p->in, noise, r->shape) : -1;
    if (rank < 0) {
        const int64_t h = r->image ? r->request.height : side;
        const int64_t w = r->image ? r->request.width : side;
        const int64_t shape[4] = {1, channels, h / scale, w / scale};
        memcpy(r->shape, shape, sizeof shape);
    } else if (rank != 4 || r->shape[0] < 1 || r->shape[1] != channels) {
        return misshapen(noise, "[b, latent channels, h, w]");
    } else if (r->image && (r->shape[2] * scale != r->request.height ||
                            r->shape[3] * scale != r->request.width)) {
        return misshapen(noise, "of the size that the picture's latents have");
    }
    return 0;
}

static int read_noise(run *r)
{
    const int32_t scale = sdiff_model_latent_scale(r->p->model);
    const int has_noise = sdiff_tensors_shape(r->p->in, "noise", NULL) >= 0;
    const int has_draws = sdiff_tensors_shape(r->p->in, "noise.0", NULL) >= 0;
    const int code = read_shape(r, has_noise ? "noise" : has_draws ? "noise.0" : NULL);
    if (code)
        return code;
    r->count = (size_t)(r->shape[1] * r->shape[2] * r->shape[3]);
    r->request.batch_count = (int32_t)r->shape[0];
    r->ended = calloc((size_t)r->shape[0], sizeof *r->ended);
    if (!r->ended)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    if (!r->image) {
        r->request.height = (int32_t)(r->shape[2] * scale);
        r->request.width = (int32_t)(r->shape[3] * scale);
    }
    if (has_draws) {
        r->request.noise = give_noise;
        r->request.noise_user = r;
        r->drawing = -1;
    }
    if (!has_noise)
        return 0;
    const int failed = read_tensor(r, "noise", (size_t)r->shape[0] * r->count, &r->noise);
    r->request.init_latents = r->noise;
    return failed;
}

/* ---- results --------------------------------------------------------------------------------- */

static int put(run *r, const char *name, const int64_t *shape, const float *data)
{
    const sdiff_status status =
        sdiff_tensors_set(r->p->out, name, SDIFF_DTYPE_F32, 4, shape, data);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_tensors_error(r->p->out));
}

/* Pictures that took fewer steps stay as they were. */
static void repeat_ended(run *r, int32_t step)
{
    const size_t all = r->count * (size_t)r->shape[0];
    float *now = r->steps + (size_t)step * all;
    for (int64_t i = 0; i < r->shape[0]; i++)
        if (step > 0 && step >= r->ended[i])
            memcpy(now + (size_t)i * r->count, now - all + (size_t)i * r->count,
                   r->count * sizeof *now);
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
                              r->request.no_decode ? NULL : images + i * pixels);
    for (int32_t i = 0; i < r->step_count && !code; i++) {
        char name[32];
        repeat_ended(r, i);
        snprintf(name, sizeof name, "latents.%d", i);
        code = put(r, name, r->shape, r->steps + (size_t)i * b * r->count);
    }
    if (!code)
        code = put(r, "latents", r->shape, latents);
    if (!code && !r->request.no_decode)
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
    const int code = probe_control_pipeline(r->p, r->pipeline);
    if (code)
        return code;
    r->request.on_step = keep_step;
    r->request.step_user = r;
    status = sdiff_pipeline_generate(r->pipeline, &r->request);
    if (status != SDIFF_OK)
        return complain("sd-probe", *r->missing ? SDIFF_ERROR_INVALID_ARGUMENT : status,
                        *r->missing ? r->missing : sdiff_pipeline_error(r->pipeline));
    return put_results(r);
}

int probe_generate(probe *p)
{
    run r = {.p = p};
    sdiff_generate_params_init(&r.request, sizeof r.request);
    int code = probe_open_model(p);
    if (!code)
        code = read_keys(&r);
    if (!code)
        code = read_pictures(&r);
    if (!code)
        code = read_noise(&r);
    if (!code)
        code = generate(&r);
    sdiff_pipeline_free(r.pipeline);
    free(r.noise);
    free(r.image);
    free(r.mask);
    free(r.depth);
    free(r.steps);
    free(r.ended);
    return code;
}
