/* SPDX-License-Identifier: MIT
 *
 * Emphasis on hidden states: A1111's sd_emphasis.py and ComfyUI's weight interpolation.
 */
#include "text/emphasis.h"

#include <stddef.h>

static double mean(const float *z, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += z[i];
    return sum / (double)count;
}

static void scale(float *z, size_t count, float by)
{
    for (size_t i = 0; i < count; i++)
        z[i] *= by;
}

static void multiply(float *z, const float *multipliers, int32_t tokens, int32_t width)
{
    for (int32_t t = 0; t < tokens; t++)
        scale(z + (size_t)t * (size_t)width, (size_t)width, multipliers[t]);
}

/* The restored mean is that of all states of the chunk. It may pass zero, where the original
 * divides by it; the states stay as they are then. */
static void multiply_keeping_mean(float *z, const float *multipliers, int32_t tokens, int32_t width)
{
    const size_t count = (size_t)tokens * (size_t)width;
    const double before = mean(z, count);
    multiply(z, multipliers, tokens, width);
    const double after = mean(z, count);
    if (after != 0)
        scale(z, count, (float)(before / after));
}

static void interpolate(float *z, const float *multipliers, const float *empty, int32_t tokens,
                        int32_t width)
{
    for (int32_t t = 0; t < tokens; t++) {
        const size_t row = (size_t)t * (size_t)width;
        for (int32_t i = 0; multipliers[t] != 1 && i < width; i++) {
            const float base = empty[row + (size_t)i];
            z[row + (size_t)i] = base + (z[row + (size_t)i] - base) * multipliers[t];
        }
    }
}

void sdi_emphasis_apply(sdi_emphasis mode, float *z, const float *multipliers, const float *empty,
                        int32_t chunks, int32_t tokens, int32_t width)
{
    for (int32_t c = 0; c < chunks; c++) {
        switch (mode) {
        case SDI_EMPHASIS_ORIGINAL: multiply_keeping_mean(z, multipliers, tokens, width); break;
        case SDI_EMPHASIS_NO_NORM: multiply(z, multipliers, tokens, width); break;
        case SDI_EMPHASIS_INTERPOLATE: interpolate(z, multipliers, empty, tokens, width); break;
        case SDI_EMPHASIS_IGNORE: break;
        }
        z += (size_t)tokens * (size_t)width;
        multipliers += tokens;
    }
}
