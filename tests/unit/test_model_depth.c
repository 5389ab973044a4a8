/* SPDX-License-Identifier: MIT
 *
 * The depth estimator: names, configurations, the size of its maps.
 */
#include "test_model_support.h"

#include "io/json.h"
#include "model/config.h"
#include "model/names.h"
#include "pipeline/depth_estimate.h"

#define LISTS "fixtures-ldm/key-lists/"

/* All of the list but what the network does not have. */
static void test_key_list_of_midas_matches_completely(void **state)
{
    (void)state;
    static const char *const unused[] = {"model.norm.", "model.head.", "refinenet4.resConfUnit1."};
    hollow h = hollow_from_list(test_shared(LISTS "sd2-depth.txt.gz"));
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const sdi_model_options options = {.components = 1 << SDI_PART_DEPTH};
    test_ok(&env, hollow_open(&env, &h, &options, &model));
    char *used = calloc(4096, 1);
    int32_t bound = 0, listed = 0, left = 0;
    sdi_tensor_file *file = NULL;
    for (int32_t i = 0;; i++) {
        const sdi_tensor_ref ref = sdi_model_source_tensor(model, SDI_PART_DEPTH, i);
        if (!ref.file)
            break;
        file = ref.file;
        bound += !used[ref.index];
        used[ref.index] = 1;
    }
    assert_non_null(file);
    for (int32_t i = 0; i < sdi_tensor_file_count(file); i++) {
        const char *name = sdi_tensor_file_info(file, i)->name;
        if (strncmp(name, "depth_model.", 12) != 0)
            continue;
        listed++;
        if (used[i])
            continue;
        int known = 0;
        for (size_t k = 0; k < SDI_COUNT(unused); k++)
            known |= strstr(name, unused[k]) != NULL;
        if (!known)
            fail_msg("'%s' has no use", name);
        left++;
    }
    assert_int_equal(listed, 368);
    assert_int_equal(left, 8);
    assert_int_equal(bound, 360);
    const sdi_model_config *c = sdi_model_get_config(model);
    sdi_dpt_config published;
    sdi_dpt_config_init(&published);
    published.eps = 1e-6f; // timm's
    assert_memory_equal(&c->depth, &published, sizeof published);
    free(used);
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

/* Pieces of an estimator are none: the U-Net beside them loads. */
static void test_pieces_of_an_estimator_are_ignored(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const sdi_model_source source = {
        .path = test_shared("fixtures-ldm/sd2-depth.fp16.safetensors")};
    test_ok(&env, sdi_model_open(&env, &source, NULL, &model));
    assert_false(sdi_model_get_config(model)->has[SDI_PART_DEPTH]);
    assert_int_equal(sdi_model_surplus_count(model), 0);
    sdi_model_unref(model);
    test_env_free(&env);
}

/* ---- configurations -------------------------------------------------------------------------- */

static void check_config(const char *text, sdiff_status expected, const char *word)
{
    sdi_env env = test_env_new();
    sdi_dpt_config config;
    json_t *json = NULL;
    test_ok(&env, sdi_json_parse(&env, "config", text, strlen(text), &json));
    const sdiff_status status = sdi_config_dpt(&env, "config", json, &config);
    if (status != expected || !strstr(test_error(&env), word))
        fail_msg("%s: status %d, '%s'", text, (int)status, test_error(&env));
    json_decref(json);
    test_env_free(&env);
}

static void test_configurations_that_cannot_be_are_refused(void **state)
{
    (void)state;
    check_config("{\"is_hybrid\":true}", SDIFF_OK, "");
    check_config("{\"is_hybrid\":true,\"backbone_config\":null}", SDIFF_OK, "");
    check_config("{\"is_hybrid\":true,\"backbone_config\":{\"depths\":[3,4,9]}}", SDIFF_OK, "");
    check_config("[]", SDIFF_ERROR_FORMAT, "object");
    check_config("{}", SDIFF_ERROR_UNSUPPORTED, "is_hybrid");
    check_config("{\"is_hybrid\":true,\"backbone_config\":{\"depths\":[3,4]}}",
                 SDIFF_ERROR_UNSUPPORTED, "2 stages");
    check_config("{\"is_hybrid\":true,\"backbone_config\":{\"num_groups\":7}}",
                 SDIFF_ERROR_UNSUPPORTED, "groups");
    check_config("{\"is_hybrid\":true,\"backbone_config\":{\"model_type\":\"swin\"}}",
                 SDIFF_ERROR_UNSUPPORTED, "swin");
    check_config("{\"is_hybrid\":true,\"backbone_config\":7}", SDIFF_ERROR_FORMAT, "object");
    check_config("{\"is_hybrid\":true,\"num_attention_heads\":7}", SDIFF_ERROR_FORMAT, "heads");
    check_config("{\"is_hybrid\":true,\"backbone_out_indices\":[0,1,2,12]}", SDIFF_ERROR_FORMAT,
                 "12");
    check_config("{\"is_hybrid\":true,\"backbone_out_indices\":[0,1]}", SDIFF_ERROR_FORMAT, "2");
    check_config("{\"is_hybrid\":true,\"neck_hidden_sizes\":[1e30]}", SDIFF_ERROR_FORMAT,
                 "neck_hidden_sizes");
    check_config("{\"is_hybrid\":true,\"image_size\":8}", SDIFF_ERROR_FORMAT, "image_size");
    check_config("{\"is_hybrid\":true,\"layer_norm_eps\":-1}", SDIFF_ERROR_FORMAT, "eps");
}

static void test_extractors_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"size\":-3}", "{\"size\":{\"width\":1e9}}",
                                        "{\"image_mean\":[1,2]}", "{\"image_std\":[0,1,1]}",
                                        "{\"ensure_multiple_of\":0}", "[1]"};
    sdi_dpt_config config;
    sdi_dpt_config_init(&config);
    for (size_t i = 0; i < SDI_COUNT(texts); i++) {
        sdi_env env = test_env_new();
        sdi_depth_input input;
        json_t *json = NULL;
        sdi_depth_input_init(&input, &config, 0);
        test_ok(&env, sdi_json_parse(&env, "extractor", texts[i], strlen(texts[i]), &json));
        assert_int_not_equal(sdi_config_depth_input(&env, "extractor", json, &input), SDIFF_OK);
        assert_true(test_error(&env)[0]);
        json_decref(json);
        test_env_free(&env);
    }
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void test_size_of_maps_is_the_extractors(void **state)
{
    (void)state;
    static const struct {
        int32_t keep, multiple;
        int64_t w, h, map_w, map_h;
    } cases[] = {
        {0, 1, 512, 512, 384, 384},  {0, 1, 700, 300, 384, 384},
        {1, 32, 512, 512, 384, 384}, {1, 32, 640, 480, 512, 384}, // the side that changes less
        {1, 32, 384, 768, 384, 768}, {1, 32, 100, 16000, 32, 384},
        {0, 48, 512, 512, 384, 384},
    };
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        sdi_model_config config;
        int64_t h = 0, w = 0;
        memset(&config, 0, sizeof config);
        sdi_dpt_config_init(&config.depth);
        sdi_depth_input_init(&config.depth_input, &config.depth, cases[i].keep);
        config.depth_input.multiple = cases[i].multiple;
        sdi_depth_size(&config, cases[i].h, cases[i].w, &h, &w);
        assert_int_equal(w % 32, 0);
        assert_int_equal(h % 32, 0);
        if (w != cases[i].map_w || h != cases[i].map_h)
            fail_msg("%d x %d becomes %d x %d", (int)cases[i].w, (int)cases[i].h, (int)w, (int)h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_list_of_midas_matches_completely),
        cmocka_unit_test(test_pieces_of_an_estimator_are_ignored),
        cmocka_unit_test(test_configurations_that_cannot_be_are_refused),
        cmocka_unit_test(test_extractors_that_cannot_be_are_refused),
        cmocka_unit_test(test_size_of_maps_is_the_extractors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
