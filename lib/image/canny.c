/* SPDX-License-Identifier: MIT
 *
 * Edges (Canny, A computational approach to edge detection, 1986), as OpenCV's Canny() finds them
 * on 8-bit pictures, which is what edge ControlNets were trained on:
 *
 *   [Gaussian] -> Sobel 3x3 of each colour -> |dx| + |dy| of the colour where it is largest ->
 *   only local maxima along the gradient -> those above the high threshold, and what hangs
 *   together with them above the low one
 */
#include "image/hint.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

typedef struct edges {
    const sdi_env *env;
    int32_t width, height, channels;
    float *pixels;    // [channels, height, width]
    float *gradient;  // [2, height, width]: dx, dy
    float *magnitude; // [height, width]
    uint8_t *state;   // [height, width]
    int32_t *stack;   // edges whose neighbours have not been looked at
} edges;

enum { NOTHING = 0, WEAK, STRONG };

static sdiff_status allocate(edges *e)
{
    const uint64_t count = (uint64_t)e->width * (uint64_t)e->height;
    e->pixels = sdi_alloc(e->env, count, (uint64_t)e->channels * sizeof(float));
    e->gradient = sdi_alloc(e->env, count, 2 * sizeof(float));
    e->magnitude = sdi_alloc(e->env, count, sizeof(float));
    e->state = sdi_zalloc(e->env, count, 1);
    e->stack = sdi_alloc(e->env, count, sizeof(int32_t));
    return e->pixels && e->gradient && e->magnitude && e->state && e->stack
               ? SDIFF_OK
               : SDIFF_ERROR_NO_MEMORY;
}

static void release(edges *e)
{
    sdi_free(e->env, e->pixels);
    sdi_free(e->env, e->gradient);
    sdi_free(e->env, e->magnitude);
    sdi_free(e->env, e->state);
    sdi_free(e->env, e->stack);
}

/* Colours as numbers, transparent pixels as on white paper. */
static void take_pixels(edges *e, const sdi_image *image)
{
    const int64_t count = (int64_t)e->width * e->height;
    const int32_t n = image->channels;
    for (int64_t p = 0; p < count; p++)
        for (int32_t c = 0; c < e->channels; c++) {
            const float x = image->pixels[n * p + c];
            const float alpha = n == 4 ? (float)image->pixels[4 * p + 3] / 255 : 1;
            e->pixels[c * count + p] = roundf(x * alpha + 255 * (1 - alpha));
        }
}

/* ---- gradient -------------------------------------------------------------------------------- */

static int32_t clamp(int32_t x, int32_t size)
{
    return x < 0 ? 0 : x < size ? x : size - 1;
}

/* Borders repeat the outermost pixels. */
static float at(const edges *e, int32_t channel, int32_t y, int32_t x)
{
    return e->pixels[((int64_t)channel * e->height + clamp(y, e->height)) * e->width +
                     clamp(x, e->width)];
}

static void sobel(const edges *e, int32_t c, int32_t y, int32_t x, float *dx, float *dy)
{
    const float tl = at(e, c, y - 1, x - 1), tr = at(e, c, y - 1, x + 1);
    const float bl = at(e, c, y + 1, x - 1), br = at(e, c, y + 1, x + 1);
    *dx = tr + 2 * at(e, c, y, x + 1) + br - tl - 2 * at(e, c, y, x - 1) - bl;
    *dy = bl + 2 * at(e, c, y + 1, x) + br - tl - 2 * at(e, c, y - 1, x) - tr;
}

static void find_gradient(edges *e)
{
    const int64_t count = (int64_t)e->width * e->height;
    for (int32_t y = 0; y < e->height; y++)
        for (int32_t x = 0; x < e->width; x++) {
            const int64_t p = (int64_t)y * e->width + x;
            e->magnitude[p] = -1;
            for (int32_t c = 0; c < e->channels; c++) {
                float dx, dy;
                sobel(e, c, y, x, &dx, &dy);
                if (fabsf(dx) + fabsf(dy) <= e->magnitude[p])
                    continue;
                e->magnitude[p] = fabsf(dx) + fabsf(dy);
                e->gradient[p] = dx;
                e->gradient[count + p] = dy;
            }
        }
}

/* ---- local maxima ---------------------------------------------------------------------------- */

static float magnitude_at(const edges *e, int32_t y, int32_t x)
{
    const int inside = y >= 0 && x >= 0 && y < e->height && x < e->width;
    return inside ? e->magnitude[(int64_t)y * e->width + x] : 0;
}

/* Compared with the two neighbours in the gradient's direction, of four. Of two equal ones side by
 * side the later stays. */
