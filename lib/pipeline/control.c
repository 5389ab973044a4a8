/* SPDX-License-Identifier: MIT
 *
 * ControlNets of a pipeline. Residual i of n (from conv_in's to the middle's) is weighted by
 *
 *   weight                          ordinarily
 *   weight * 0.825^(n - 1 - i)      in guess mode, on the prompt's side only (cldm's gradio_*.py)
 *   weight * 10^(i / (n - 1) - 1)   the same for files in diffusers' names, as diffusers has it
 *
 * and those of "shuffle" are averaged over the picture first, also on the prompt's side only.
 */
#include "pipeline/control.h"

#include "base/memory.h"
#include "image/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const sdi_env *env_of(const sdi_denoiser *d)
{
    return &d->session->env;
}

/* ---- the list -------------------------------------------------------------------------------- */

static sdiff_status refuse(const sdi_session *s, const sdi_model *control, const char *what,
                           int32_t level, int32_t theirs, int32_t ours)
{
    char where[32] = "";
    if (level >= 0)
        snprintf(where, sizeof where, " at level %d", (int)level);
    return sdi_fail(&s->env, SDIFF_ERROR_MISMATCH,
                    "the ControlNet '%s' does not fit '%s': it has %d %s%s, the model's U-Net %d",
                    sdi_model_name(control), sdi_model_name(s->model), (int)theirs, what, where,
                    (int)ours);
}

static sdiff_status check_fit(const sdi_session *s, const sdi_model *control)
{
    const sdi_model_config *model = sdi_model_get_config(s->model);
    const sdi_unet_config *u = &model->unet, *c = &sdi_model_get_config(control)->unet;
    if (!model->has[SDI_PART_UNET])
        return sdi_fail(&s->env, SDIFF_ERROR_UNSUPPORTED, "'%s' has no U-Net to be controlled",
                        sdi_model_name(s->model));
    if (c->cross_attention_dim != u->cross_attention_dim)
        return refuse(s, control, "numbers a token of the prompt", -1, c->cross_attention_dim,
                      u->cross_attention_dim);
    if (c->levels != u->levels)
        return refuse(s, control, "levels", -1, c->levels, u->levels);
    for (int32_t i = 0; i < u->levels; i++) {
        if (c->block_out_channels[i] != u->block_out_channels[i])
            return refuse(s, control, "channels", i, c->block_out_channels[i],
                          u->block_out_channels[i]);
        if (c->layers_per_block[i] != u->layers_per_block[i])
            return refuse(s, control, "layers", i, c->layers_per_block[i],
                          u->layers_per_block[i]);
    }
    if (c->in_channels != u->out_channels && c->in_channels != u->in_channels)
        return refuse(s, control, "input channels", -1, c->in_channels, u->out_channels);
    if (c->conditioning_channels != 3)
        return refuse(s, control, "channels of the hint", -1, c->conditioning_channels, 3);
    return SDIFF_OK;
}

static sdiff_status check_params(const sdi_session *s, const sdi_control_params *p)
{
    const sdi_env *env = &s->env;
    if (!(fabs(p->weight) <= 100))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a ControlNet's weight of %g is not possible, -100 to 100 are", p->weight);
    if (!(p->start >= 0 && p->start <= p->end && p->end <= 1))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a ControlNet from %g to %g of the steps is not possible: 0 <= start <= "
                        "end <= 1 is needed", p->start, p->end);
    if (!p->hint || p->height < 1 || p->width < 1 || p->height > SDI_IMAGE_MAX_SIDE ||
        p->width > SDI_IMAGE_MAX_SIDE)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a ControlNet needs a hint picture, sides from 1 to %d",
                        SDI_IMAGE_MAX_SIDE);
    for (int64_t i = 0; i < 3 * p->height * p->width; i++)
        if (!(p->hint[i] >= 0 && p->hint[i] <= 1))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the hint picture holds %g at number %lld: 0 to 1 is needed",
                            (double)p->hint[i], (long long)i);
    return SDIFF_OK;
}

static sdiff_status add(sdi_session *s, sdi_controls *controls, sdi_model *model,
                        const sdi_control_params *params, float *hint)
{
    sdi_control *items =
        sdi_realloc(&s->env, controls->items, (uint64_t)controls->count + 1, sizeof *items);
    if (!items)
        return SDIFF_ERROR_NO_MEMORY;
    controls->items = items;
    sdi_control *c = &items[controls->count];
    *c = (sdi_control){.config = sdi_model_get_config(model), .params = *params};
    SDI_TRY(sdi_session_add(s, model, SDI_PART_CONTROL, &c->network));
    c->params.hint = hint;
    controls->count++;
    return SDIFF_OK;
}

