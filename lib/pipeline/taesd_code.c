/* SPDX-License-Identifier: MIT
 *
 * The tiny autoencoder.
 */
#include "pipeline/taesd_code.h"

#include <string.h>

int32_t sdi_taesd_scale(const sdi_model *taesd)
{
    return 1 << (sdi_model_get_config(taesd)->taesd.levels - 1);
}

sdiff_status sdi_taesd_add(sdi_session *session, sdi_model *taesd, sdi_part half, int32_t channels,
                           int32_t scale, sdi_network *network)
{
    const sdi_taesd_config *c = &sdi_model_get_config(taesd)->taesd;
    if (!sdi_model_weights(taesd, half))
        return sdi_fail(&session->env, SDIFF_ERROR_UNSUPPORTED, "'%s' has no %s",
                        sdi_model_name(taesd), sdi_part_name(half));
    if (c->latent_channels != channels || sdi_taesd_scale(taesd) != scale)
        return sdi_fail(&session->env, SDIFF_ERROR_MISMATCH,
                        "the tiny autoencoder '%s' has %d channels of %d pixels a latent, the "
                        "model '%s' %d of %d", sdi_model_name(taesd), (int)c->latent_channels,
                        (int)sdi_taesd_scale(taesd), sdi_model_name(session->model), (int)channels,
                        (int)scale);
    return sdi_session_add(session, taesd, half, network);
}

sdiff_status sdi_taesd_plan(sdi_session *session, sdi_network network, int64_t h, int64_t w,
                            sdi_plan **out)
{
    sdi_taesd_args args;
    memset(&args, 0, sizeof args);
    args.config = &sdi_model_get_config(session->slots[network].model)->taesd;
    args.b = 1;
    args.h = h;
    args.w = w;
    return sdi_session_plan(session, network, &args, sizeof args, out);
}

static sdiff_status run(sdi_session *session, sdi_network network, int64_t h, int64_t w,
                        const char *input, const float *values, const char *output, float *out)
{
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_taesd_plan(session, network, h, w, &plan));
    SDI_TRY(sdi_session_reserve(session));
    SDI_TRY(sdi_plan_set(&session->env, plan, input, values));
    SDI_TRY(sdi_session_run(session, plan, NN_EACH));
    return sdi_session_get(session, plan, output, out);
}

sdiff_status sdi_taesd_decode(sdi_session *session, sdi_network network, const float *z, int64_t h,
                              int64_t w, float *image)
{
    return run(session, network, h, w, "z", z, "image", image);
}

sdiff_status sdi_taesd_encode(sdi_session *session, sdi_network network, const float *image,
                              int64_t h, int64_t w, float *z)
{
    return run(session, network, h, w, "image", image, "z", z);
}
