/* SPDX-License-Identifier: MIT
 *
 * Resizing by a separable filter: Catmull-Rom (Keys 1981, a = -1/2) between pixels when a side
 * grows, the same kernel stretched over all covered pixels when it shrinks, so that nothing is
 * skipped. Colours are multiplied by alpha meanwhile: invisible colours do not bleed.
 */
#include "image/image.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

static double catmull_rom(double x)
{
    x = fabs(x);
    if (x < 1)
        return 1 + x * x * (1.5 * x - 2.5);
    return x < 2 ? 2 + x * (-4 + x * (2.5 - 0.5 * x)) : 0;
}

/* The source positions that make one output position, and their weights, which sum to 1. */
typedef struct taps {
    int32_t first, count;
    float *weights;
} taps;

static void make_taps(int32_t in, int32_t out, int32_t at, taps *t)
{
    const double ratio = (double)in / out, stretch = ratio > 1 ? ratio : 1;
    const double centre = (at + 0.5) * ratio - 0.5;
    const int32_t first = (int32_t)ceil(centre - 2 * stretch);
    const int32_t last = (int32_t)floor(centre + 2 * stretch);
    double sum = 0;
    t->first = SDI_MAX(first, 0);
    t->count = SDI_MIN(last, in - 1) - t->first + 1;
    for (int32_t i = 0; i < t->count; i++)
        sum += catmull_rom((t->first + i - centre) / stretch);
    for (int32_t i = 0; i < t->count; i++)
        t->weights[i] = (float)(catmull_rom((t->first + i - centre) / stretch) / sum);
}

/* Resizes along one axis: `lines` lines of `in` pixels that lie `step` floats apart. */
static sdiff_status resize_axis(const sdi_env *env, const float *src, float *dst, int64_t lines,
                                int64_t src_line, int64_t dst_line, int32_t in, int32_t out,
                                int64_t step, int32_t channels)
{
    const double stretch = in > out ? (double)in / out : 1;
    taps t = {.weights = sdi_alloc(env, (uint64_t)(4 * stretch) + 4, sizeof(float))};
    if (!t.weights)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t at = 0; at < out; at++) {
        make_taps(in, out, at, &t);
        for (int64_t line = 0; line < lines; line++)
            for (int32_t c = 0; c < channels; c++) {
                const float *from = src + line * src_line + t.first * step + c;
                float sum = 0;
                for (int32_t i = 0; i < t.count; i++)
                    sum += t.weights[i] * from[i * step];
                dst[line * dst_line + at * step + c] = sum;
            }
    }
    sdi_free(env, t.weights);
    return SDIFF_OK;
}

static void to_floats(const sdi_image *image, float *out)
{
    const int64_t count = (int64_t)image->width * image->height;
    const int32_t n = image->channels;
    for (int64_t p = 0; p < count; p++)
        for (int32_t c = 0; c < n; c++) {
            const float alpha = n == 4 && c < 3 ? image->pixels[4 * p + 3] / 255.0f : 1;
            out[n * p + c] = image->pixels[n * p + c] * alpha;
        }
}

static uint8_t to_byte(float x)
{
    return x > 0 ? (uint8_t)(x < 255 ? x + 0.5f : 255) : 0;
}

static void from_floats(const float *in, sdi_image *image)
{
    const int64_t count = (int64_t)image->width * image->height;
    const int32_t n = image->channels;
    for (int64_t p = 0; p < count; p++)
        for (int32_t c = 0; c < n; c++) {
            const float alpha = n == 4 && c < 3 ? in[4 * p + 3] / 255.0f : 1;
            image->pixels[n * p + c] = alpha > 0 ? to_byte(in[n * p + c] / alpha) : 0;
        }
}

static sdiff_status resize_floats(const sdi_env *env, const sdi_image *image, sdi_image *out)
{
    const int32_t n = image->channels;
    const uint64_t h = (uint64_t)image->height, w = (uint64_t)image->width;
    const uint64_t whole = h * w, wide = h * (uint64_t)out->width;
    const uint64_t result = (uint64_t)out->width * (uint64_t)out->height;
    float *a = sdi_alloc(env, SDI_MAX(whole, result), (uint64_t)n * sizeof *a);
    float *b = sdi_alloc(env, wide, (uint64_t)n * sizeof *b);
    sdiff_status status = a && b ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK) {
        to_floats(image, a);
        status = resize_axis(env, a, b, image->height, (int64_t)image->width * n,
                             (int64_t)out->width * n, image->width, out->width, n, n);
    }
    if (status == SDIFF_OK)
        status = resize_axis(env, b, a, out->width, n, n, image->height, out->height,
                             (int64_t)out->width * n, n);
    if (status == SDIFF_OK)
        from_floats(a, out);
    sdi_free(env, a);
    sdi_free(env, b);
    return status;
}

sdiff_status sdi_image_resize(const sdi_env *env, const sdi_image *image, int32_t width,
                              int32_t height, sdi_image **out)
{
    sdi_image *made = NULL;
    *out = NULL;
    SDI_TRY(sdi_image_new(env, width, height, image->channels, NULL, &made));
    const sdiff_status status = resize_floats(env, image, made);
    if (status == SDIFF_OK)
        *out = made;
    else
        sdi_image_free(env, made);
    return status;
}