sdiff_status sdi_controls_add(sdi_session *s, sdi_controls *controls, sdi_model *model,
                              const sdi_control_params *params)
{
    SDI_TRY(check_params(s, params));
    SDI_TRY(check_fit(s, model));
    const uint64_t count = 3 * (uint64_t)params->height * (uint64_t)params->width;
    float *hint = sdi_alloc(&s->env, count, sizeof *hint);
    if (!hint)
        return SDIFF_ERROR_NO_MEMORY;
    memcpy(hint, params->hint, (size_t)count * sizeof *hint);
    const sdiff_status status = add(s, controls, model, params, hint);
    if (status != SDIFF_OK)
        sdi_free(&s->env, hint);
    return status;
}

void sdi_controls_clear(sdi_session *s, sdi_controls *controls)
{
    for (int32_t i = 0; i < controls->count; i++) {
        sdi_session_remove(s, controls->items[i].network);
        sdi_free(&s->env, (float *)controls->items[i].params.hint);
    }
    sdi_free(&s->env, controls->items);
    memset(controls, 0, sizeof *controls);
}

/* ---- planning -------------------------------------------------------------------------------- */

static int on_one_side(const sdi_control *c)
{
    return c->params.guess || c->config->control.global_pool;
}

/* Sizes of a row of each residual, in the order of the U-Net's inputs. */
static void measure(sdi_controls *controls, const sdi_plan *plan)
{
    int64_t shape[4];
    int32_t rank = 0;
    controls->residuals = 0;
    for (int32_t i = 0; sdi_plan_output(plan, i, shape, &rank); i++) {
        controls->channels[i] = shape[1];
        controls->pixels[i] = shape[2] * shape[3];
        controls->residuals++;
    }
}

sdiff_status sdi_controls_plan(sdi_denoiser *d)
{
    sdi_controls *controls = d->controls;
    controls->residuals = 0;
    for (int32_t i = 0; i < controls->count; i++) {
        sdi_control *c = &controls->items[i];
        sdi_unet_args args;
        c->plan = NULL;
        c->first = on_one_side(c) && d->conditioning && d->side[0] == 0;
        c->rows = d->rows - c->first;
        if (c->rows == 0)
            continue;
        memset(&args, 0, sizeof args);
        args.config = &c->config->unet;
        args.b = c->rows;
        args.h = d->h;
        args.w = d->w;
        args.context_tokens = d->conditioning ? d->conditioning->tokens : 0;
        SDI_TRY(sdi_session_plan(d->session, c->network, &args, sizeof args, &c->plan));
        measure(controls, c->plan);
    }
    return SDIFF_OK;
}

double sdi_controls_work(const sdi_denoiser *d, double evaluations)
{
    double work = 0;
    for (int32_t i = 0; d->controls && i < d->controls->count; i++) {
        const sdi_control *c = &d->controls->items[i];
        if (c->plan)
            work += sdi_plan_flops(c->plan, NN_ONCE) +
                    evaluations * (c->params.end - c->params.start) *
                        sdi_plan_flops(c->plan, NN_EACH);
    }
    return work;
}

/* ---- hints ----------------------------------------------------------------------------------- */

/* The hint in the size that the network takes, through 8 bits where it has another. */
static sdiff_status fit_hint(const sdi_env *env, const sdi_control *c, int64_t h, int64_t w,
                             float *out)
{
    const sdi_control_params *p = &c->params;
    sdi_image *given = NULL, *resized = NULL;
    if (p->height == h && p->width == w) {
        memcpy(out, p->hint, 3 * (size_t)(h * w) * sizeof *out);
        return SDIFF_OK;
    }
    SDI_TRY(sdi_image_from_planes(env, p->hint, (int32_t)p->width, (int32_t)p->height, &given));
    const sdiff_status status = sdi_image_resize(env, given, (int32_t)w, (int32_t)h, &resized);
    for (int64_t i = 0; i < h * w && status == SDIFF_OK; i++)
        for (int64_t k = 0; k < 3; k++)
            out[k * h * w + i] = (float)resized->pixels[3 * i + k] / 255;
    sdi_image_free(env, given);
    sdi_image_free(env, resized);
    return status;
}

