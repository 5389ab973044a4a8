/* SPDX-License-Identifier: MIT
 *
 * What a request may ask for.
 */
#include "pipeline/depth.h"
#include "pipeline/generate.h"
#include "pipeline/mask.h"
#include "pipeline/tiling.h"
#include "pipeline/vae_code.h"

#include <math.h>

enum { MAX_SIDE = 16384, MAX_PICTURES = 1000 };
static const double max_cfg_scale = 100, default_strength = 0.75;

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

static sdiff_status unsupported(const sdi_session *s, const char *what)
{
    return sdi_fail(&s->env, SDIFF_ERROR_UNSUPPORTED, "'%s' %s", sdi_model_name(s->model), what);
}

/* The parts of a folder and a replaced VAE come from different files. */
static sdiff_status check_parts_fit(const sdi_session *s)
{
    const sdi_model_config *c = sdi_model_get_config(s->model);
    const int32_t width = c->unet.cross_attention_dim, channels = c->unet.out_channels;
    if (width && c->has[SDI_PART_TEXT] && c->clip.hidden_size != width)
        return sdi_fail(&s->env, SDIFF_ERROR_MISMATCH,
                        "the parts of '%s' do not fit: the text encoder gives %d numbers a token, "
                        "the U-Net needs %d",
                        sdi_model_name(s->model), c->clip.hidden_size, width);
    if (sdi_has_autoencoder(c) && c->vae.latent_channels != channels)
        return sdi_fail(&s->env, SDIFF_ERROR_MISMATCH,
                        "the parts of '%s' do not fit: the autoencoder's latents have %d channels, "
                        "the U-Net's %d",
                        sdi_model_name(s->model), c->vae.latent_channels, channels);
    return SDIFF_OK;
}

static sdiff_status check_model(const sdi_session *s, const sdiff_generate_params *r)
{
    const sdi_model_config *config = sdi_model_get_config(s->model);
    const sdi_unet_config *unet = &config->unet;
    static const char *const alone[] = {
        [SDI_FAMILY_VAE] = "is an autoencoder alone: it makes no pictures from text",
        [SDI_FAMILY_CONTROLNET] = "is a ControlNet: it steers a model and is none",
        [SDI_FAMILY_DEPTH] = "is a depth estimator alone: it makes no pictures from text",
        [SDI_FAMILY_TAESD] = "is a tiny autoencoder alone: it makes no pictures from text"};
    if (config->family >= SDI_FAMILY_VAE)
        return unsupported(s, alone[config->family]);
    if (config->task == SDI_TASK_EDIT)
        return unsupported(s, "edits pictures by instructions (InstructPix2Pix, 8 input channels): "
                              "its two guidance scales are not supported; a model of 4 channels "
                              "changes pictures by image to image");
    SDI_TRY(check_parts_fit(s));
    const int latent = sdi_has_autoencoder(config);
    if (latent && config->vae.image_channels != 3)
        return unsupported(s, "has an autoencoder for other pictures than those of 3 colours");
    const int pixels = unet->out_channels == 3 || unet->out_channels == 1;
    if (!latent && !pixels && (r->image || !r->no_decode))
        return sdi_fail(&s->env, SDIFF_ERROR_UNSUPPORTED,
                        "'%s' has no autoencoder and makes %d channels: pixels have 3 or 1, more "
                        "are left as latents (no_decode)",
                        sdi_model_name(s->model), unet->out_channels);
    return SDIFF_OK;
}

