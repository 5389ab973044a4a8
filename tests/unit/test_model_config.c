/* SPDX-License-Identifier: MIT
 *
 * Configurations: all of fixtures-ldm/bad that are meant for them, and what each form says.
 */
#include "unit/test_model_support.h"

#include "model/config.h"
#include "model/save_file.h"

typedef sdiff_status (*reader_fn)(const sdi_env *env, const char *path);

static sdiff_status read_json(const sdi_env *env, const char *path, json_t **json)
{
    return sdi_json_parse_file(env, path, json);
}

static sdiff_status read_unet(const sdi_env *env, const char *path)
{
    json_t *json = NULL;
    sdi_unet_config config;
    SDI_TRY(read_json(env, path, &json));
    const sdiff_status status = sdi_config_unet(env, path, json, &config);
    json_decref(json);
    return status;
}

static sdiff_status read_scheduler(const sdi_env *env, const char *path)
{
    json_t *json = NULL;
    sdi_model_config config;
    memset(&config, 0, sizeof config);
    SDI_TRY(read_json(env, path, &json));
    const sdiff_status status = sdi_config_scheduler(env, path, json, &config);
    json_decref(json);
    return status;
}

static sdiff_status read_any(const sdi_env *env, const char *path)
{
    sdi_model_config config;
    memset(&config, 0, sizeof config);
    sdi_unet_config_init(&config.unet);
    sdi_vae_config_init(&config.vae);
    sdi_clip_config_init(&config.clip);
    sdi_schedule_config_init(&config.schedule);
    return sdi_config_apply_file(env, path, &config);
}

/* Refused with a sentence that begins with the path, or accepted, as the list says. */
static void check_reader(const char *path, const char *expect, reader_fn read)
{
    sdi_env env = test_env_new();
    const sdiff_status status = read(&env, path);
    if (strcmp(expect, "ok") == 0 && status != SDIFF_OK)
        fail_msg("%s: refused: %s", path, test_error(&env));
    if (strcmp(expect, "error") == 0) {
        if (status == SDIFF_OK)
            fail_msg("%s: accepted", path);
        if (strncmp(test_error(&env), path, strlen(path)) != 0)
            fail_msg("%s: the sentence does not name the file: %s", path, test_error(&env));
    }
    test_env_free(&env);
}

static void check_line(char *line, int *checked)
{
    char *kind = strchr(line, '\t'), *expect = kind ? strchr(kind + 1, '\t') : NULL;
    if (!expect)
        return;
    *kind++ = *expect++ = '\0';
    *strchr(expect, '\t') = '\0';
    char path[256];
    snprintf(path, sizeof path, "fixtures-ldm/bad/%s", line);
    const char *full = test_shared(path);
    if (strcmp(kind, "config") == 0 && strncmp(line, "config-", 7) == 0) {
        check_reader(full, expect, strstr(line, "scheduler") ? read_scheduler : read_unet);
        check_reader(full, expect, read_any);
        ++*checked;
    } else if (strcmp(line, "zero-size.yaml") == 0) {
        check_reader(full, "error", read_any);
        ++*checked;
    }
}

static void test_bad_configurations_are_refused(void **state)
{
    (void)state;
    size_t size = 0;
    char *text = test_read_file(test_shared("fixtures-ldm/bad/bad.tsv"), &size);
    text = realloc(text, size + 1);
    assert_non_null(text);
    text[size] = '\0';
    int checked = 0;
    char *line = text;
    while (*line) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        char *next = end ? end + 1 : line + strlen(line);
        check_line(line, &checked);
        line = next;
    }
    free(text);
    assert_int_equal(checked, 45);
}

/* ---- what they say --------------------------------------------------------------------------- */

static void init(sdi_model_config *c)
{
    memset(c, 0, sizeof *c);
    sdi_unet_config_init(&c->unet);
    sdi_vae_config_init(&c->vae);
    sdi_clip_config_init(&c->clip);
    sdi_schedule_config_init(&c->schedule);
}

static void test_yaml_and_flat_json_say_the_same(void **state)
{
    (void)state;
    static const char *const names[] = {"sd1-tiny", "sd1-inpaint", "sd2-v.fp16", "sd2-depth.fp16",
                                        "sd1-full-structure"};
    for (size_t i = 0; i < SDI_COUNT(names); i++) {
        sdi_env env = test_env_new();
        sdi_model_config flat, yaml;
        char path[256];
        init(&flat);
        init(&yaml);
        snprintf(path, sizeof path, "fixtures-ldm/%s.config.json", names[i]);
        test_ok(&env, sdi_config_apply_file(&env, test_shared(path), &flat));
        snprintf(path, sizeof path, "fixtures-ldm/%s.yaml", names[i]);
        test_ok(&env, sdi_config_apply_file(&env, test_shared(path), &yaml));
        assert_memory_equal(&flat.unet, &yaml.unet, sizeof flat.unet);
        test_same_vae(&flat.vae, &yaml.vae);
        assert_int_equal(flat.schedule.prediction, yaml.schedule.prediction);
        assert_int_equal(flat.clip.act, yaml.clip.act);
        assert_int_equal(flat.clip.penultimate, yaml.clip.penultimate);
        test_env_free(&env);
    }
}

