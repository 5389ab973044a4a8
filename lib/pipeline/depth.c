/* SPDX-License-Identifier: MIT
 *
 * The depth map as StableDiffusionDepth2ImgPipeline of diffusers prepares it: bicubic to the
 * latents' size as PyTorch does it (Keys 1981 with a = -3/4, pixels outside repeated, no
 * antialiasing), then stretched to [-1, 1]. The original repository adds 0.001 to the range, so
 * that a flat map is -1 throughout; its maps range over hundreds, where the difference is
 * below 1e-5.
 */
#include "pipeline/depth.h"

#include <math.h>

sdiff_status sdi_depth_check(const sdi_env *env, const float *depth, int64_t height, int64_t width)
{
    for (int64_t i = 0; i < height * width; i++)
        if (!isfinite(depth[i]))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the depth map is %g at column %lld of row %lld: finite numbers are "
                            "needed",
                            depth[i], (long long)(i % width), (long long)(i / width));
    return SDIFF_OK;
}

/* Four neighbours of a result and their weights. */
typedef struct taps {
    int64_t at[4];
    float weight[4];
} taps;

static float cubic(float x)
{
    const float a = -0.75f;
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((x - 5) * x + 8) * x * a - 4 * a;
}

static taps taps_at(int64_t i, int64_t size, int64_t results)
{
    taps t;
    const float source = ((float)i + 0.5f) * ((float)size / (float)results) - 0.5f;
    const float first = floorf(source), part = source - first;
    for (int64_t k = 0; k < 4; k++) {
        t.at[k] = SDI_MIN(SDI_MAX((int64_t)first + k - 1, 0), size - 1);
        t.weight[k] = cubic(fabsf((float)(k - 1) - part));
    }
    return t;
}

static void resize(const float *depth, int64_t height, int64_t width, int64_t h, int64_t w,
                   float *out)
{
    for (int64_t y = 0; y < h; y++) {
        const taps rows = taps_at(y, height, h);
        for (int64_t x = 0; x < w; x++) {
            const taps columns = taps_at(x, width, w);
            float sum = 0;
            for (int i = 0; i < 4; i++) {
                const float *row = depth + rows.at[i] * width;
                float line = 0;
                for (int k = 0; k < 4; k++)
                    line += columns.weight[k] * row[columns.at[k]];
                sum += rows.weight[i] * line;
            }
            out[y * w + x] = sum;
        }
    }
}

void sdi_depth_to_latents(const float *depth, int64_t height, int64_t width, int64_t h, int64_t w,
                          float *out)
{
    resize(depth, height, width, h, w, out);
    float low = out[0], high = out[0];
    for (int64_t i = 1; i < h * w; i++) {
        low = SDI_MIN(low, out[i]);
        high = SDI_MAX(high, out[i]);
    }
    for (int64_t i = 0; i < h * w; i++)
        out[i] = high > low ? 2 * (out[i] - low) / (high - low) - 1 : -1;
}
