/* SPDX-License-Identifier: MIT
 *
 * sdiff_mask: edges, areas and pasting.
 */
#include "api/handle.h"

#include "image/mask.h"

/* The context's env for a call that tells its own errors. */
static sdi_env begin(sdiff_context *context)
{
    sdi_error_clear(&context->error);
    return sdi_context_env(context);
}

sdiff_status sdiff_mask_blur(sdiff_context *context, sdiff_image *mask, double radius)
{
    SDI_OWN_FLOAT_MODE;
    if (!context || !mask)
        return sdi_null_argument(context ? &context->error : NULL, "mask");
    const sdi_env env = begin(context);
    return sdi_mask_blur(&env, mask->image, radius);
}

sdiff_status sdiff_mask_grow(sdiff_context *context, sdiff_image *mask, int32_t pixels)
{
    SDI_OWN_FLOAT_MODE;
    if (!context || !mask)
        return sdi_null_argument(context ? &context->error : NULL, "mask");
    const sdi_env env = begin(context);
    return sdi_mask_grow(&env, mask->image, pixels);
}

sdiff_status sdiff_mask_area(sdiff_context *context, const sdiff_image *mask, int32_t padding,
                             int32_t width, int32_t height, sdiff_rect *area)
{
    SDI_OWN_FLOAT_MODE;
    if (!context || !mask || !area)
        return sdi_null_argument(context ? &context->error : NULL, "mask or area");
    const sdi_env env = begin(context);
    sdi_rect found;
    SDI_TRY(sdi_mask_area(&env, mask->image, padding, width, height, &found));
    *area = (sdiff_rect){found.x, found.y, found.width, found.height};
    return SDIFF_OK;
}

sdiff_status sdiff_mask_paste(sdiff_context *context, sdiff_image *image, const sdiff_image *patch,
                              const sdiff_rect *area, const sdiff_image *mask)
{
    SDI_OWN_FLOAT_MODE;
    if (!context || !image || !patch || !area || !mask)
        return sdi_null_argument(context ? &context->error : NULL, "image, patch, area or mask");
    const sdi_env env = begin(context);
    const sdi_rect at = {area->x, area->y, area->width, area->height};
    return sdi_mask_paste(&env, image->image, patch->image, &at, mask->image);
}