static sdiff_status apply(const sdi_env *env, const char *text, sdi_model_config *c)
{
    init(c);
    return sdi_config_apply(env, "text", text, strlen(text), c);
}

static void test_flat_json_overrides_only_what_it_says(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model_config c, untouched;
    init(&untouched);
    test_ok(&env, apply(&env, "{\"prediction\": \"v\", \"scale_factor\": 0.5}", &c));
    assert_int_equal(c.schedule.prediction, SDI_PREDICT_V);
    assert_int_equal(c.prediction_from, SDI_FROM_CONFIG);
    assert_true(c.vae.scaling_factor == 0.5);
    assert_memory_equal(&c.unet, &untouched.unet, sizeof c.unet);
    test_ok(&env, apply(&env, "{\"unet\": {\"num_head_channels\": 64}}", &c));
    assert_int_equal(c.unet.head_dim, 64);
    assert_int_equal(c.unet.levels, 4);
    test_ok(&env, apply(&env, "{\"unet\": {\"num_heads\": 5, \"num_head_channels\": -1}}", &c));
    assert_int_equal(c.unet.head_dim, 0);
    assert_int_equal(c.unet.heads[3], 5);
    test_env_free(&env);
}

static void test_flat_json_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}", "[]", "{\"a\": 1}", "{\"unet\": 5}", "{\"prediction\": \"w\"}",
        "{\"prediction\": 1}", "{\"scale_factor\": \"x\"}", "{\"scale_factor\": 1e999}",
        "{\"unet\": {\"model_channels\": 0}}", "{\"unet\": {\"channel_mult\": []}}",
        "{\"unet\": {\"channel_mult\": [1,2,3,4,5,6,7,8,9]}}",
        "{\"unet\": {\"model_channels\": 32768, \"channel_mult\": [32768]}}",
        "{\"unet\": {\"num_heads\": 0}}", "{\"unet\": {\"num_res_blocks\": [1, 2]}}",
        "{\"unet\": {\"context_dim\": -1}}", "{\"unet\": {\"use_linear_in_transformer\": 1}}",
        "{\"vae\": {\"ch\": 99999}}", "{\"vae\": {\"attn_resolutions\": [16]}}",
        "{\"vae\": {\"double_z\": false}}", "{\"text\": {\"act\": \"relu\"}}",
        "{\"text\": {\"heads\": 0}}", "{\"unet\": {}, \"unet\": {}}", "{\"kind\": \"sd1\"",
        "{\"linear_start\": 2, \"unet\": {}}", "{\"timesteps\": 0, \"unet\": {}}"};
    for (size_t i = 0; i < SDI_COUNT(texts); i++) {
        sdi_env env = test_env_new();
        sdi_model_config c;
        if (apply(&env, texts[i], &c) == SDIFF_OK)
            fail_msg("accepted: %s", texts[i]);
        assert_true(test_error(&env)[0]);
        test_env_free(&env);
    }
}

static void test_yaml_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a", "- 1\n", "a: 1\n", "model: 1\n", "model: {params: 1}\n", "model: [\n", "a: &x [*x]\n",
        "model:\n  params:\n    unet_config:\n      params:\n        model_channels: x\n",
        "model:\n  params:\n    unet_config:\n      params:\n        model_channels: 0.5\n",
        "model: {params: {unet_config: {params: {}}, cond_stage_config: {target: a.BERTEmbedder}}}",
        "? [a]\n: b\n", "\xff\xfe",
        "model: {params: {unet_config: {params: {}}, parameterization: w}}"};
    for (size_t i = 0; i < SDI_COUNT(texts); i++) {
        sdi_env env = test_env_new();
        sdi_model_config c;
        if (apply(&env, texts[i], &c) == SDIFF_OK)
            fail_msg("accepted: %s", texts[i]);
        assert_true(test_error(&env)[0]);
        test_env_free(&env);
    }
}

