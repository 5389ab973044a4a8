/* SPDX-License-Identifier: MIT
 *
 * Masks: soft edges, wider and narrower, the part of a picture that they concern.
 */
#include "image/mask.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { MAX_RADIUS = 1024 };

static sdiff_status check_mask(const sdi_env *env, const sdi_image *mask)
{
    if (mask->channels == 1)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                    "a mask has 1 channel, this image has %d: convert it", mask->channels);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* What becomes of `count` bytes of a line, which are followed and preceded by repeated ends:
 * `padded` points at the first, `radius` bytes are there on both sides. */
typedef struct line_filter {
    int32_t radius;
    const float *weights; // [radius + 1] from the middle; NULL: the largest or smallest
    int32_t smallest;
} line_filter;

static uint8_t filter_at(const line_filter *f, const uint8_t *at)
{
    if (f->weights) {
        float sum = f->weights[0] * at[0];
        for (int32_t i = 1; i <= f->radius; i++)
            sum += f->weights[i] * (float)(at[i] + at[-i]);
        return (uint8_t)(sum + 0.5f);
    }
    uint8_t found = at[0];
    for (int32_t i = -f->radius; i <= f->radius; i++)
        if (f->smallest ? at[i] < found : at[i] > found)
            found = at[i];
    return found;
}

static void filter_line(const line_filter *f, uint8_t *line, size_t step, int32_t count,
                        uint8_t *padded)
{
    uint8_t *first = padded + f->radius;
    for (int32_t i = -f->radius; i < count + f->radius; i++)
        first[i] = line[(size_t)SDI_MIN(SDI_MAX(i, 0), count - 1) * step];
    for (int32_t i = 0; i < count; i++)
        line[(size_t)i * step] = filter_at(f, first + i);
}

/* Along the rows, then along the columns. */
static sdiff_status filter(const sdi_env *env, sdi_image *mask, const line_filter *f)
{
    const int32_t w = mask->width, h = mask->height;
    uint8_t *padded = sdi_alloc(env, (uint64_t)(SDI_MAX(w, h) + 2 * f->radius), 1);
    if (!padded)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t y = 0; y < h; y++)
        filter_line(f, mask->pixels + (size_t)y * (size_t)w, 1, w, padded);
    for (int32_t x = 0; x < w; x++)
        filter_line(f, mask->pixels + x, (size_t)w, h, padded);
    sdi_free(env, padded);
    return SDIFF_OK;
}

/* ---- edges ----------------------------------------------------------------------------------- */

static sdiff_status check_radius(const sdi_env *env, const char *what, double radius, double low)
{
    if (radius >= low && radius <= MAX_RADIUS)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "%s %g: %g to %d pixels are possible", what,
                    radius, low, MAX_RADIUS);
}

sdiff_status sdi_mask_blur(const sdi_env *env, sdi_image *mask, double radius)
{
    SDI_TRY(check_mask(env, mask));
    SDI_TRY(check_radius(env, "blur of", radius, 0));
    if (radius == 0)
        return SDIFF_OK;
    const int32_t reach = (int32_t)ceil(3 * radius);
    float *weights = sdi_alloc(env, (uint64_t)reach + 1, sizeof *weights);
    if (!weights)
        return SDIFF_ERROR_NO_MEMORY;
    double sum = 0;
    for (int32_t i = 0; i <= reach; i++)
        sum += (i ? 2 : 1) * exp(-0.5 * i * i / (radius * radius));
    for (int32_t i = 0; i <= reach; i++)
        weights[i] = (float)(exp(-0.5 * i * i / (radius * radius)) / sum);
    const line_filter f = {.radius = reach, .weights = weights};
    const sdiff_status status = filter(env, mask, &f);
    sdi_free(env, weights);
    return status;
}

sdiff_status sdi_mask_grow(const sdi_env *env, sdi_image *mask, int32_t pixels)
{
    SDI_TRY(check_mask(env, mask));
    SDI_TRY(check_radius(env, "growth by", pixels, -MAX_RADIUS));
    const line_filter f = {.radius = pixels < 0 ? -pixels : pixels, .smallest = pixels < 0};
    return filter(env, mask, &f);
}