/* Which of picture, mask and depth the model can use and which it cannot do without. */
static sdiff_status check_inputs_fit(const sdi_session *s, const sdiff_generate_params *r)
{
    const sdi_task task = sdi_model_get_config(s->model)->task;
    const int estimates = sdi_model_weights(s->model, SDI_PART_DEPTH) != NULL;
    const char *what = NULL;
    if (task == SDI_TASK_INPAINT && (!r->image || !r->mask))
        what = "is an inpainting model (9 input channels): it needs a picture and a mask";
    else if (task == SDI_TASK_DEPTH && !r->depth && !(r->image && estimates))
        what = estimates ? "is a depth-to-image model (5 input channels): it needs a picture or a "
                           "depth map"
                         : "is a depth-to-image model (5 input channels) without a depth "
                           "estimator: it needs a depth map";
    else if (task != SDI_TASK_DEPTH && r->depth)
        what = "is no depth-to-image model: it has no input channel for a depth map";
    else if (r->mask && !r->image)
        what = "cannot inpaint with a mask alone: the picture is missing";
    if (!what)
        return SDIFF_OK;
    return sdi_fail(&s->env, SDIFF_ERROR_INVALID_ARGUMENT, "'%s' %s", sdi_model_name(s->model),
                    what);
}

static sdiff_status check_picture(const sdi_session *s, const sdiff_generate_params *r)
{
    const int64_t pixels = (int64_t)r->height * r->width;
    for (int64_t i = 0; r->image && i < 3 * pixels; i++)
        if (!(r->image[i] >= 0 && r->image[i] <= 1))
            return sdi_fail(&s->env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the picture is %g at column %lld of row %lld: 0 to 1 is needed",
                            r->image[i], (long long)(i % r->width),
                            (long long)(i % pixels / r->width));
    return SDIFF_OK;
}

/* Picture, mask, depth and what goes with them. */
static sdiff_status check_inputs(const sdi_session *s, sdiff_generate_params *r)
{
    SDI_TRY(check_inputs_fit(s, r));
    if (!(r->strength < 0) && !within(r->strength, 0, 1))
        return refuse(s, "strength", r->strength, 0, 1);
    if (!r->image)
        r->strength = 1;
    else if (r->strength < 0)
        r->strength = r->mask ? 1 : default_strength;
    if (!r->depth_width)
        r->depth_width = r->width;
    if (!r->depth_height)
        r->depth_height = r->height;
    if (!within(r->depth_width, 1, MAX_SIDE))
        return refuse(s, "width of the depth map", r->depth_width, 1, MAX_SIDE);
    if (!within(r->depth_height, 1, MAX_SIDE))
        return refuse(s, "height of the depth map", r->depth_height, 1, MAX_SIDE);
    if (!within(r->encode_mode, SDIFF_ENCODE_SAMPLE, SDIFF_ENCODE_MODE))
        return refuse(s, "encode mode", r->encode_mode, SDIFF_ENCODE_SAMPLE, SDIFF_ENCODE_MODE);
    SDI_TRY(check_picture(s, r));
    if (r->mask)
        SDI_TRY(sdi_mask_check(&s->env, r->mask, r->height, r->width));
    if (r->depth)
        SDI_TRY(sdi_depth_check(&s->env, r->depth, r->depth_height, r->depth_width));
    return SDIFF_OK;
}

static sdiff_status check_tile(const sdi_session *s, int32_t tile, int32_t scale)
{
    if (!tile)
        return SDIFF_OK;
    if (!within(tile, SDI_SMALLEST_TILE * scale, MAX_SIDE))
        return refuse(s, "side of tiles", tile, SDI_SMALLEST_TILE * scale, MAX_SIDE);
    return check_side(s, "side of tiles", tile, scale);
}

sdiff_status sdi_request_check(const sdi_session *s, sdiff_generate_params *r)
{
    const sdi_model_config *config = sdi_model_get_config(s->model);
    const int32_t scale = sdi_latent_scale(config);
    SDI_TRY(check_model(s, r));
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
    if (!within(r->final_sigma_min, 0, 2))
        return refuse(s, "end of the noise levels", r->final_sigma_min, 0, 2);
    if (!within(r->brownian, 0, 1))
        return refuse(s, "Brownian path", r->brownian, 0, 1);
    SDI_TRY(check_tile(s, r->tile, scale));
    return check_inputs(s, r);
}