/* Aliases of aliases: a small text for a billion values. */
static void test_yaml_that_explodes_is_refused(void **state)
{
    (void)state;
    char text[4096] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    size_t length = strlen(text);
    for (int i = 1; i < 12; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s*a%d",
                                       j ? ", " : "", i - 1);
        length += (size_t)snprintf(text + length, sizeof text - length, "]\n");
    }
    sdi_env env = test_env_new();
    json_t *json = NULL;
    assert_int_equal(sdi_yaml_parse(&env, "text", text, length, &json), SDIFF_ERROR_LIMIT);
    assert_null(json);
    char *deep = malloc(200000);
    assert_non_null(deep);
    memset(deep, '[', 200000);
    assert_int_equal(sdi_yaml_parse(&env, "text", deep, 200000, &json), SDIFF_ERROR_LIMIT);
    for (int i = 0; i < 200000; i++)
        deep[i] = i % 2 ? ' ' : '-';
    assert_int_equal(sdi_yaml_parse(&env, "text", deep, 200000, &json), SDIFF_ERROR_LIMIT);
    memset(deep, ']', 100000); // what a comment closes does not count
    memset(deep + 100000, '[', 100000);
    memcpy(deep, "#", 1);
    memcpy(deep + 99996, "\na: ", 4);
    assert_int_equal(sdi_yaml_parse(&env, "text", deep, 200000, &json), SDIFF_ERROR_LIMIT);
    free(deep);
    test_env_free(&env);
}

/* libyaml compares each anchor with all before it. */
static void test_yaml_of_many_anchors_is_refused(void **state)
{
    (void)state;
    enum { ANCHORS = 5000, ROOM = 16 * ANCHORS };
    char *text = malloc(ROOM);
    assert_non_null(text);
    size_t length = 0;
    for (int i = 0; i < ANCHORS; i++)
        length += (size_t)snprintf(text + length, ROOM - length, "k%d: &a%d x\n", i, i);
    sdi_env env = test_env_new();
    json_t *json = NULL;
    assert_int_equal(sdi_yaml_parse(&env, "text", text, length, &json), SDIFF_ERROR_LIMIT);
    assert_null(json);
    free(text);
    test_env_free(&env);
}

/* On a file without the network there is no width that the multipliers could mean. */
static void test_multipliers_without_channels_are_refused(void **state)
{
    (void)state;
    static const char text[] = "{\"unet\": {\"channel_mult\": [1, 2]}}";
    static const char vae[] = "{\"vae\": {\"ch_mult\": [1, 2]}}";
    sdi_env env = test_env_new();
    sdi_model_config c;
    memset(&c, 0, sizeof c);
    assert_int_equal(sdi_config_apply(&env, "text", text, strlen(text), &c), SDIFF_ERROR_FORMAT);
    assert_non_null(strstr(test_error(&env), "model_channels"));
    assert_int_equal(sdi_config_apply(&env, "text", vae, strlen(vae), &c), SDIFF_ERROR_FORMAT);
    assert_non_null(strstr(test_error(&env), "'ch'"));
    test_env_free(&env);
}

static void test_yaml_values_have_their_types(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb: 1.0e-04\nc: True\nd: '1'\ne: ~\nf: [1, 2]\ng: 007\n"
                               "h:\ni: -5\nj: a.b.C\n";
    sdi_env env = test_env_new();
    json_t *json = NULL;
    test_ok(&env, sdi_yaml_parse(&env, "text", text, sizeof text - 1, &json));
    assert_int_equal(json_integer_value(json_object_get(json, "a")), 1);
    assert_true(json_real_value(json_object_get(json, "b")) == 1e-4);
    assert_true(json_is_true(json_object_get(json, "c")));
    assert_string_equal(json_string_value(json_object_get(json, "d")), "1");
    assert_true(json_is_null(json_object_get(json, "e")));
    assert_int_equal(json_array_size(json_object_get(json, "f")), 2);
    assert_true(json_is_string(json_object_get(json, "g")));
    assert_true(json_is_null(json_object_get(json, "h")));
    assert_int_equal(json_integer_value(json_object_get(json, "i")), -5);
    assert_true(json_is_string(json_object_get(json, "j")));
    json_decref(json);
    test_env_free(&env);
}

