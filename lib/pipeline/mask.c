/* SPDX-License-Identifier: MIT
 *
 * Inpainting masks. What the U-Net sees is binarised at 1/2 and resized as StableDiffusionInpaint-
 * Pipeline of diffusers and the original's inpainting script do; the soft edge serves the mixture
 * of the pictures.
 */
#include "pipeline/mask.h"

static int is_marked(float mask)
{
    return mask >= 0.5f;
}

sdiff_status sdi_mask_check(const sdi_env *env, const float *mask, int64_t height, int64_t width)
{
    int64_t marked = 0;
    for (int64_t i = 0; i < height * width; i++) {
        if (!(mask[i] >= 0 && mask[i] <= 1))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the mask is %g at column %lld of row %lld: 0 (keep) to 1 (make anew) "
                            "is needed",
                            mask[i], (long long)(i % width), (long long)(i / width));
        marked += is_marked(mask[i]);
    }
    if (!marked)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "the mask marks nothing to make anew: no pixel is 0.5 or more");
    return SDIFF_OK;
}

sdiff_status sdi_mask_to_latents(const sdi_env *env, const float *mask, int64_t height,
                                 int64_t width, int64_t h, int64_t w, float *out)
{
    int64_t marked = 0;
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            const int hit = is_marked(mask[y * height / h * width + x * width / w]);
            out[y * w + x] = (float)hit;
            marked += hit;
        }
    if (!marked)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "the marked area of the mask is lost at the %lld x %lld latents that the "
                        "model works on: widen it",
                        (long long)w, (long long)h);
    return SDIFF_OK;
}

void sdi_mask_hide(const float *picture, const float *mask, int64_t pixels, float *out)
{
    for (int64_t i = 0; i < 3 * pixels; i++)
        out[i] = is_marked(mask[i % pixels]) ? 0.5f : picture[i];
}

void sdi_mask_put_back(const float *picture, const float *mask, int64_t pixels, float *made)
{
    for (int64_t i = 0; i < 3 * pixels; i++) {
        const float m = mask[i % pixels];
        if (m < 1)
            made[i] = m > 0 ? picture[i] + m * (made[i] - picture[i]) : picture[i];
    }
}
