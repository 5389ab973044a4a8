/* SPDX-License-Identifier: MIT
 *
 * sdiff_hint_*: pictures for ControlNets.
 */
#include "api/handle.h"

#include "image/hint.h"
#include "pipeline/pose_read.h"

sdiff_status sdiff_hint_canny(sdiff_context *context, const sdiff_image *image, double blur,
                              double low, double high, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, image, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_hint_canny(&env, image->image, blur, low, high, &made));
    return sdi_image_wrap(&env, context, made, out);
}

sdiff_status sdiff_hint_scribble(sdiff_context *context, const sdiff_image *image,
                                 int32_t threshold, int32_t invert, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, image, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_hint_scribble(&env, image->image, threshold, invert, &made));
    return sdi_image_wrap(&env, context, made, out);
}

sdiff_status sdiff_hint_depth(sdiff_context *context, const float *map, int32_t map_width,
                              int32_t map_height, int32_t width, int32_t height, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, map, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_image *made = NULL;
    SDI_TRY(sdi_hint_depth(&env, map, map_width, map_height, width, height, &made));
    return sdi_image_wrap(&env, context, made, out);
}

sdiff_status sdiff_hint_pose(sdiff_context *context, const char *json, size_t size, int32_t width,
                             int32_t height, sdiff_image **out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sdi_image_begin(context, json, out))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_context_env(context);
    sdi_pose *poses = NULL;
    int32_t count = 0;
    sdi_image *made = NULL;
    SDI_TRY(sdi_pose_read(&env, "pose", json, size, width, height, &poses, &count));
    const sdiff_status status = sdi_pose_draw(&env, poses, count, width, height, &made);
    sdi_free(&env, poses);
    return status == SDIFF_OK ? sdi_image_wrap(&env, context, made, out) : status;
}