static void swap_colours(float *hint, int64_t pixels)
{
    for (int64_t i = 0; i < pixels; i++) {
        const float red = hint[i];
        hint[i] = hint[2 * pixels + i];
        hint[2 * pixels + i] = red;
    }
}

static sdiff_status give_hint(const sdi_denoiser *d, const sdi_control *c)
{
    const int64_t scale = (int64_t)1 << (c->config->unet.hint_levels - 1);
    const int64_t h = d->h * scale, w = d->w * scale;
    const size_t row = 3 * (size_t)(h * w);
    float *hint = sdi_alloc(env_of(d), (uint64_t)c->rows, row * sizeof *hint);
    if (!hint)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = fit_hint(env_of(d), c, h, w, hint);
    if (status == SDIFF_OK) {
        if (c->config->control.bgr)
            swap_colours(hint, h * w);
        for (int32_t i = 1; i < c->rows; i++)
            memcpy(hint + (size_t)i * row, hint, row * sizeof *hint);
        status = sdi_plan_set(env_of(d), c->plan, "hint", hint);
    }
    sdi_free(env_of(d), hint);
    return status;
}

/* ---- a call ---------------------------------------------------------------------------------- */

static int64_t row_size(const sdi_controls *controls, int32_t residual)
{
    return controls->channels[residual] * controls->pixels[residual];
}

/* Numbers of a row of all residuals, and of the largest one. */
static uint64_t count_residuals(const sdi_controls *controls, uint64_t *largest)
{
    uint64_t all = 0;
    *largest = 0;
    for (int32_t i = 0; i < controls->residuals; i++) {
        const uint64_t size = (uint64_t)row_size(controls, i);
        all += size;
        *largest = SDI_MAX(*largest, size);
    }
    return all;
}

static uint64_t sample_size(const sdi_denoiser *d)
{
    const int64_t channels = sdi_model_get_config(d->session->model)->unet.in_channels;
    return (uint64_t)(channels * d->h * d->w);
}

/* With the hint, of which there is a copy while it is given to the plan. */
uint64_t sdi_controls_bytes(const sdi_denoiser *d)
{
    uint64_t largest = 0, hint = 0;
    if (!d->controls)
        return 0;
    const uint64_t all = count_residuals(d->controls, &largest);
    for (int32_t i = 0; i < d->controls->count; i++) {
        const int32_t shift = 2 * (d->controls->items[i].config->unet.hint_levels - 1);
        hint = SDI_MAX(hint, 3 * (uint64_t)(d->h * d->w) << shift);
    }
    return (uint64_t)d->rows * (all + largest + sample_size(d) + hint) * sizeof(float);
}

sdiff_status sdi_controls_begin(sdi_denoiser *d)
{
    sdi_controls *controls = d->controls;
    const uint64_t rows = (uint64_t)d->rows;
    uint64_t largest = 0;
    const uint64_t all = count_residuals(controls, &largest);
    controls->silent = 0;
    controls->sum = sdi_alloc(env_of(d), rows * all, sizeof(float));
    controls->part = sdi_alloc(env_of(d), rows * largest, sizeof(float));
    controls->sample = sdi_alloc(env_of(d), rows * sample_size(d), sizeof(float));
    if (!controls->sum || !controls->part || !controls->sample)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < controls->count; i++)
        if (controls->items[i].plan)
            SDI_TRY(give_hint(d, &controls->items[i]));
    return SDIFF_OK;
}

void sdi_controls_end(sdi_denoiser *d)
{
    sdi_controls *controls = d->controls;
    sdi_free(env_of(d), controls->sum);
    sdi_free(env_of(d), controls->part);
    sdi_free(env_of(d), controls->sample);
    controls->sum = controls->part = controls->sample = NULL;
}

sdiff_status sdi_controls_set_texts(sdi_denoiser *d, const float *contexts)
{
    const sdi_conditioning *text = d->conditioning;
    const size_t row = (size_t)text->tokens * (size_t)text->width;
    for (int32_t i = 0; i < d->controls->count; i++) {
        const sdi_control *c = &d->controls->items[i];
        if (!c->plan)
            continue;
        SDI_TRY(sdi_plan_set(env_of(d), c->plan, "context", contexts + (size_t)c->first * row));
        SDI_TRY(sdi_session_run(d->session, c->plan, NN_ONCE));
    }
    return SDIFF_OK;
}

