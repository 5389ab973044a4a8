/* SPDX-License-Identifier: MIT
 *
 * Pictures as networks take them: other channel counts, parts, sizes, planes of floats.
 */
#include "image/image.h"

#include "base/memory.h"

#include <string.h>

/* ---- channels -------------------------------------------------------------------------------- */

/* x over a background, both 0 … 255, with rounding; opaque pixels stay as they are. */
static uint8_t over(int32_t x, int32_t alpha, int32_t background)
{
    return (uint8_t)((x * alpha + background * (255 - alpha) + 127) / 255);
}

/* ITU-R BT.601. */
static uint8_t brightness(const uint8_t *rgb)
{
    return (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

static void convert_pixel(const uint8_t *in, int32_t from, uint8_t *out, int32_t to)
{
    const int32_t alpha = from == 4 ? in[3] : 255;
    uint8_t rgb[3];
    for (int32_t c = 0; c < 3; c++)
        rgb[c] = in[from == 1 ? 0 : c];
    if (to == 1) {
        *out = over(from == 1 ? *in : brightness(rgb), alpha, 0);
        return;
    }
    for (int32_t c = 0; c < 3; c++)
        out[c] = to == 4 ? rgb[c] : over(rgb[c], alpha, 255);
    if (to == 4)
        out[3] = (uint8_t)alpha;
}

sdiff_status sdi_image_convert(const sdi_env *env, const sdi_image *image, int32_t channels,
                               sdi_image **out)
{
    const int32_t from = image->channels;
    SDI_TRY(sdi_image_new(env, image->width, image->height, channels, NULL, out));
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < pixels; i++)
        convert_pixel(image->pixels + i * (size_t)from, from,
                      (*out)->pixels + i * (size_t)channels, channels);
    return SDIFF_OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

int sdi_rect_is_inside(const sdi_rect *r, const sdi_image *image)
{
    return r->width > 0 && r->height > 0 && r->x >= 0 && r->y >= 0 &&
           r->width <= image->width - r->x && r->height <= image->height - r->y;
}

sdiff_status sdi_image_crop(const sdi_env *env, const sdi_image *image, const sdi_rect *area,
                            sdi_image **out)
{
    *out = NULL;
    if (!sdi_rect_is_inside(area, image))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "an area of %d x %d pixels at (%d, %d) is not inside of a picture of "
                        "%d x %d",
                        area->width, area->height, area->x, area->y, image->width, image->height);
    SDI_TRY(sdi_image_new(env, area->width, area->height, image->channels, NULL, out));
    const size_t n = (size_t)image->channels, line = (size_t)area->width * n;
    for (int32_t y = 0; y < area->height; y++)
        memcpy((*out)->pixels + (size_t)y * line,
               image->pixels + ((size_t)(area->y + y) * (size_t)image->width + (size_t)area->x) * n,
               line);
    return SDIFF_OK;
}

/* The largest part in the middle that has the proportions of width x height. */
static sdi_rect middle(const sdi_image *image, int32_t width, int32_t height)
{
    const int64_t w = image->width, h = image->height;
    sdi_rect r = {.width = image->width, .height = image->height};
    if (w * height > h * width)
        r.width = SDI_MAX((int32_t)((h * width + height / 2) / height), 1);
    else
        r.height = SDI_MAX((int32_t)((w * height + width / 2) / width), 1);
    r.x = (image->width - r.width) / 2;
    r.y = (image->height - r.height) / 2;
    return r;
}

/* A copy of exactly this size. */
static sdiff_status fit(const sdi_env *env, const sdi_image *image, int32_t width, int32_t height,
                        int crop, sdi_image **out)
{
    const sdi_rect whole = {0, 0, image->width, image->height};
    const sdi_rect area = crop && width > 0 && height > 0 ? middle(image, width, height) : whole;
    if (area.width == width && area.height == height)
        return sdi_image_crop(env, image, &area, out);
    sdi_image *part = NULL;
    SDI_TRY(sdi_image_crop(env, image, &area, &part));
    const sdiff_status status = sdi_image_resize(env, part, width, height, out);
    sdi_image_free(env, part);
    return status;
}

/* ---- planes ---------------------------------------------------------------------------------- */

static void split(const sdi_image *image, float *planes)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    const size_t n = (size_t)image->channels;
    for (size_t c = 0; c < n; c++)
        for (size_t i = 0; i < pixels; i++)
            planes[c * pixels + i] = image->pixels[i * n + c] / 255.0f;
}

static void split_alpha(const sdi_image *image, float *alpha)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < pixels; i++)
        alpha[i] = image->channels == 4 ? image->pixels[4 * i + 3] / 255.0f : 1;
}

sdiff_status sdi_image_to_planes(const sdi_env *env, const sdi_image *image, int32_t width,
                                 int32_t height, int crop, int32_t channels, float *planes,
                                 float *alpha)
{
    sdi_image *sized = NULL, *converted = NULL;
    SDI_TRY(fit(env, image, width, height, crop, &sized));
    const sdiff_status status = sdi_image_convert(env, sized, channels, &converted);
    if (status == SDIFF_OK) {
        split(converted, planes);
        if (alpha)
            split_alpha(sized, alpha);
    }
    sdi_image_free(env, sized);
    sdi_image_free(env, converted);
    return status;
}
