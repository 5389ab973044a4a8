/* SPDX-License-Identifier: MIT
 *
 * The ControlNet against residuals of the original, and the U-Net with these added.
 */
#include "net/unet.h"
#include "parity.h"
#include "unet_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double tolerance = 1e-4;

enum { MAX_RESIDUALS = 16 };

typedef struct fixture {
    parity p;
    sdi_unet_config control, unet;
    sdi_unet_args args;
    sdi_weights weights;
    float *sample, *context, *hint, *timestep;
    float *residuals[MAX_RESIDUALS]; // down.0 …, then mid
    int64_t sizes[MAX_RESIDUALS];
    int32_t count;
} fixture;

static void open_fixture(fixture *f)
{
    int64_t shape[4], tokens[4];
    memset(f, 0, sizeof *f);
    parity_open(&f->p, "fixtures/tiny-controlnet/golden/controlnet.safetensors");
    parity_unet_config(&f->control, "fixtures/tiny-controlnet/config.json");
    parity_unet_config(&f->unet, "fixtures/tiny-sd1/unet/config.json");
    f->sample = parity_golden(&f->p, "sample", shape);
    f->context = parity_golden(&f->p, "ctx", tokens);
    f->hint = parity_golden(&f->p, "cond", NULL);
    f->timestep = parity_golden(&f->p, "timestep", NULL);
    f->args =
        (sdi_unet_args){.b = shape[0], .h = shape[2], .w = shape[3], .context_tokens = tokens[1]};
}

static void close_fixture(fixture *f)
{
    for (int32_t i = 0; i < f->count; i++)
        free(f->residuals[i]);
    free(f->sample);
    free(f->context);
    free(f->hint);
    free(f->timestep);
    parity_close(&f->p);
}

static void set_common(fixture *f, parity_run *r)
{
    const float t[2] = {f->timestep[0], f->timestep[0]};
    assert_int_equal(f->args.b, 2);
    parity_set(&f->p, r, "sample", f->sample);
    parity_set(&f->p, r, "timestep", t);
    parity_set(&f->p, r, "context", f->context);
}

static void check_controlnet(fixture *f)
{
    parity_run r;
    f->args.config = &f->control;
    f->args.intermediates = 1;
    parity_load(&f->p, &f->weights, "fixtures/tiny-controlnet/diffusion_pytorch_model.safetensors",
                sdi_controlnet_net, &f->args);
    parity_plan(&f->p, &r, &f->weights, sdi_controlnet_net, &f->args);
    set_common(f, &r);
    parity_set(&f->p, &r, "hint", f->hint);
    parity_go(&f->p, &r);
    parity_compare(&f->p, &r, "cond_embedding", "cond_embedding", tolerance, 0);
    const int32_t skips = sdi_unet_skips(&f->control);
    assert_true(skips < MAX_RESIDUALS);
    for (int32_t i = 0; i <= skips; i++) {
        int64_t shape[4];
        char name[24] = "mid";
        if (i < skips)
            snprintf(name, sizeof name, "down.%d", (int)i);
        parity_compare(&f->p, &r, name, name, tolerance, 0);
        f->residuals[i] = parity_output(&f->p, &r, name, shape);
        f->sizes[i] = shape[0] * shape[1] * shape[2] * shape[3];
        f->count = i + 1;
    }
    parity_end(&f->p, &r);
    sdi_weights_free(&f->weights);
    f->args.intermediates = 0;
}

/* The U-Net with residual i weighted by scale(i, count). */
static void check_unet(fixture *f, double (*scale)(int32_t, int32_t), const char *golden)
{
    parity_run r;
    f->args.residuals = 1;
    parity_plan(&f->p, &r, &f->weights, sdi_unet_net, &f->args);
    set_common(f, &r);
    for (int32_t i = 0; i < f->count; i++) {
        char name[32] = "mid_residual";
        float *scaled = malloc((size_t)f->sizes[i] * sizeof *scaled);
        if (i + 1 < f->count)
            snprintf(name, sizeof name, "down_residual.%d", (int)i);
        for (int64_t k = 0; k < f->sizes[i]; k++)
            scaled[k] = f->residuals[i][k] * (float)scale(i, f->count);
        parity_set(&f->p, &r, name, scaled);
        free(scaled);
    }
    parity_go(&f->p, &r);
    parity_compare(&f->p, &r, "out", golden, tolerance, 0);
    parity_end(&f->p, &r);
    f->args.residuals = 0;
}

static double one(int32_t i, int32_t count)
{
    (void)i, (void)count;
    return 1;
}

static double one_half(int32_t i, int32_t count)
{
    (void)i, (void)count;
    return 0.5;
}

static double none(int32_t i, int32_t count)
{
    (void)i, (void)count;
    return 0;
}

/* Guess mode: from a tenth at the first skip to one in the middle. */
static double guess_mode(int32_t i, int32_t count)
{
    return pow(10, (double)i / (count - 1) - 1);
}

static void test_controlnet_and_unet_agree(void **state)
{
    fixture f;
    parity_run r;
    (void)state;
    open_fixture(&f);
    check_controlnet(&f);

    f.args.config = &f.unet;
    parity_load(&f.p, &f.weights, "fixtures/tiny-sd1/unet/diffusion_pytorch_model.safetensors",
                sdi_unet_net, &f.args);
    check_unet(&f, one, "unet_out.scale1.0");
    check_unet(&f, one_half, "unet_out.scale0.5");
    check_unet(&f, none, "unet_out.none");
    check_unet(&f, guess_mode, "unet_out.guess_mode");
    parity_plan(&f.p, &r, &f.weights, sdi_unet_net, &f.args);
    set_common(&f, &r);
    parity_go(&f.p, &r);
    parity_compare(&f.p, &r, "out", "unet_out.none", tolerance, 0);
    parity_end(&f.p, &r);
    sdi_weights_free(&f.weights);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_controlnet_and_unet_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
