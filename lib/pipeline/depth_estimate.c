/* SPDX-License-Identifier: MIT
 *
 * From a picture to its depth. The picture is prepared as DPTImageProcessor of transformers does
 * it, and MiDaS before it: cubic resizing to the size that the estimator was trained for, by pixels
 * of 8 bits; then to [-1, 1].
 */
#include "pipeline/depth_estimate.h"

#include "base/memory.h"
#include "image/image.h"

#include <math.h>
#include <string.h>

enum { STRIDE = 32 }; // that the estimator's maps need

/* A side near `side` that the estimator takes. */
static int64_t fitting_side(double side, int32_t multiple)
{
    const int64_t unit = multiple % STRIDE == 0 ? multiple : STRIDE;
    return SDI_MAX((int64_t)floor(side / (double)unit + 0.5), 1) * unit;
}

void sdi_depth_size(const sdi_model_config *config, int64_t h, int64_t w, int64_t *map_h,
                    int64_t *map_w)
{
    const sdi_depth_input *input = &config->depth_input;
    double down = (double)input->height / (double)h, across = (double)input->width / (double)w;
    if (input->keep_aspect) { // both sides by the factor that changes the picture less
        const double factor = fabs(1 - across) < fabs(1 - down) ? across : down;
        down = across = factor;
    }
    // very long pictures would need a map without bounds
    *map_h = SDI_MIN(fitting_side(down * (double)h, input->multiple), 8 * (int64_t)input->height);
    *map_w = SDI_MIN(fitting_side(across * (double)w, input->multiple), 8 * (int64_t)input->width);
    *map_h = fitting_side((double)*map_h, input->multiple);
    *map_w = fitting_side((double)*map_w, input->multiple);
}

sdiff_status sdi_depth_plan(sdi_session *session, int64_t h, int64_t w, sdi_plan **out)
{
    const sdi_model_config *config = sdi_model_get_config(session->model);
    sdi_dpt_args args;
    memset(&args, 0, sizeof args);
    args.config = &config->depth;
    args.b = 1;
    sdi_depth_size(config, h, w, &args.h, &args.w);
    return sdi_session_plan(session, SDI_NET_DEPTH, &args, sizeof args, out);
}

/* As sdi_image_from_planes, of numbers that need not be in [0, 1]. */
static sdiff_status to_bytes(const sdi_env *env, const float *image, int64_t h, int64_t w,
                             sdi_image **out)
{
    SDI_TRY(sdi_image_new(env, (int32_t)w, (int32_t)h, 3, NULL, out));
    for (int64_t p = 0; p < h * w; p++)
        for (int64_t c = 0; c < 3; c++) {
            const float x = image[c * h * w + p] * 255;
            (*out)->pixels[3 * p + c] = x > 0 ? (uint8_t)(x < 255 ? x + 0.5f : 255) : 0;
        }
    return SDIFF_OK;
}

/* pixel_values [3, map_h, map_w] of the resized picture. */
static void normalise(const sdi_depth_input *input, const sdi_image *image, float *out)
{
    const int64_t count = (int64_t)image->width * image->height;
    for (int64_t p = 0; p < count; p++)
        for (int32_t c = 0; c < 3; c++)
            out[c * count + p] = (float)((image->pixels[3 * p + c] / 255.0 - input->mean[c]) /
                                         input->deviation[c]);
}

static sdiff_status prepare(const sdi_session *session, const float *image, int64_t h, int64_t w,
                            int64_t map_h, int64_t map_w, float *out)
{
    const sdi_env *env = &session->env;
    const sdi_model_config *config = sdi_model_get_config(session->model);
    sdi_image *given = NULL, *resized = NULL;
    SDI_TRY(to_bytes(env, image, h, w, &given));
    sdiff_status status = sdi_image_resize(env, given, (int32_t)map_w, (int32_t)map_h, &resized);
    if (status == SDIFF_OK)
        normalise(&config->depth_input, resized, out);
    sdi_image_free(env, given);
    sdi_image_free(env, resized);
    return status;
}

sdiff_status sdi_depth_estimate(sdi_session *session, const float *image, int64_t h, int64_t w,
                                float *depth)
{
    int64_t map_h = 0, map_w = 0;
    sdi_plan *plan = NULL;
    const sdi_env *env = &session->env;
    sdi_depth_size(sdi_model_get_config(session->model), h, w, &map_h, &map_w);
    SDI_TRY(sdi_depth_plan(session, h, w, &plan));
    SDI_TRY(sdi_session_reserve(session));
    float *pixels = sdi_alloc(env, 3 * (uint64_t)map_h, (uint64_t)map_w * sizeof *pixels);
    if (!pixels)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = prepare(session, image, h, w, map_h, map_w, pixels);
    if (status == SDIFF_OK)
        status = sdi_plan_set(env, plan, "pixel_values", pixels);
    sdi_free(env, pixels);
    SDI_TRY(status);
    SDI_TRY(sdi_session_run(session, plan, NN_ONCE));
    SDI_TRY(sdi_session_run(session, plan, NN_EACH));
    return sdi_session_get(session, plan, "depth", depth);
}