/* ---- only the masked part -------------------------------------------------------------------- */

/* Makes [*start, *start + *length) longer around its middle, inside of [0, size). */
static void widen(int32_t *start, int32_t *length, int64_t wanted, int32_t size)
{
    const int32_t longer = (int32_t)SDI_MIN(SDI_MAX(wanted, *length), size);
    const int32_t first = *start - (longer - *length) / 2;
    *start = SDI_MIN(SDI_MAX(first, 0), size - longer);
    *length = longer;
}

static int bounds_of(const sdi_image *mask, sdi_rect *r)
{
    int32_t left = mask->width, right = -1, top = -1, bottom = -1;
    for (int32_t y = 0; y < mask->height; y++)
        for (int32_t x = 0; x < mask->width; x++)
            if (mask->pixels[(size_t)y * (size_t)mask->width + (size_t)x]) {
                left = SDI_MIN(left, x);
                right = SDI_MAX(right, x);
                top = top < 0 ? y : top;
                bottom = y;
            }
    *r = (sdi_rect){left, top, right - left + 1, bottom - top + 1};
    return right >= 0;
}

sdiff_status sdi_mask_area(const sdi_env *env, const sdi_image *mask, int32_t padding,
                           int32_t width, int32_t height, sdi_rect *area)
{
    sdi_rect r;
    SDI_TRY(check_mask(env, mask));
    if (width < 1 || height < 1 || padding < 0)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "an area for %d x %d pixels with %d around is not possible", width, height,
                        padding);
    if (!bounds_of(mask, &r))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "the mask marks nothing");
    widen(&r.x, &r.width, r.width + 2 * (int64_t)padding, mask->width);
    widen(&r.y, &r.height, r.height + 2 * (int64_t)padding, mask->height);
    widen(&r.x, &r.width, ((int64_t)r.height * width + height - 1) / height, mask->width);
    widen(&r.y, &r.height, ((int64_t)r.width * height + width - 1) / width, mask->height);
    *area = r;
    return SDIFF_OK;
}

/* All three images have the same size: colours of `patch` over those of `image`. */
static void mix(sdi_image *image, const sdi_image *patch, const sdi_rect *area,
                const sdi_image *mask)
{
    const size_t n = (size_t)image->channels;
    for (int32_t y = 0; y < area->height; y++)
        for (int32_t x = 0; x < area->width; x++) {
            const size_t at = (size_t)(area->y + y) * (size_t)image->width + (size_t)(area->x + x);
            const uint8_t *new = patch->pixels + 3 * ((size_t)y * (size_t)area->width + (size_t)x);
            const int32_t m = mask->pixels[at];
            uint8_t *old = image->pixels + at * n;
            for (int32_t c = 0; c < 3 && m; c++)
                old[c] = (uint8_t)((new[c] * m + old[c] * (255 - m) + 127) / 255);
        }
}

sdiff_status sdi_mask_paste(const sdi_env *env, sdi_image *image, const sdi_image *patch,
                            const sdi_rect *area, const sdi_image *mask)
{
    sdi_image *sized = NULL, *colours = NULL;
    SDI_TRY(check_mask(env, mask));
    if (image->channels < 3 || mask->width != image->width || mask->height != image->height ||
        !sdi_rect_is_inside(area, image))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "an area of %d x %d at (%d, %d) and a mask of %d x %d do not fit a picture "
                        "of %d x %d with %d channels (3 or 4 are needed)",
                        area->width, area->height, area->x, area->y, mask->width, mask->height,
                        image->width, image->height, image->channels);
    SDI_TRY(sdi_image_resize(env, patch, area->width, area->height, &sized));
    const sdiff_status status = sdi_image_convert(env, sized, 3, &colours);
    if (status == SDIFF_OK)
        mix(image, colours, area, mask);
    sdi_image_free(env, sized);
    sdi_image_free(env, colours);
    return status;
}
