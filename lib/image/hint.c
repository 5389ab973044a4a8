/* SPDX-License-Identifier: MIT
 *
 * The simple hint pictures: depth as gray, strokes by a threshold.
 */
#include "image/hint.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ---- depth ----------------------------------------------------------------------------------- */

sdiff_status sdi_hint_depth(const sdi_env *env, const float *map, int32_t map_width,
                            int32_t map_height, int32_t width, int32_t height, sdi_image **out)
{
    sdi_image *gray = NULL;
    *out = NULL;
    SDI_TRY(sdi_image_new(env, map_width, map_height, 3, NULL, &gray));
    const int64_t count = (int64_t)map_width * map_height;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(map[i])) {
            sdi_image_free(env, gray);
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the depth map holds %g: finite numbers are needed", (double)map[i]);
        }
    float low = map[0], high = map[0];
    for (int64_t i = 1; i < count; i++) {
        low = SDI_MIN(low, map[i]);
        high = SDI_MAX(high, map[i]);
    }
    for (int64_t i = 0; i < count; i++) {
        const double part = high > low ? ((double)map[i] - low) / ((double)high - low) : 0;
        memset(gray->pixels + 3 * i, (int)(part * 255 + 0.5), 3);
    }
    if (width == map_width && height == map_height) {
        *out = gray;
        return SDIFF_OK;
    }
    const sdiff_status status = sdi_image_resize(env, gray, width, height, out);
    sdi_image_free(env, gray);
    return status;
}

/* ---- brightness ------------------------------------------------------------------------------ */

sdiff_status sdi_hint_gray(const sdi_env *env, const sdi_image *image, float **out)
{
    const int64_t count = (int64_t)image->width * image->height;
    const int32_t n = image->channels;
    float *gray = sdi_alloc(env, (uint64_t)count, sizeof *gray);
    *out = gray;
    if (!gray)
        return SDIFF_ERROR_NO_MEMORY;
    for (int64_t p = 0; p < count; p++) {
        const uint8_t *pixel = image->pixels + n * p;
        const double y = n == 1 ? pixel[0]
                                : 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        const double alpha = n == 4 ? pixel[3] / 255.0 : 1;
        gray[p] = (float)(y * alpha + 255 * (1 - alpha));
    }
    return SDIFF_OK;
}

/* ---- scribble -------------------------------------------------------------------------------- */

sdiff_status sdi_hint_scribble(const sdi_env *env, const sdi_image *image, int32_t threshold,
                               int invert, sdi_image **out)
{
    float *gray = NULL;
    sdi_image *made = NULL;
    *out = NULL;
    if (threshold < 0 || threshold > 255)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a threshold of %d is not possible, 0 to 255 are", threshold);
    SDI_TRY(sdi_hint_gray(env, image, &gray));
    const sdiff_status status =
        sdi_image_new(env, image->width, image->height, 3, NULL, &made);
    const int64_t count = (int64_t)image->width * image->height;
    for (int64_t p = 0; p < count && status == SDIFF_OK; p++) {
        const int bright = gray[p] >= (float)threshold;
        memset(made->pixels + 3 * p, bright != !!invert ? 255 : 0, 3);
    }
    sdi_free(env, gray);
    *out = made;
    return status;
}