/* ---- a step ---------------------------------------------------------------------------------- */

static int is_heard(const sdi_control *c, const sdi_ask *ask)
{
    const double n = ask->steps;
    return c->plan && c->params.weight != 0 && !(ask->step / n < c->params.start) &&
           !((ask->step + 1) / n > c->params.end);
}

static sdiff_status run(sdi_denoiser *d, const sdi_control *c, const sdi_ask *ask)
{
    const sdi_model_config *model = sdi_model_get_config(d->session->model);
    const size_t row = (size_t)(c->config->unet.in_channels * d->h * d->w);
    const size_t given = (size_t)(model->unet.in_channels * d->h * d->w);
    float timesteps[SDI_MAX_SIDES];
    for (int32_t i = 0; i < c->rows; i++) {
        timesteps[i] = (float)ask->timestep;
        memcpy(d->controls->sample + (size_t)i * row, d->sample + (size_t)(c->first + i) * given,
               row * sizeof(float));
    }
    SDI_TRY(sdi_plan_set(env_of(d), c->plan, "sample", d->controls->sample));
    SDI_TRY(sdi_plan_set(env_of(d), c->plan, "timestep", timesteps));
    return sdi_session_run(d->session, c->plan, NN_EACH);
}

/* Each plane becomes its mean. */
static void pool(float *values, int64_t planes, int64_t pixels)
{
    for (int64_t p = 0; p < planes; p++) {
        double sum = 0;
        for (int64_t i = 0; i < pixels; i++)
            sum += values[p * pixels + i];
        for (int64_t i = 0; i < pixels; i++)
            values[p * pixels + i] = (float)(sum / (double)pixels);
    }
}

/* Of residual k of n. With the 13 of published models both are within 0.6 % of each other. */
static double guess_scale(const sdi_control *c, int32_t k, int32_t n)
{
    if (!c->params.guess || c->config->control.global_pool)
        return 1;
    return c->config->control.decades ? pow(10, (double)k / (n - 1) - 1) : pow(0.825, n - 1 - k);
}

static sdiff_status add_residuals(sdi_denoiser *d, const sdi_control *c)
{
    sdi_controls *controls = d->controls;
    const int pooled = c->config->control.global_pool;
    float *sum = controls->sum;
    for (int32_t k = 0; k < controls->residuals; k++) {
        int64_t shape[4];
        int32_t rank = 0;
        const char *name = sdi_plan_output(c->plan, k, shape, &rank);
        const int64_t row = row_size(controls, k);
        const float weight = (float)(c->params.weight * guess_scale(c, k, controls->residuals));
        SDI_TRY(sdi_session_get(d->session, c->plan, name, controls->part));
        if (pooled)
            pool(controls->part, c->rows * controls->channels[k], controls->pixels[k]);
        for (int64_t i = 0; i < c->rows * row; i++)
            sum[c->first * row + i] += weight * controls->part[i];
        sum += d->rows * row;
    }
    return SDIFF_OK;
}

static sdiff_status tell_unet(const sdi_denoiser *d)
{
    const sdi_controls *controls = d->controls;
    const float *sum = controls->sum;
    for (int32_t k = 0; k < controls->residuals; k++) {
        char name[32] = "mid_residual";
        if (k + 1 < controls->residuals)
            snprintf(name, sizeof name, "down_residual.%d", (int)k);
        SDI_TRY(sdi_plan_set(env_of(d), d->unet, name, sum));
        sum += d->rows * row_size(controls, k);
    }
    return SDIFF_OK;
}

sdiff_status sdi_controls_apply(sdi_denoiser *d, const sdi_ask *ask)
{
    sdi_controls *controls = d->controls;
    int32_t heard = 0;
    size_t all = 0;
    for (int32_t i = 0; i < controls->count; i++)
        heard += is_heard(&controls->items[i], ask);
    if (!heard && controls->silent)
        return SDIFF_OK;
    for (int32_t k = 0; k < controls->residuals; k++)
        all += (size_t)(d->rows * row_size(controls, k));
    memset(controls->sum, 0, all * sizeof(float));
    for (int32_t i = 0; i < controls->count; i++) {
        const sdi_control *c = &controls->items[i];
        if (!is_heard(c, ask))
            continue;
        SDI_TRY(run(d, c, ask));
        SDI_TRY(add_residuals(d, c));
    }
    controls->silent = heard == 0;
    return tell_unet(d);
}
