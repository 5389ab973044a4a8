/* SPDX-License-Identifier: MIT
 *
 * What a picture can be made from beside the sentence: a picture, a mask, a depth map. With
 * --inpaint-area masked the marked part is cut out, made at the model's size and pasted back.
 */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

static int fail_library(demo *d, sdiff_status status)
{
    return complain("sd-demo", status, sdiff_context_error(d->context));
}

/* ---- reading --------------------------------------------------------------------------------- */

static int load(demo *d, const char *path, int32_t channels, sdiff_image **out)
{
    sdiff_image *loaded = NULL;
    sdiff_status status = sdiff_image_load_png(d->context, path, &loaded);
    if (status == SDIFF_OK)
        status = sdiff_image_convert(d->context, loaded, channels, out);
    sdiff_image_free(loaded);
    return status == SDIFF_OK ? 0 : fail_library(d, status);
}

static int load_mask(demo *d)
{
    inputs *in = &d->inputs;
    const settings *s = &d->settings;
    const int code = load(d, s->mask, 1, &in->mask);
    if (code)
        return code;
    const int32_t w = sdiff_image_width(in->mask), h = sdiff_image_height(in->mask);
    const int32_t width = sdiff_image_width(in->picture), height = sdiff_image_height(in->picture);
    if (w != width || h != height)
        return fail(SDIFF_ERROR_INVALID_ARGUMENT,
                    "--mask %s has %d x %d pixels, the picture %d x %d: they have to agree",
                    s->mask, w, h, width, height);
    const sdiff_status status = sdiff_mask_blur(d->context, in->mask, s->mask_blur);
    return status == SDIFF_OK ? 0 : fail_library(d, status);
}

