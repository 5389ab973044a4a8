/* SPDX-License-Identifier: MIT
 *
 * What a request may ask for.
 */
#include "pipeline/generate.h"
#include "pipeline/vae_code.h"

#include <math.h>

enum { MAX_SIDE = 16384, MAX_PICTURES = 1000 };
static const double max_cfg_scale = 100;

static sdiff_status refuse(const sdi_session *s, const char *what, double found, double low,
                           double high)
{
    return sdi_fail(&s->env, SDIFF_ERROR_INVALID_ARGUMENT, "%s %.10g: %g to %g is possible", what,
                    found, low, high);
}

/* NaN fails both comparisons. */
static int within(double x, double low, double high)
{
    return x >= low && x <= high;
}

static sdiff_status check_side(const sdi_session *s, const char *what, int32_t side, int32_t scale)
{
    if (!within(side, scale, MAX_SIDE))
        return refuse(s, what, side, scale, MAX_SIDE);
    if (side % scale != 0)
        return sdi_fail(&s->env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%s %d is not a multiple of %d: %d or %d would be", what, side, scale,
                        side / scale * scale, side / scale * scale + scale);
    return SDIFF_OK;
}

static sdiff_status check_model(const sdi_session *s)
{
    const sdi_model_config *config = sdi_model_get_config(s->model);
    if (config->family == SDI_FAMILY_VAE)
        return sdi_fail(&s->env, SDIFF_ERROR_UNSUPPORTED,
                        "'%s' is an autoencoder alone: it makes no pictures from text",
                        sdi_model_name(s->model));
    if (config->task != SDI_TASK_TEXT)
        return sdi_fail(&s->env, SDIFF_ERROR_UNSUPPORTED,
                        "'%s' is a model for %s with %d input channels: text to image needs %d",
                        sdi_model_name(s->model), sdi_task_name(config->task),
                        config->unet.in_channels, config->unet.out_channels);
    return SDIFF_OK;
}

sdiff_status sdi_request_check(const sdi_session *s, sdiff_generate_params *r)
{
    const sdi_model_config *config = sdi_model_get_config(s->model);
    const int32_t scale = sdi_latent_scale(config);
    SDI_TRY(check_model(s));
    if (!r->width)
        r->width = config->unet.sample_size * scale;
    if (!r->height)
        r->height = config->unet.sample_size * scale;
    SDI_TRY(check_side(s, "width", r->width, scale));
    SDI_TRY(check_side(s, "height", r->height, scale));
    if (!within(r->steps, 1, SDI_MAX_STEPS))
        return refuse(s, "steps", r->steps, 1, SDI_MAX_STEPS);
    if (!within(r->cfg_scale, -max_cfg_scale, max_cfg_scale))
        return refuse(s, "CFG scale", r->cfg_scale, -max_cfg_scale, max_cfg_scale);
    if (!within(r->cfg_rescale, 0, 1))
        return refuse(s, "CFG rescale", r->cfg_rescale, 0, 1);
    if (!(r->eta < 0) && !within(r->eta, 0, 10))
        return refuse(s, "eta", r->eta, 0, 10);
    if (!within(r->batch_count, 1, MAX_PICTURES))
        return refuse(s, "batch count", r->batch_count, 1, MAX_PICTURES);
    if (!within(r->rng, SDIFF_RNG_TORCH, SDIFF_RNG_PHILOX))
        return refuse(s, "random number generator", r->rng, SDIFF_RNG_TORCH, SDIFF_RNG_PHILOX);
    if (!within(r->spacing, SDIFF_SPACING_MODEL, SDIFF_SPACING_TRAILING))
        return refuse(s, "spacing", r->spacing, SDIFF_SPACING_MODEL, SDIFF_SPACING_TRAILING);
    if (!within(r->emphasis, SDIFF_EMPHASIS_ORIGINAL, SDIFF_EMPHASIS_NONE))
        return refuse(s, "emphasis", r->emphasis, SDIFF_EMPHASIS_ORIGINAL, SDIFF_EMPHASIS_NONE);
    if (config->unet.class_embeddings &&
        !within(r->class_label, 0, config->unet.class_embeddings - 1))
        return refuse(s, "class label", r->class_label, 0, config->unet.class_embeddings - 1);
    if (config->unet.cross_attention_dim && !within(r->clip_skip, 0, config->clip.layers))
        return refuse(s, "clip skip", r->clip_skip, 0, config->clip.layers);
    return SDIFF_OK;
}
