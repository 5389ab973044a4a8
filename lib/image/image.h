/* SPDX-License-Identifier: MIT
 *
 * 8-bit images and PNG files (libpng, which is seen in this folder only).
 */
#ifndef SDI_IMAGE_IMAGE_H
#define SDI_IMAGE_IMAGE_H

#include "base/env.h"

enum { SDI_IMAGE_MAX_SIDE = 16384 };

typedef struct sdi_image {
    int32_t width, height, channels; // 1 gray, 3 RGB, 4 RGBA
    uint8_t *pixels;                 // rows from the top, no padding
    char **text;                     // key, value, … of a PNG's text chunks, UTF-8
    int32_t text_count;              // pairs
} sdi_image;

/* pixels NULL: zero-filled. */
sdiff_status sdi_image_new(const sdi_env *env, int32_t width, int32_t height, int32_t channels,
                           const uint8_t *pixels, sdi_image **out);
void sdi_image_free(const sdi_env *env, sdi_image *image); // NULL is allowed
/* Rounds planes [3, height, width] in [0, 1] to RGB. */
sdiff_status sdi_image_from_planes(const sdi_env *env, const float *planes, int32_t width,
                                   int32_t height, sdi_image **out);


typedef struct sdi_rect {
    int32_t x, y, width, height; // pixels from the upper left corner
} sdi_rect;

int sdi_rect_is_inside(const sdi_rect *r, const sdi_image *image);
sdiff_status sdi_image_crop(const sdi_env *env, const sdi_image *image, const sdi_rect *area,
                            sdi_image **out);
/* To 1, 3 or 4 channels: alpha is composed over black for gray, over white for RGB. */
sdiff_status sdi_image_convert(const sdi_env *env, const sdi_image *image, int32_t channels,
                               sdi_image **out);
/* Planes [channels, height, width] in [0, 1] of 1 or 3 channels, by sdi_image_resize; `crop` cuts
 * off what the proportions do not fit, else the image is stretched. alpha [height, width] may be
 * NULL. */
sdiff_status sdi_image_to_planes(const sdi_env *env, const sdi_image *image, int32_t width,
                                 int32_t height, int crop, int32_t channels, float *planes,
                                 float *alpha);

/* Any colour type and depth; `name` is for errors. */
sdiff_status sdi_png_read(const sdi_env *env, const char *name, const void *bytes, size_t size,
                          sdi_image **out);
/* To a temporary name beside path, then renamed. text: key, value, …, NULL; may be NULL. */
sdiff_status sdi_png_write(const sdi_env *env, const sdi_image *image, const char *path,
                           const char *const *text);

/* Catmull-Rom, stretched where a side shrinks; alpha is premultiplied meanwhile. */
sdiff_status sdi_image_resize(const sdi_env *env, const sdi_image *image, int32_t width,
                              int32_t height, sdi_image **out);

#endif
