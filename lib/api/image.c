/* SPDX-License-Identifier: MIT
 *
 * sdiff_image: pixels and PNG files.
 */
#include "api/handle.h"

#include "io/source.h"

#include <string.h>

sdiff_status sdi_image_wrap(const sdi_env *env, sdiff_context *context, sdi_image *image,
                            sdiff_image **out)
{
    sdiff_image *handle = sdi_zalloc(env, 1, sizeof *handle);
    if (!handle) {
        sdi_image_free(env, image);
        return SDIFF_ERROR_NO_MEMORY;
    }
    handle->context = sdi_context_ref(context);
    handle->image = image;
    *out = handle;
    return SDIFF_OK;
}

int sdi_image_begin(sdiff_context *context, const void *needed, sdiff_image **out)
{
    if (out)
        *out = NULL;
    if (!context || !needed || !out) {
        sdi_null_argument(context ? &context->error : NULL, "what is read, or where it goes to");
        return 0;
    }
    sdi_error_clear(&context->error);
    return 1;
}

sdiff_status sdiff_image_new(sdiff_context *context, int32_t width, int32_t height,
                             int32_t channels, const uint8_t *pixels, sdiff_image **image)
{
    if (!sdi_image_begin(context, context, image))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_image_new(&env, width, height, channels, pixels, &made));
    return sdi_image_wrap(&env, context, made, image);
}

sdiff_status sdiff_image_load_png_memory(sdiff_context *context, const void *bytes, size_t size,
                                         sdiff_image **image)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, bytes, image))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_png_read(&env, "memory", bytes, size, &made));
    return sdi_image_wrap(&env, context, made, image);
}

sdiff_status sdiff_image_load_png(sdiff_context *context, const char *path, sdiff_image **image)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, path, image))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_source *source = NULL;
    sdi_image *made = NULL;
    SDI_TRY(sdi_source_open_path(&env, path, &source));
    const sdiff_status status = sdi_png_read(&env, path, sdi_source_bytes(source),
                                             (size_t)sdi_source_size(source), &made);
    sdi_source_unref(&env, source);
    SDI_TRY(status);
    return sdi_image_wrap(&env, context, made, image);
}

sdiff_status sdiff_image_save_png(sdiff_context *context, const sdiff_image *image,
                                  const char *path, const char *const *text)
{
    SDI_OWN_FLOAT_MODE;
    if (!context || !image || !path)
        return sdi_null_argument(context ? &context->error : NULL, "image or path");
    const sdi_env env = sdi_context_env(context);
    sdi_error_clear(&context->error);
    return sdi_png_write(&env, image->image, path, text);
}

void sdiff_image_free(sdiff_image *image)
{
    if (!image)
        return;
    sdiff_context *context = image->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_image_free(&env, image->image);
    sdi_free(&env, image);
    sdiff_context_free(context);
}

int32_t sdiff_image_width(const sdiff_image *image)
{
    return image ? image->image->width : 0;
}

int32_t sdiff_image_height(const sdiff_image *image)
{
    return image ? image->image->height : 0;
}

int32_t sdiff_image_channels(const sdiff_image *image)
{
    return image ? image->image->channels : 0;
}

uint8_t *sdiff_image_pixels(sdiff_image *image)
{
    return image ? image->image->pixels : NULL;
}

const char *sdiff_image_text(const sdiff_image *image, const char *keyword)
{
    for (int32_t i = 0; image && keyword && i < image->image->text_count; i++)
        if (strcmp(image->image->text[2 * i], keyword) == 0)
            return image->image->text[2 * i + 1];
    return NULL;
}

sdiff_status sdiff_image_resize(sdiff_context *context, const sdiff_image *image, int32_t width,
                                int32_t height, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, image, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_image_resize(&env, image->image, width, height, &made));
    return sdi_image_wrap(&env, context, made, out);
}

sdiff_status sdiff_image_crop(sdiff_context *context, const sdiff_image *image,
                              const sdiff_rect *area, sdiff_image **out)
{
    if (!sdi_image_begin(context, image, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    if (!area)
        return sdi_null_argument(&context->error, "area");
    const sdi_env env = sdi_context_env(context);
    const sdi_rect part = {area->x, area->y, area->width, area->height};
    sdi_image *made = NULL;
    SDI_TRY(sdi_image_crop(&env, image->image, &part, &made));
    return sdi_image_wrap(&env, context, made, out);
}

sdiff_status sdiff_image_convert(sdiff_context *context, const sdiff_image *image,
                                 int32_t channels, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, image, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_image_convert(&env, image->image, channels, &made));
    return sdi_image_wrap(&env, context, made, out);
}

static sdiff_status to_planes(sdiff_context *context, const sdiff_image *image, int32_t width,
                              int32_t height, int32_t fit, int32_t channels, float *planes,
                              float *alpha)
{
    if (!context || !image || !planes)
        return sdi_null_argument(context ? &context->error : NULL, "image or planes");
    const sdi_env env = sdi_context_env(context);
    sdi_error_clear(&context->error);
    if (fit != SDIFF_FIT_CROP && fit != SDIFF_FIT_STRETCH)
        return sdi_fail(&env, SDIFF_ERROR_INVALID_ARGUMENT, "fit %d: %d to %d is possible", fit,
                        SDIFF_FIT_CROP, SDIFF_FIT_STRETCH);
    return sdi_image_to_planes(&env, image->image, width, height, fit == SDIFF_FIT_CROP, channels,
                               planes, alpha);
}

sdiff_status sdiff_image_to_planes(sdiff_context *context, const sdiff_image *image, int32_t width,
                                   int32_t height, int32_t fit, float *planes, float *alpha)
{
    SDI_OWN_FLOAT_MODE;
    return to_planes(context, image, width, height, fit, 3, planes, alpha);
}

sdiff_status sdiff_image_to_plane(sdiff_context *context, const sdiff_image *image, int32_t width,
                                  int32_t height, int32_t fit, float *plane)
{
    SDI_OWN_FLOAT_MODE;
    return to_planes(context, image, width, height, fit, 1, plane, NULL);
}
