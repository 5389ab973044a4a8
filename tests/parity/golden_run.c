/* SPDX-License-Identifier: MIT
 *
 * Whole pictures through the public API against golden runs.
 */
#include "golden_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening --------------------------------------------------------------------------------- */

void golden_open_model(golden_run *r, const char *model)
{
    const char *path = test_shared(model);
    sdiff_context_params context;
    sdiff_model_params params;
    memset(r, 0, sizeof *r);
    sdiff_context_params_init(&context, sizeof context);
    sdiff_model_params_init(&params, sizeof params);
    context.threads = 2;
    params.compute = SDIFF_COMPUTE_F32;
    assert_int_equal(sdiff_context_new(&context, &r->context), SDIFF_OK);
    if (sdiff_model_open(r->context, path, &params, &r->model) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(r->context));
    assert_int_equal(sdiff_pipeline_new(r->model, &r->pipeline), SDIFF_OK);
    sdiff_generate_params_init(&r->request, sizeof r->request);
    r->request.emphasis = SDIFF_EMPHASIS_NONE;
}

void golden_open(golden_run *r, parity *p, const char *model)
{
    golden_open_model(r, model);
    r->p = p;
    r->image = -1;
    free(parity_golden(p, "noise.0", r->shape));
    const int32_t scale = sdiff_model_latent_scale(r->model);
    r->request.batch_count = (int32_t)r->shape[0];
    r->request.height = (int32_t)r->shape[2] * scale;
    r->request.width = (int32_t)r->shape[3] * scale;
}

void golden_close(golden_run *r)
{
    sdiff_pipeline_free(r->pipeline);
    sdiff_model_free(r->model);
    sdiff_context_free(r->context);
}

/* ---- running --------------------------------------------------------------------------------- */

static int give_draw(void *user, int64_t draw, float *out, size_t count)
{
    golden_run *r = user;
    char name[32];
    int64_t shape[4];
    r->image += draw == 0; // each picture counts its own
    snprintf(name, sizeof name, "noise.%lld", (long long)draw);
    float *all = parity_golden(r->p, name, shape);
    assert_int_equal(count, shape[1] * shape[2] * shape[3]);
    memcpy(out, all + (size_t)r->image * count, count * sizeof *out);
    free(all);
    return 0;
}

static int check_step(void *user, const sdiff_step *step)
{
    golden_run *r = user;
    char name[32];
    int64_t shape[4];
    const int64_t count = r->shape[1] * r->shape[2] * r->shape[3];
    snprintf(name, sizeof name, "latents.%d", step->step);
    float *want = parity_golden(r->p, name, shape);
    parity_check(r->p, name, step->latents, want + step->image * count, count,
                 r->latent_tolerance);
    free(want);
    want = parity_golden(r->p, "timesteps", NULL);
    assert_true(want[step->step] == (float)step->timestep);
    free(want);
    r->steps++;
    return 0;
}

void golden_generate(golden_run *r)
{
    if (sdiff_pipeline_generate(r->pipeline, &r->request) != SDIFF_OK)
        fail_msg("%s", sdiff_pipeline_error(r->pipeline));
}

void golden_check(golden_run *r)
{
    int64_t shape[4];
    r->request.on_step = check_step;
    r->request.step_user = r;
    r->request.noise = r->from_seed ? NULL : give_draw;
    r->request.noise_user = r;
    r->steps = 0;
    golden_generate(r);
    free(parity_golden(r->p, "timesteps", shape));
    assert_int_equal(r->steps, shape[0] * r->request.batch_count);
    float *want = parity_golden(r->p, "image", shape);
    const int64_t count = shape[1] * shape[2] * shape[3];
    float *got = malloc((size_t)count * sizeof *got);
    for (int32_t i = 0; i < r->request.batch_count; i++) {
        sdiff_pipeline_result(r->pipeline, i, NULL, got);
        parity_check(r->p, "image", got, want + i * count, count, r->image_tolerance);
    }
    free(got);
    free(want);
}
