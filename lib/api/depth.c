/* SPDX-License-Identifier: MIT
 *
 * sdiff_depth: the depth estimator on its own.
 */
#include "api/handle.h"

#include "image/hint.h"
#include "pipeline/depth_estimate.h"

#include <string.h>

struct sdiff_depth {
    sdiff_context *context;
    sdi_error error;
    sdi_session session;
};

static sdiff_status new_handle(sdiff_context *context, const sdi_env *errors, sdi_model *model,
                               sdiff_depth **out)
{
    if (!sdi_model_weights(model, SDI_PART_DEPTH))
        return sdi_fail(errors, SDIFF_ERROR_UNSUPPORTED, "'%s' has no depth estimator",
                        sdi_model_name(model));
    sdiff_depth *depth = sdi_zalloc(errors, 1, sizeof *depth);
    if (!depth)
        return SDIFF_ERROR_NO_MEMORY;
    depth->context = sdi_context_ref(context);
    const sdi_env env = sdi_handle_env(context, &depth->error);
    sdi_session_init(&depth->session, &env, model, context->pool);
    *out = depth;
    return SDIFF_OK;
}

sdiff_status sdiff_depth_of_model(sdiff_model *model, sdiff_depth **depth)
{
    SDI_OWN_FLOAT_MODE;
    if (depth)
        *depth = NULL;
    if (!model || !depth)
        return sdi_null_argument(model ? &model->error : NULL, "depth");
    sdi_error_clear(&model->error);
    return new_handle(model->context, &model->env, model->model, depth);
}

sdiff_status sdiff_depth_open(sdiff_context *context, const char *path,
                              const sdiff_model_params *params, sdiff_depth **depth)
{
    SDI_OWN_FLOAT_MODE;
    sdi_model *model = NULL;
    if (depth)
        *depth = NULL;
    if (!context || !path || !depth)
        return sdi_null_argument(context ? &context->error : NULL, "path or depth");
    SDI_TRY(sdi_open_part(context, path, params, 1 << SDI_PART_DEPTH, &model));
    const sdi_env env = sdi_context_env(context);
    const sdiff_status status = new_handle(context, &env, model, depth);
    sdi_model_unref(model);
    return status;
}

void sdiff_depth_free(sdiff_depth *depth)
{
    if (!depth)
        return;
    sdiff_context *context = depth->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_session_free(&depth->session);
    sdi_free(&env, depth);
    sdiff_context_free(context);
}

static const sdi_model_config *config_of(const sdiff_depth *depth)
{
    return sdi_model_get_config(depth->session.model);
}

static int is_size(int32_t width, int32_t height)
{
    return width >= 1 && height >= 1 && width <= SDI_IMAGE_MAX_SIDE &&
           height <= SDI_IMAGE_MAX_SIDE;
}

sdiff_status sdiff_depth_size(const sdiff_depth *depth, int32_t width, int32_t height,
                              int32_t *map_width, int32_t *map_height)
{
    SDI_OWN_FLOAT_MODE;
    if (!depth || !map_width || !map_height || !is_size(width, height))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    int64_t h = 0, w = 0;
    sdi_depth_size(config_of(depth), height, width, &h, &w);
    *map_width = (int32_t)w;
    *map_height = (int32_t)h;
    return SDIFF_OK;
}

sdiff_status sdiff_depth_estimate(sdiff_depth *depth, const float *image, int32_t width,
                                  int32_t height, float *map)
{
    SDI_OWN_FLOAT_MODE;
    if (!depth || !image || !map)
        return sdi_null_argument(depth ? &depth->error : NULL, "image or map");
    sdi_error_clear(&depth->error);
    if (!is_size(width, height))
        return sdi_fail(&depth->session.env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a picture of %d x %d pixels is not possible", width, height);
    return sdi_depth_estimate(&depth->session, image, height, width, map);
}

sdiff_status sdiff_depth_image(sdiff_depth *depth, const float *planes, int32_t width,
                               int32_t height, sdiff_image **image)
{
    SDI_OWN_FLOAT_MODE;
    int32_t map_width = 0, map_height = 0;
    if (image)
        *image = NULL;
    if (!depth || !planes || !image)
        return sdi_null_argument(depth ? &depth->error : NULL, "planes or image");
    const sdi_env *env = &depth->session.env;
    sdi_error_clear(&depth->error);
    if (sdiff_depth_size(depth, width, height, &map_width, &map_height) != SDIFF_OK)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a picture of %d x %d pixels is not possible", width, height);
    float *map = sdi_alloc(env, (uint64_t)map_width * (uint64_t)map_height, sizeof *map);
    if (!map)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_image *made = NULL;
    sdiff_status status = sdi_depth_estimate(&depth->session, planes, height, width, map);
    if (status == SDIFF_OK)
        status = sdi_hint_depth(env, map, map_width, map_height, width, height, &made);
    sdi_free(env, map);
    return status == SDIFF_OK ? sdi_image_wrap(env, depth->context, made, image) : status;
}

const char *sdiff_depth_error(const sdiff_depth *depth)
{
    return depth ? depth->error.text : "";
}
