/* SPDX-License-Identifier: MIT
 *
 * Images: 8-bit pixels in memory, PNG files.
 */
#ifndef STABLEDIFF_IMAGE_H
#define STABLEDIFF_IMAGE_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Opaque: width x height pixels of 1 (gray), 3 (RGB) or 4 (RGBA) bytes, rows from the top. */
typedef struct sdiff_image sdiff_image;

/** The largest width and height of an image. */
#define SDIFF_IMAGE_MAX_SIDE 16384

/**
 * A new image, zero-filled or copied from `pixels`.
 * @param width, height 1 … SDIFF_IMAGE_MAX_SIDE
 * @param channels      1, 3 or 4
 * @param pixels        width * height * channels bytes without row padding; NULL: all zero
 * @param image         receives the handle, to be freed with sdiff_image_free()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_new(sdiff_context *context, int32_t width, int32_t height,
                                       int32_t channels, const uint8_t *pixels,
                                       sdiff_image **image);

/**
 * Reads a PNG of any colour type and bit depth as 8 bits of gray, RGB or RGBA (16-bit samples are
 * scaled, palettes expanded).
 * @return SDIFF_OK, IO (cannot be read), FORMAT (damaged or no PNG), LIMIT (larger than
 *         SDIFF_IMAGE_MAX_SIDE), NO_MEMORY
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_load_png(sdiff_context *context, const char *path,
                                            sdiff_image **image);

/** The same from memory. @since 1.0 */
SDIFF_API sdiff_status sdiff_image_load_png_memory(sdiff_context *context, const void *bytes,
                                                   size_t size, sdiff_image **image);

/**
 * Writes a PNG under a temporary name beside `path`, then renames it: a full disk never leaves half
 * a file.
 * @param text  pairs of keyword and UTF-8 text, ended by NULL: {"parameters", "a cat…", NULL};
 *              NULL: none. Latin-1 texts become tEXt chunks, others iTXt.
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_save_png(sdiff_context *context, const sdiff_image *image,
                                            const char *path, const char *const *text);

/** Frees an image; NULL is ignored. @since 1.0 */
SDIFF_API void sdiff_image_free(sdiff_image *image);

SDIFF_API int32_t sdiff_image_width(const sdiff_image *image);    /**< pixels @since 1.0 */
SDIFF_API int32_t sdiff_image_height(const sdiff_image *image);   /**< pixels @since 1.0 */
SDIFF_API int32_t sdiff_image_channels(const sdiff_image *image); /**< 1, 3 or 4 @since 1.0 */

/** The pixels, writable, width * height * channels bytes, owned by the image. @since 1.0 */
SDIFF_API uint8_t *sdiff_image_pixels(sdiff_image *image);

/**
 * The text that a loaded PNG held under a keyword (tEXt, zTXt, iTXt), e.g. "parameters".
 * @return UTF-8, owned by the image; NULL where there is none
 * @since 1.0
 */
SDIFF_API const char *sdiff_image_text(const sdiff_image *image, const char *keyword);

/**
 * A resized copy (Catmull-Rom; stretched over all covered pixels where a side shrinks).
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_resize(sdiff_context *context, const sdiff_image *image,
                                          int32_t width, int32_t height, sdiff_image **out);

/** A part of an image, in pixels from the upper left corner. */
typedef struct sdiff_rect {
    int32_t x, y, width, height;
} sdiff_rect;

/** A copy of a part, which has to be inside of the image. @since 1.0 */
SDIFF_API sdiff_status sdiff_image_crop(sdiff_context *context, const sdiff_image *image,
                                        const sdiff_rect *area, sdiff_image **out);

/**
 * A copy with 1, 3 or 4 channels. Transparent pixels are composed over white for RGB and over black
 * for gray (so that they do not mark anything in a mask).
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_convert(sdiff_context *context, const sdiff_image *image,
                                           int32_t channels, sdiff_image **out);

/** How an image is brought to other proportions. */
typedef enum sdiff_fit {
    SDIFF_FIT_CROP = 0,    /**< what does not fit is cut off on both sides */
    SDIFF_FIT_STRETCH = 1, /**< all is kept, distorted */
    SDIFF_FIT_FORCE_INT32 = 0x7fffffff
} sdiff_fit;

/**
 * A picture as sdiff_pipeline_generate() takes it: any number of channels, transparent pixels
 * composed over white, resized as by sdiff_image_resize() unless it has the size already.
 * @param fit    sdiff_fit
 * @param planes receives RGB [3, height, width] in [0, 1]; 8-bit values come back unchanged
 * @param alpha  receives the opacity [height, width] in [0, 1]; may be NULL
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_to_planes(sdiff_context *context, const sdiff_image *image,
                                             int32_t width, int32_t height, int32_t fit,
                                             float *planes, float *alpha);

/**
 * The same for masks and depth maps: brightness, transparent pixels composed over black.
 * @param plane receives [height, width] in [0, 1]
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_image_to_plane(sdiff_context *context, const sdiff_image *image,
                                            int32_t width, int32_t height, int32_t fit,
                                            float *plane);

#ifdef __cplusplus
}
#endif
#endif
