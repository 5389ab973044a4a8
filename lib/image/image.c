/* SPDX-License-Identifier: MIT
 *
 * 8-bit images in memory.
 */
#include "image/image.h"

#include "base/memory.h"

#include <string.h>

sdiff_status sdi_image_new(const sdi_env *env, int32_t width, int32_t height, int32_t channels,
                           const uint8_t *pixels, sdi_image **out)
{
    *out = NULL;
    if (width < 1 || height < 1 || width > SDI_IMAGE_MAX_SIDE || height > SDI_IMAGE_MAX_SIDE ||
        (channels != 1 && channels != 3 && channels != 4))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a picture of %d x %d pixels of %d channels is not possible (sides up to "
                        "%d, 1, 3 or 4 channels)",
                        width, height, channels, SDI_IMAGE_MAX_SIDE);
    sdi_image *image = sdi_zalloc(env, 1, sizeof *image);
    if (!image)
        return SDIFF_ERROR_NO_MEMORY;
    const uint64_t bytes = (uint64_t)width * (uint64_t)height * (uint64_t)channels;
    image->width = width;
    image->height = height;
    image->channels = channels;
    image->pixels = pixels ? sdi_alloc(env, bytes, 1) : sdi_zalloc(env, bytes, 1);
    if (!image->pixels) {
        sdi_free(env, image);
        return SDIFF_ERROR_NO_MEMORY;
    }
    if (pixels)
        memcpy(image->pixels, pixels, (size_t)bytes);
    *out = image;
    return SDIFF_OK;
}

void sdi_image_free(const sdi_env *env, sdi_image *image)
{
    if (!image)
        return;
    for (int32_t i = 0; i < 2 * image->text_count; i++)
        sdi_free(env, image->text[i]);
    sdi_free(env, image->text);
    sdi_free(env, image->pixels);
    sdi_free(env, image);
}

sdiff_status sdi_image_from_planes(const sdi_env *env, const float *planes, int32_t width,
                                   int32_t height, sdi_image **out)
{
    SDI_TRY(sdi_image_new(env, width, height, 3, NULL, out));
    const int64_t count = (int64_t)width * height;
    for (int64_t p = 0; p < count; p++)
        for (int32_t c = 0; c < 3; c++)
            (*out)->pixels[3 * p + c] = (uint8_t)(planes[c * count + p] * 255 + 0.5f);
    return SDIFF_OK;
}