static int load_all(demo *d)
{
    const settings *s = &d->settings;
    int code = s->init_img ? load(d, s->init_img, 3, &d->inputs.picture) : 0;
    if (!code && s->mask)
        code = load_mask(d);
    if (!code && s->depth_map)
        code = load(d, s->depth_map, 1, &d->inputs.depth);
    return code;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* What the user says; else the picture's own size as far as the model can; else the model's. */
static void choose_size(demo *d)
{
    settings *s = &d->settings;
    const sdiff_image *picture = d->inputs.picture;
    const int64_t usual = sdiff_model_default_size(d->model);
    const int64_t scale = sdiff_model_latent_scale(d->model);
    const int own = picture && !s->inpaint_area;
    const int64_t w = own ? sdiff_image_width(picture) : usual;
    const int64_t h = own ? sdiff_image_height(picture) : usual;
    if (!s->width)
        s->width = w < scale ? scale : w / scale * scale;
    if (!s->height)
        s->height = h < scale ? scale : h / scale * scale;
}

/* ---- planes ---------------------------------------------------------------------------------- */

static sdiff_status cut_area(demo *d, sdiff_image **picture, sdiff_image **mask)
{
    inputs *in = &d->inputs;
    const settings *s = &d->settings;
    sdiff_status status =
        sdiff_mask_area(d->context, in->mask, (int32_t)s->mask_padding, (int32_t)s->width,
                        (int32_t)s->height, &in->area);
    if (status == SDIFF_OK)
        status = sdiff_image_crop(d->context, in->picture, &in->area, picture);
    if (status == SDIFF_OK)
        status = sdiff_image_crop(d->context, in->mask, &in->area, mask);
    return status;
}

/* A picture and its mask as numbers; `mask` may be NULL. */
static sdiff_status take_planes(demo *d, const sdiff_image *picture, const sdiff_image *mask,
                                int32_t fit)
{
    inputs *in = &d->inputs;
    const int32_t w = (int32_t)d->settings.width, h = (int32_t)d->settings.height;
    const size_t pixels = (size_t)w * (size_t)h;
    in->planes = malloc(3 * pixels * sizeof(float));
    in->mask_plane = mask ? malloc(pixels * sizeof(float)) : NULL;
    if (!in->planes || (mask && !in->mask_plane))
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status =
        sdiff_image_to_planes(d->context, picture, w, h, fit, in->planes, NULL);
    if (status == SDIFF_OK && mask)
        status = sdiff_image_to_plane(d->context, mask, w, h, fit, in->mask_plane);
    return status;
}

static sdiff_status take_area(demo *d)
{
    sdiff_image *picture = NULL, *mask = NULL;
    sdiff_status status = cut_area(d, &picture, &mask);
    if (status == SDIFF_OK)
        status = take_planes(d, picture, mask, SDIFF_FIT_STRETCH);
    sdiff_image_free(picture);
    sdiff_image_free(mask);
    return status;
}

static sdiff_status take_depth(demo *d)
{
    inputs *in = &d->inputs;
    const int32_t w = sdiff_image_width(in->depth), h = sdiff_image_height(in->depth);
    in->depth_plane = malloc((size_t)w * (size_t)h * sizeof(float));
    return in->depth_plane ? sdiff_image_to_plane(d->context, in->depth, w, h, SDIFF_FIT_STRETCH,
                                                  in->depth_plane)
                           : SDIFF_ERROR_NO_MEMORY;
}

int inputs_read(demo *d)
{
    const settings *s = &d->settings;
    const inputs *in = &d->inputs;
    if (s->mask && !s->init_img)
        return fail(SDIFF_ERROR_INVALID_ARGUMENT, "--mask needs a picture (--init-img)");
    if (s->inpaint_area && !s->mask)
        return fail(SDIFF_ERROR_INVALID_ARGUMENT, "--inpaint-area masked needs a --mask");
    const int code = load_all(d);
    if (code)
        return code;
    choose_size(d);
    if (s->width > SDIFF_IMAGE_MAX_SIDE || s->height > SDIFF_IMAGE_MAX_SIDE)
        return 0; // the library will say so
    sdiff_status status = SDIFF_OK;
    if (in->picture)
        status = s->inpaint_area ? take_area(d)
                                 : take_planes(d, in->picture, in->mask, SDIFF_FIT_CROP);
    if (status == SDIFF_OK && in->depth)
        status = take_depth(d);
    return status == SDIFF_OK ? 0 : fail_library(d, status);
}

/* ---- using ----------------------------------------------------------------------------------- */

double inputs_strength(const settings *s)
{
    return s->strength >= 0 ? s->strength : s->mask ? 1 : 0.75;
}

void inputs_fill(const demo *d, sdiff_generate_params *request)
{
    const inputs *in = &d->inputs;
    request->image = in->planes;
    request->mask = in->mask_plane;
    request->strength = d->settings.strength;
    request->keep_unmasked = !d->settings.raw_decode;
    request->depth = in->depth_plane;
    if (in->depth) {
        request->depth_width = sdiff_image_width(in->depth);
        request->depth_height = sdiff_image_height(in->depth);
    }
}

int inputs_finish(demo *d, sdiff_image *made, sdiff_image **out)
{
    inputs *in = &d->inputs;
    sdiff_image *whole = NULL;
    *out = made;
    if (!d->settings.inpaint_area)
        return 0;
    sdiff_status status = sdiff_image_convert(d->context, in->picture, 3, &whole);
    if (status == SDIFF_OK)
        status = sdiff_mask_paste(d->context, whole, made, &in->area, in->mask);
    sdiff_image_free(in->whole);
    *out = in->whole = whole;
    return status == SDIFF_OK ? 0 : fail_library(d, status);
}

void inputs_drop(inputs *in)
{
    sdiff_image_free(in->picture);
    sdiff_image_free(in->mask);
    sdiff_image_free(in->depth);
    sdiff_image_free(in->whole);
    free(in->planes);
    free(in->mask_plane);
    free(in->depth_plane);
    memset(in, 0, sizeof *in);
}
