/* SPDX-License-Identifier: MIT
 *
 * The depth estimator against outputs and intermediate values of the original.
 */
#include "net/depth_dpt.h"
#include "parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double relative = 2e-4; // of the golden maximum

static sdi_dpt_config read_config(const char *file)
{
    sdi_dpt_config config;
    int32_t taps[SDI_DPT_FEATURES], image_size = 0, patch_size = 0;
    sdi_dpt_config_init(&config);
    json_t *json = parity_config(file);
    const json_t *bit = json_object_get(json, "backbone_config");
    parity_config_ints(bit, "embedding_size", &config.stem_channels, 1);
    config.stages =
        parity_config_ints(bit, "hidden_sizes", config.stage_channels, SDI_DPT_MAX_STAGES);
    parity_config_ints(bit, "depths", config.stage_layers, SDI_DPT_MAX_STAGES);
    parity_config_ints(bit, "num_groups", &config.norm_groups, 1);
    parity_config_ints(json, "hidden_size", &config.hidden_size, 1);
    parity_config_ints(json, "num_hidden_layers", &config.layers, 1);
    parity_config_ints(json, "num_attention_heads", &config.heads, 1);
    parity_config_ints(json, "intermediate_size", &config.intermediate_size, 1);
    parity_config_ints(json, "image_size", &image_size, 1);
    parity_config_ints(json, "patch_size", &patch_size, 1);
    config.position_side = image_size / patch_size;
    parity_config_ints(json, "backbone_out_indices", taps, SDI_DPT_FEATURES);
    config.taps[0] = taps[2];
    config.taps[1] = taps[3];
    parity_config_ints(json, "neck_hidden_sizes", config.neck_channels, SDI_DPT_FEATURES);
    parity_config_ints(json, "fusion_hidden_size", &config.fusion_channels, 1);
    config.eps = (float)json_number_value(json_object_get(json, "layer_norm_eps"));
    json_decref(json);
    return config;
}

static void run_case(parity *p, parity_run *r, sdi_weights *weights, sdi_dpt_args *args,
                     const char *letter)
{
    char name[32];
    int64_t shape[4];
    snprintf(name, sizeof name, "%s.pixel_values", letter);
    float *pixels = parity_golden(p, name, shape);
    args->b = shape[0];
    args->h = shape[2];
    args->w = shape[3];
    parity_plan(p, r, weights, sdi_dpt_net, args);
    parity_set(p, r, "pixel_values", pixels);
    parity_go(p, r);
    free(pixels);
}

/* The golden map is [b, h, w], without the channel. */
static void check_depth(parity *p, parity_run *r, const char *golden)
{
    int64_t shape[4], given[4];
    float *got = parity_output(p, r, "depth", shape);
    float *want = parity_golden(p, golden, given);
    const int64_t count = shape[0] * shape[2] * shape[3];
    double largest = 0;
    assert_int_equal(shape[1], 1);
    assert_int_equal(given[1], shape[2]);
    assert_int_equal(given[2], shape[3]);
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    parity_check(p, golden, got, want, count, relative * largest);
    free(got);
    free(want);
}

static void test_depth_estimator_agrees(void **state)
{
    static const char *const names[] = {
        "stem",         "stage1",       "stage2",   "stage3",   "embeddings", "vit.a",   "vit.b",
        "reassemble.2", "reassemble.3", "fusion.0", "fusion.1", "fusion.2",   "fusion.3"};
    static const char *const cases[] = {"A", "B", "C"};
    parity p;
    sdi_weights weights;
    parity_run r;
    char golden[32];
    (void)state;
    parity_open(&p, "fixtures/tiny-depth/golden/dpt_hybrid.safetensors");
    const sdi_dpt_config config = read_config("fixtures/tiny-depth/depth_estimator/config.json");
    sdi_dpt_args args = {.config = &config, .b = 1, .h = 96, .w = 96, .intermediates = 1};
    parity_load(&p, &weights, "fixtures/tiny-depth/depth_estimator/model.safetensors", sdi_dpt_net,
                &args);
    run_case(&p, &r, &weights, &args, "A");
    for (size_t i = 0; i < SDI_COUNT(names); i++) {
        snprintf(golden, sizeof golden, "A.%s", names[i]);
        parity_compare(&p, &r, names[i], golden, 0, relative);
    }
    parity_end(&p, &r);
    args.intermediates = 0;
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        run_case(&p, &r, &weights, &args, cases[i]);
        snprintf(golden, sizeof golden, "%s.predicted_depth", cases[i]);
        check_depth(&p, &r, golden);
        parity_end(&p, &r);
    }
    sdi_weights_free(&weights);
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_estimator_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