static int is_maximum(const edges *e, int32_t y, int32_t x)
{
    const int64_t p = (int64_t)y * e->width + x;
    const double tangent = 0.4142135623730951; // of 22.5 degrees
    const float m = e->magnitude[p];
    const float dx = e->gradient[p], dy = e->gradient[(int64_t)e->width * e->height + p];
    const double across = fabs((double)dx), down = fabs((double)dy);
    if (down < tangent * across)
        return m > magnitude_at(e, y, x - 1) && m >= magnitude_at(e, y, x + 1);
    if (down > (tangent + 2) * across)
        return m > magnitude_at(e, y - 1, x) && m >= magnitude_at(e, y + 1, x);
    const int32_t side = (dx < 0) != (dy < 0) ? -1 : 1;
    return m > magnitude_at(e, y - 1, x - side) && m > magnitude_at(e, y + 1, x + side);
}

/* ---- hysteresis ------------------------------------------------------------------------------ */

static int64_t mark_maxima(edges *e, double low, double high)
{
    int64_t count = 0;
    for (int32_t y = 0; y < e->height; y++)
        for (int32_t x = 0; x < e->width; x++) {
            const int32_t p = y * e->width + x;
            if (!(e->magnitude[p] > low) || !is_maximum(e, y, x))
                continue;
            e->state[p] = e->magnitude[p] > high ? STRONG : WEAK;
            if (e->state[p] == STRONG)
                e->stack[count++] = p;
        }
    return count;
}

static void follow(edges *e, int64_t count)
{
    while (count > 0) {
        const int32_t p = e->stack[--count], y = p / e->width, x = p % e->width;
        for (int32_t v = SDI_MAX(y - 1, 0); v <= SDI_MIN(y + 1, e->height - 1); v++)
            for (int32_t u = SDI_MAX(x - 1, 0); u <= SDI_MIN(x + 1, e->width - 1); u++) {
                const int32_t q = v * e->width + u;
                if (e->state[q] != WEAK)
                    continue;
                e->state[q] = STRONG;
                e->stack[count++] = q;
            }
    }
}

/* ---- together -------------------------------------------------------------------------------- */

/* A separable Gaussian; the gradient's arrays serve as scratch. */
static void blur(edges *e, double sigma)
{
    enum { MOST = 32 };
    const int32_t radius = SDI_MIN((int32_t)ceil(3 * sigma), MOST);
    float weights[2 * MOST + 1];
    double sum = 0;
    for (int32_t i = -radius; i <= radius; i++)
        sum += exp(-i * i / (2 * sigma * sigma));
    for (int32_t i = -radius; i <= radius; i++)
        weights[i + radius] = (float)(exp(-i * i / (2 * sigma * sigma)) / sum);
    for (int32_t c = 0; c < e->channels; c++)
        for (int32_t way = 0; way < 2; way++) {
            float *plane = e->pixels + (int64_t)c * e->height * e->width;
            for (int32_t y = 0; y < e->height; y++)
                for (int32_t x = 0; x < e->width; x++) {
                    float value = 0;
                    for (int32_t i = -radius; i <= radius; i++)
                        value += weights[i + radius] *
                                 at(e, c, way ? y + i : y, way ? x : x + i);
                    e->gradient[(int64_t)y * e->width + x] = value;
                }
            memcpy(plane, e->gradient, (size_t)e->width * (size_t)e->height * sizeof *plane);
        }
}

sdiff_status sdi_hint_canny(const sdi_env *env, const sdi_image *image, double sigma, double low,
                            double high, sdi_image **out)
{
    edges e = {.env = env, .width = image->width, .height = image->height,
               .channels = image->channels == 1 ? 1 : 3};
    *out = NULL;
    if (!(low >= 0 && high >= 0 && isfinite(low) && isfinite(high)) ||
        !(sigma >= 0 && sigma <= 10))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "Canny edges with the thresholds %g and %g and a blur of %g are not "
                        "possible: numbers from 0 on, blur up to 10", low, high, sigma);
    sdiff_status status = allocate(&e);
    if (status == SDIFF_OK)
        status = sdi_image_new(env, image->width, image->height, 3, NULL, out);
    if (status == SDIFF_OK) {
        take_pixels(&e, image);
        if (sigma > 0)
            blur(&e, sigma);
        find_gradient(&e);
        follow(&e, mark_maxima(&e, SDI_MIN(low, high), SDI_MAX(low, high)));
        for (int64_t p = 0; p < (int64_t)e.width * e.height; p++)
            memset((*out)->pixels + 3 * p, e.state[p] == STRONG ? 255 : 0, 3);
    }
    release(&e);
    return status;
}