/* What diffusers takes for members that a scheduler's file lacks. */
static void test_scheduler_defaults_are_those_of_its_class(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model_config c;
    test_ok(&env, apply(&env, "{\"_class_name\": \"EulerDiscreteScheduler\"}", &c));
    assert_int_equal(c.schedule.spacing, SDI_SPACING_LINSPACE);
    assert_int_equal(c.schedule.steps_offset, 0);
    assert_int_equal(c.schedule.clip_sample, 0);
    assert_string_equal(c.scheduler_class, "EulerDiscreteScheduler");
    test_ok(&env, apply(&env, "{\"_class_name\": \"DDIMScheduler\"}", &c));
    assert_int_equal(c.schedule.spacing, SDI_SPACING_LEADING);
    assert_int_equal(c.schedule.set_alpha_to_one, 1);
    assert_int_equal(c.schedule.clip_sample, 1);
    assert_true(c.schedule.beta_end == 0.02);
    test_ok(&env, apply(&env, "{\"_class_name\": \"LCMScheduler\"}", &c));
    assert_true(c.schedule.beta_end == 0.012);
    assert_int_equal(c.schedule.beta_schedule, SDI_BETA_SCALED_LINEAR);
    test_ok(&env, apply(&env, "{\"_class_name\": \"HeunDiscreteScheduler\"}", &c));
    assert_true(c.schedule.beta_start == 0.00085);
    assert_int_equal(c.schedule.beta_schedule, SDI_BETA_LINEAR);
    test_env_free(&env);
}

/* 1: at the lowest training level, 2: at 0, 0: not said. */
static void test_scheduler_says_where_solvers_end(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        int32_t final;
    } cases[] = {
        {"\"final_sigmas_type\": \"zero\"", 2},
        {"\"final_sigmas_type\": \"sigma_min\"", 1},
        {"\"_diffusers_version\": \"0.25.0.dev0\", \"final_sigmas_type\": \"zero\"", 2},
        {"\"_diffusers_version\": \"0.25.0.dev0\"", 1},
        {"\"_diffusers_version\": \"0.27.0.dev0\"", 0},
        {"\"_diffusers_version\": \"0.6.0\"", 0},
    };
    for (size_t k = 0; k < SDI_COUNT(cases); k++) {
        sdi_env env = test_env_new();
        sdi_model_config c;
        char json[256];
        snprintf(json, sizeof json, "{\"_class_name\": \"UniPCMultistepScheduler\", %s}",
                 cases[k].members);
        test_ok(&env, apply(&env, json, &c));
        assert_int_equal(c.schedule.final_sigma_min, cases[k].final);
        json_t *saved = sdi_save_scheduler_config(&c);
        char *text = json_dumps(saved, 0);
        assert_non_null(text);
        test_ok(&env, apply(&env, text, &c)); // a saved model ends where its original does
        assert_int_equal(c.schedule.final_sigma_min, cases[k].final);
        free(text);
        json_decref(saved);
        test_env_free(&env);
    }
}

/* Pixel-space models: attention_head_dim is a width there, null is one head. */
static void test_unconditional_networks_have_their_own_rules(void **state)
{
    (void)state;
    static const char text[] =
        "{\"_class_name\": \"UNet2DModel\", \"block_out_channels\": [32, 64], \"in_channels\": 3,"
        "\"out_channels\": 3, \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
        "\"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": %s,"
        "\"downsample_padding\": 0, \"flip_sin_to_cos\": false, \"freq_shift\": 1,"
        "\"norm_eps\": 1e-06, \"sample_size\": 32, \"add_attention\": true}";
    static const char *const values[] = {"16", "null"};
    sdi_env env = test_env_new();
    for (int i = 0; i < 2; i++) {
        char json[1024];
        sdi_model_config c;
        snprintf(json, sizeof json, text, values[i]);
        test_ok(&env, apply(&env, json, &c));
        assert_int_equal(c.unet.self_attention_only, 1);
        assert_int_equal(c.unet.cross_attention_dim, 0);
        assert_int_equal(c.unet.head_dim, i == 0 ? 16 : 0);
        assert_int_equal(c.unet.heads[1], 1);
        assert_int_equal(c.unet.attention[0], 0);
        assert_int_equal(c.unet.attention[1], 1);
        assert_int_equal(c.unet.asymmetric_downsample, 1);
        assert_int_equal(c.unet.flip_sin_to_cos, 0);
        assert_true(c.unet.freq_shift == 1);
    }
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_configurations_are_refused),
        cmocka_unit_test(test_yaml_and_flat_json_say_the_same),
        cmocka_unit_test(test_flat_json_overrides_only_what_it_says),
        cmocka_unit_test(test_flat_json_that_is_wrong_is_refused),
        cmocka_unit_test(test_yaml_that_is_wrong_is_refused),
        cmocka_unit_test(test_yaml_that_explodes_is_refused),
        cmocka_unit_test(test_yaml_of_many_anchors_is_refused),
        cmocka_unit_test(test_multipliers_without_channels_are_refused),
        cmocka_unit_test(test_yaml_values_have_their_types),
        cmocka_unit_test(test_scheduler_defaults_are_those_of_its_class),
        cmocka_unit_test(test_scheduler_says_where_solvers_end),
        cmocka_unit_test(test_unconditional_networks_have_their_own_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
