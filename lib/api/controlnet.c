/* SPDX-License-Identifier: MIT
 *
 * sdiff_controlnet, and the ControlNets of a pipeline.
 */
#include "api/pipeline.h"

#include <string.h>

struct sdiff_controlnet {
    sdiff_context *context;
    sdi_model *model;
};

static const sdiff_control_params defaults = {.struct_size = sizeof defaults, .weight = 1,
                                              .end = 1};

void sdiff_control_params_init(sdiff_control_params *params, size_t struct_size)
{
    sdi_params_init(params, struct_size, &defaults, sizeof defaults);
}

sdiff_status sdiff_controlnet_open(sdiff_context *context, const char *path,
                                   const sdiff_model_params *params, sdiff_controlnet **controlnet)
{
    SDI_OWN_FLOAT_MODE;
    sdi_model *model = NULL;
    if (controlnet)
        *controlnet = NULL;
    if (!context || !path || !controlnet)
        return sdi_null_argument(context ? &context->error : NULL, "path or controlnet");
    SDI_TRY(sdi_open_part(context, path, params, 1 << SDI_PART_CONTROL, &model));
    const sdi_env env = sdi_context_env(context);
    sdiff_controlnet *handle = sdi_zalloc(&env, 1, sizeof *handle);
    sdiff_status status = handle ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    if (handle && !sdi_model_weights(model, SDI_PART_CONTROL))
        status = sdi_fail(&env, SDIFF_ERROR_UNSUPPORTED, "unsupported: '%s' is no ControlNet",
                          path);
    if (status != SDIFF_OK) {
        sdi_free(&env, handle);
        sdi_model_unref(model);
        return status;
    }
    handle->context = sdi_context_ref(context);
    handle->model = model;
    *controlnet = handle;
    return SDIFF_OK;
}

void sdiff_controlnet_free(sdiff_controlnet *controlnet)
{
    if (!controlnet)
        return;
    sdiff_context *context = controlnet->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_model_unref(controlnet->model);
    sdi_free(&env, controlnet);
    sdiff_context_free(context);
}

/* ---- of a pipeline --------------------------------------------------------------------------- */

/* The hint as planes of its own: NULL where there is no memory or no picture. */
static sdiff_status make_hint(const sdi_env *env, const sdiff_control_params *p, float **out,
                              int32_t *width, int32_t *height)
{
    const sdi_image *image = p->image ? p->image->image : NULL;
    *out = NULL;
    *width = image ? image->width : p->width;
    *height = image ? image->height : p->height;
    if (!image == !p->hint)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a ControlNet needs a hint: either planes or an image");
    if (*width < 1 || *height < 1 || *width > SDI_IMAGE_MAX_SIDE || *height > SDI_IMAGE_MAX_SIDE)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a hint picture of %d x %d pixels is not possible", *width, *height);
    const size_t count = (size_t)*width * (size_t)*height;
    float *planes = sdi_alloc(env, count, 3 * sizeof *planes);
    if (!planes)
        return SDIFF_ERROR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++) {
            float x = 0;
            if (!image) {
                x = p->hint[c * count + i];
            } else {
                const size_t n = (size_t)image->channels;
                const uint8_t *pixel = image->pixels + n * i;
                x = (float)pixel[n == 1 ? 0 : c] / 255;
                if (n == 4) // transparent is black: nothing is hinted at
                    x *= (float)pixel[3] / 255;
            }
            planes[c * count + i] = p->invert ? 1 - x : x;
        }
    *out = planes;
    return SDIFF_OK;
}

sdiff_status sdiff_pipeline_add_control(sdiff_pipeline *pipeline,
                                        const sdiff_controlnet *controlnet,
                                        const sdiff_control_params *params)
{
    SDI_OWN_FLOAT_MODE;
    sdiff_control_params p = defaults;
    int32_t width = 0, height = 0;
    float *hint = NULL;
    if (!pipeline || !controlnet)
        return sdi_null_argument(pipeline ? &pipeline->error : NULL, "controlnet");
    const sdi_env *env = &pipeline->session.env;
    sdi_error_clear(&pipeline->error);
    SDI_TRY(sdi_params_read(env, "control params", &p, sizeof p, sizeof p, params));
    SDI_TRY(make_hint(env, &p, &hint, &width, &height));
    const sdi_control_params control = {.hint = hint,
                                        .height = height,
                                        .width = width,
                                        .weight = p.weight,
                                        .start = p.start,
                                        .end = p.end,
                                        .guess = p.guess_mode != 0};
    const sdiff_status status = sdi_controls_add(&pipeline->session, &pipeline->controls,
                                                 controlnet->model, &control);
    sdi_free(env, hint);
    return status;
}

void sdiff_pipeline_clear_controls(sdiff_pipeline *pipeline)
{
    if (pipeline)
        sdi_controls_clear(&pipeline->session, &pipeline->controls);
}

int32_t sdiff_pipeline_control_count(const sdiff_pipeline *pipeline)
{
    return pipeline ? pipeline->controls.count : 0;
}
