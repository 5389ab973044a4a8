/* SPDX-License-Identifier: MIT
 *
 * The depth estimator against outputs and intermediate values of the original.
 */
#include "model/names.h"
#include "net/depth_dpt.h"
#include "parity.h"
#include "pipeline/depth_estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- through files --------------------------------------------------------------------------- */

/* The folder's weights under MiDaS' names, q, k and v in one tensor. */
static char *write_midas(parity *p, const sdi_model *model)
{
    static char path[] = "midas-names.safetensors";
    sdi_tensor_out tensors[256];
    int32_t count = 0;
    const sdi_weights *w = sdi_model_weights(model, SDI_PART_DEPTH);
    memset(tensors, 0, sizeof tensors);
    for (int32_t i = 0; i < w->count; i++) {
        sdi_alias alias = {.pieces = 1, .heads = 1};
        const sdi_param *param = &w->params[i];
        assert_true(sdi_name_midas(param->name, &alias));
        int32_t at = 0;
        while (at < count && strcmp(tensors[at].name, alias.name) != 0)
            at++;
        sdi_tensor_out *t = &tensors[at];
        if (at == count) {
            count++;
            t->name = strdup(alias.name);
            t->dtype = SDI_F32;
            t->rank = param->rank;
            memcpy(t->shape, param->shape, sizeof param->shape);
            t->shape[0] *= alias.pieces;
            t->data = malloc((size_t)(param->count * alias.pieces) * sizeof(float));
        }
        test_ok(&p->env, sdi_model_source_values(&p->env, model, SDI_PART_DEPTH, i,
                                                 (float *)t->data + param->count * alias.piece));
    }
    test_ok(&p->env, sdi_safetensors_write(&p->env, path, tensors, count, NULL));
    for (int32_t i = 0; i < count; i++) {
        free((void *)tensors[i].name);
        free((void *)tensors[i].data);
    }
    return path;
}

static sdi_model *open_model(parity *p, const char *path, const char *config)
{
    const sdi_model_source source = {.path = path};
    const sdi_model_options options = {.kernels[SDI_PART_UNET] = &p->kernels,
                                       .pool = p->pool,
                                       .config = config,
                                       .components = 1 << SDI_PART_DEPTH};
    sdi_model *model = NULL;
    test_ok(&p->env, sdi_model_open(&p->env, &source, &options, &model));
    assert_int_equal(sdi_model_surplus_count(model), 0);
    return model;
}

/* The golden pixel values as a picture; 8 bits of them, as the extractor sees pictures. */
static float *picture_of(parity *p, const char *golden, int64_t shape[4])
{
    float *pixels = parity_golden(p, golden, shape);
    for (int64_t i = 0; i < 3 * shape[2] * shape[3]; i++) {
        const float x = roundf((pixels[i] * 0.5f + 0.5f) * 255) / 255;
        pixels[i] = fminf(fmaxf(x, 0), 1);
    }
    return pixels;
}

static float *estimate(parity *p, sdi_model *model, const float *image, int64_t h, int64_t w)
{
    sdi_session session;
    float *map = malloc((size_t)(96 * 96) * sizeof *map);
    sdi_session_init(&session, &p->env, model, p->pool);
    test_ok(&p->env, sdi_depth_estimate(&session, image, h, w, map));
    sdi_session_free(&session);
    return map;
}

/* Whatever the layout of the files: the same bits; and those of the network on the same input. */
static void test_every_layout_gives_the_same_map(void **state)
{
    parity p;
    parity_run r;
    int64_t shape[4], out[4];
    (void)state;
    parity_open(&p, "fixtures/tiny-depth/golden/dpt_hybrid.safetensors");
    float *image = picture_of(&p, "A.pixel_values", shape);
    sdi_model *whole = open_model(&p, test_shared("fixtures/tiny-depth"), NULL);
    sdi_model *part = open_model(&p, test_shared("fixtures/tiny-depth/depth_estimator"), NULL);
    const char *midas = write_midas(&p, whole);
    sdi_model *original = open_model(
        &p, midas, test_shared("fixtures/tiny-depth/depth_estimator/config.json"));
    assert_int_equal(sdi_model_get_config(whole)->depth_input.width, 96);
    assert_int_equal(sdi_model_get_config(part)->depth_input.width, 96);
    float *maps[] = {estimate(&p, whole, image, 96, 96), estimate(&p, part, image, 96, 96),
                     estimate(&p, original, image, 96, 96)};
    assert_memory_equal(maps[0], maps[1], 96 * 96 * sizeof(float));
    assert_memory_equal(maps[0], maps[2], 96 * 96 * sizeof(float));
    const sdi_dpt_args args = {.config = &sdi_model_get_config(whole)->depth, .b = 1, .h = 96,
                               .w = 96};
    for (int64_t i = 0; i < 3 * 96 * 96; i++)
        image[i] = (image[i] - 0.5f) / 0.5f;
    parity_plan(&p, &r, sdi_model_weights(whole, SDI_PART_DEPTH), sdi_dpt_net, &args);
    parity_set(&p, &r, "pixel_values", image);
    parity_go(&p, &r);
    float *want = parity_output(&p, &r, "depth", out);
    parity_check(&p, "map", maps[0], want, 96 * 96, 1e-3);
    parity_end(&p, &r);
    remove(midas);
    for (int32_t i = 0; i < 3; i++)
        free(maps[i]);
    free(want);
    free(image);
    sdi_model_unref(whole);
    sdi_model_unref(part);
    sdi_model_unref(original);
    parity_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_estimator_agrees),
        cmocka_unit_test(test_every_layout_gives_the_same_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
