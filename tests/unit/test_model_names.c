/* SPDX-License-Identifier: MIT
 *
 * The renamings against what diffusers' conversion does with the real files' names, and the real
 * files' key lists against the networks: every tensor finds its place.
 */
#include "unit/test_model_support.h"

#include "model/names.h"

/* ---- pairs of names -------------------------------------------------------------------------- */

typedef struct pair {
    char *component, *diffusers, *ldm, *operation;
} pair;

/* Splits the next line; 0 at the end. */
static int next_pair(char **text, pair *p)
{
    char *fields[6], *line = *text;
    if (!*line)
        return 0;
    char *end = strchr(line, '\n');
    *text = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    for (int i = 0; i < 6; i++) {
        fields[i] = line;
        char *tab = strchr(line, '\t');
        if (tab)
            *tab = '\0';
        line = tab ? tab + 1 : line + strlen(line);
    }
    *p = (pair){fields[0], fields[1], fields[3], fields[5]};
    return 1;
}

/* slice[1024:2048,:] is piece 1 of 3; slice[:,:,0,0] and copy are the whole tensor. */
static void check_piece(const pair *p, const sdi_alias *alias)
{
    int from = 0, to = 0;
    if (sscanf(p->operation, "slice[%d:%d", &from, &to) == 2) {
        assert_int_equal(alias->pieces, 3);
        assert_int_equal(alias->piece, from / (to - from));
    } else {
        assert_int_equal(alias->pieces, 1);
    }
    assert_int_equal(alias->heads, 1);
}

typedef struct naming_case {
    const char *component;
    sdi_part part;
    sdi_layout layout;
    const char *prefix;
} naming_case;

static void check_map(const char *file, const naming_case *cases, size_t count, int expected)
{
    char *text = read_gz(test_shared(file)), *rest = text;
    sdi_unet_config unet;
    sdi_unet_config_init(&unet);
    int checked = 0;
    pair p;
    assert_int_equal(next_pair(&rest, &p), 1); // the head line
    while (next_pair(&rest, &p)) {
        size_t i = 0;
        while (i < count && strcmp(cases[i].component, p.component) != 0)
            i++;
        assert_true(i < count);
        sdi_naming naming = {.part = cases[i].part, .layout = cases[i].layout, .unet = &unet,
                             .vae_levels = 4};
        strcpy(naming.prefix, cases[i].prefix);
        if (strcmp(p.component, "vae") == 0 && strstr(p.diffusers, "post_quant"))
            naming.part = SDI_PART_VAE_DECODER;
        sdi_alias alias;
        if (!sdi_name_in_file(&naming, p.diffusers, 0, &alias))
            fail_msg("%s has no name in %s", p.diffusers, file);
        assert_string_equal(alias.name, p.ldm);
        check_piece(&p, &alias);
        checked++;
    }
    assert_int_equal(checked, expected);
    free(text);
}

static void test_names_of_sd15_are_those_of_the_conversion(void **state)
{
    (void)state;
    const naming_case cases[] = {
        {"unet", SDI_PART_UNET, SDI_LAYOUT_LDM, "model.diffusion_model."},
        {"vae", SDI_PART_VAE_ENCODER, SDI_LAYOUT_LDM, "first_stage_model."},
        {"text_encoder", SDI_PART_TEXT, SDI_LAYOUT_DIFFUSERS, "cond_stage_model.transformer."}};
    check_map("fixtures-ldm/key-lists/map-sd15.tsv.gz", cases, 3, 1131);
}

static void test_names_of_sd21_are_those_of_the_conversion(void **state)
{
    (void)state;
    const naming_case cases[] = {
        {"unet", SDI_PART_UNET, SDI_LAYOUT_LDM, "model.diffusion_model."},
        {"vae", SDI_PART_VAE_DECODER, SDI_LAYOUT_LDM, "first_stage_model."},
        {"text_encoder", SDI_PART_TEXT, SDI_LAYOUT_OPENCLIP, "cond_stage_model.model."}};
    check_map("fixtures-ldm/key-lists/map-sd21.tsv.gz", cases, 3, 1306);
}

static void test_names_of_moving_averages_are_those_of_the_conversion(void **state)
{
    (void)state;
    const naming_case cases[] = {{"unet", SDI_PART_UNET, SDI_LAYOUT_LDM_EMA, "model_ema."}};
    check_map("fixtures-ldm/key-lists/map-sd15-ema-unet.tsv.gz", cases, 1, 686);
}

static void test_names_of_controlnet_are_those_of_the_conversion(void **state)
{
    (void)state;
    const naming_case cases[] = {{"controlnet", SDI_PART_UNET, SDI_LAYOUT_LDM, "control_model."}};
    check_map("fixtures-ldm/key-lists/map-controlnet15.tsv.gz", cases, 1, 340);
}

static void test_names_of_old_attention_are_a_second_choice(void **state)
{
    (void)state;
    sdi_naming naming = {.part = SDI_PART_VAE_DECODER, .layout = SDI_LAYOUT_DIFFUSERS};
    const char *param = "decoder.mid_block.attentions.0.to_out.0.weight";
    sdi_alias alias;
    assert_int_equal(sdi_name_in_file(&naming, param, 0, &alias), 1);
    assert_string_equal(alias.name, param);
    assert_int_equal(sdi_name_in_file(&naming, param, 1, &alias), 1);
    assert_string_equal(alias.name, "decoder.mid_block.attentions.0.proj_attn.weight");
    assert_int_equal(sdi_name_in_file(&naming, param, 2, &alias), 0);
    assert_int_equal(sdi_name_in_file(&naming, "decoder.conv_in.weight", 1, &alias), 0);
}

static void test_names_that_are_unknown_have_no_original(void **state)
{
    (void)state;
    static const char *const names[] = {"", "down_blocks", "down_blocks.", "down_blocks.9.x.",
                                        "down_blocks.0.resnets.0.conv9.weight", "up_blocks.4.",
                                        "mid_block.attentions.1.norm.weight", "conv_inn.weight",
                                        "down_blocks.99999999999.resnets.0.conv1.weight"};
    sdi_unet_config unet;
    sdi_unet_config_init(&unet);
    sdi_naming naming = {.part = SDI_PART_UNET, .layout = SDI_LAYOUT_LDM, .unet = &unet};
    sdi_alias alias;
    for (size_t i = 0; i < SDI_COUNT(names); i++)
        assert_int_equal(sdi_name_in_file(&naming, names[i], 0, &alias), 0);
    naming.part = SDI_PART_VAE_DECODER;
    naming.vae_levels = 4;
    for (size_t i = 0; i < SDI_COUNT(names); i++)
        assert_int_equal(sdi_name_in_file(&naming, names[i], 0, &alias), 0);
}

/* A name longer than any buffer is refused, not cut. */
static void test_names_too_long_are_refused(void **state)
{
    (void)state;
    char name[600];
    memset(name, 'x', sizeof name);
    memcpy(name, "down_blocks.0.attentions.0.norm.", 32);
    name[599] = '\0';
    sdi_unet_config unet;
    sdi_unet_config_init(&unet);
    sdi_naming naming = {.part = SDI_PART_UNET, .unet = &unet, .prefix = "model.diffusion_model."};
    sdi_alias alias;
    for (int layout = SDI_LAYOUT_DIFFUSERS; layout <= SDI_LAYOUT_LDM_EMA; layout++) {
        naming.layout = (sdi_layout)layout;
        assert_int_equal(sdi_name_in_file(&naming, name, 0, &alias), 0);
    }
}

/* ---- key lists of the real files ------------------------------------------------------------- */

typedef struct list_case {
    const char *list;
    sdi_family family;
    sdi_task task;
    sdi_prediction prediction;
    int32_t in_channels;
    int64_t parameters; // of U-Net, autoencoder and text encoder
} list_case;

/* Parameter counts: all tensors of the list less schedule, position_ids (77), unused tensors of
 * OpenCLIP (text_projection 1024*1024, logit_scale 1), averages, and other networks. */
static const list_case lists[] = {
    {"sd15-v1-inference", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 4, 1066235307},
    {"sd15-v1-inference-with-ema", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 4,
     1066235307},
    {"sd15-inpainting", SDI_FAMILY_SD1, SDI_TASK_INPAINT, SDI_PREDICT_EPSILON, 9, 1066249707},
    {"sd2-v-inference", SDI_FAMILY_SD2, SDI_TASK_TEXT, SDI_PREDICT_V, 4, 1302548651},
    {"sd2-inpainting", SDI_FAMILY_SD2, SDI_TASK_INPAINT, SDI_PREDICT_EPSILON, 9, 1302563051},
    {"sd2-depth", SDI_FAMILY_SD2, SDI_TASK_DEPTH, SDI_PREDICT_EPSILON, 5, 1423747820},
    {"cldm_v15-full", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 4, 1066235307},
    {"cldm_v21-full", SDI_FAMILY_SD2, SDI_TASK_TEXT, SDI_PREDICT_V, 4, 1302548651},
};

static void check_list(const list_case *c)
{
    char path[256];
    snprintf(path, sizeof path, "fixtures-ldm/key-lists/%s.txt.gz", c->list);
    hollow h = hollow_from_list(test_shared(path));
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    test_ok(&env, hollow_open(&env, &h, NULL, &model));
    const sdi_model_config *config = sdi_model_get_config(model);
    assert_int_equal(config->family, c->family);
    assert_int_equal(config->task, c->task);
    assert_int_equal(config->schedule.prediction, c->prediction);
    assert_int_equal(config->unet.in_channels, c->in_channels);
    if (sdi_model_surplus_count(model))
        fail_msg("%s: %d surplus, first '%s'", c->list, (int)sdi_model_surplus_count(model),
                 sdi_model_surplus_name(model, 0));
    json_t *json = NULL;
    test_ok(&env, sdi_model_describe_json(&env, model, &json));
    assert_int_equal(json_integer_value(json_object_get(json, "parameters")), c->parameters);
    json_decref(json);
    assert_true(h.data_read < 1 << 20); // names and shapes are enough
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

static void test_key_lists_match_completely(void **state)
{
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(lists); i++)
        check_list(&lists[i]);
}

static void test_key_lists_of_sd15_give_the_published_configuration(void **state)
{
    (void)state;
    hollow h = hollow_from_list(test_shared("fixtures-ldm/key-lists/sd15-v1-inference.txt.gz"));
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    test_ok(&env, hollow_open(&env, &h, NULL, &model));
    sdi_unet_config unet;
    sdi_vae_config vae;
    sdi_clip_config clip;
    sdi_unet_config_init(&unet);
    sdi_vae_config_init(&vae);
    sdi_clip_config_init(&clip);
    const sdi_model_config *c = sdi_model_get_config(model);
    assert_memory_equal(&c->unet, &unet, offsetof(sdi_unet_config, heads));
    for (int i = 0; i < 4; i++)
        assert_int_equal(c->unet.heads[i], 8);
    assert_int_equal(c->unet.head_dim, 0);
    assert_int_equal(c->unet.cross_attention_dim, 768);
    assert_int_equal(c->unet.linear_projection, 0);
    test_same_vae(&c->vae, &vae);
    assert_memory_equal(&c->clip, &clip, sizeof clip);
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

/* The last level has no transformers: their depth there is the middle's. */
static void test_depth_of_the_middle_is_read_from_the_middle(void **state)
{
    (void)state;
    hollow_builder b = {0};
    hollow_add_list(&b, test_shared("fixtures-ldm/key-lists/sd15-v1-inference.txt.gz"),
                    "middle_block.1.transformer_blocks.0.", "middle_block.1.transformer_blocks.1.");
    hollow h = hollow_finish(&b);
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    test_ok(&env, hollow_open(&env, &h, NULL, &model));
    for (int i = 0; i < 4; i++)
        assert_int_equal(sdi_model_get_config(model)->unet.transformer_layers[i], i < 3 ? 1 : 2);
    assert_int_equal(sdi_model_surplus_count(model), 0);
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

/* Alone, and out of a file that holds a whole model too; 340 tensors without any left over. */
static void test_key_lists_of_controls_match_completely(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        int32_t width;
        long long parameters;
    } cases[] = {{"cldm_v15-control-only", 768, 361279120},
                 {"cldm_v21-control-only", 1024, 364228240},
                 {"cldm_v15-full", 768, 361279120},
                 {"cldm_v21-full", 1024, 364228240}};
    const sdi_model_options options = {.components = 1 << SDI_PART_CONTROL};
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        char path[256];
        snprintf(path, sizeof path, "fixtures-ldm/key-lists/%s.txt.gz", cases[i].list);
        hollow h = hollow_from_list(test_shared(path));
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        json_t *json = NULL;
        test_ok(&env, hollow_open(&env, &h, i < 2 ? NULL : &options, &model));
        const sdi_model_config *c = sdi_model_get_config(model);
        assert_int_equal(c->family, SDI_FAMILY_CONTROLNET);
        assert_int_equal(c->unet.cross_attention_dim, cases[i].width);
        assert_int_equal(c->unet.head_dim, cases[i].width == 1024 ? 64 : 0);
        assert_int_equal(c->unet.hint_levels, 4);
        assert_int_equal(c->unet.hint_channels[3], 256);
        if (i < 2)
            assert_int_equal(sdi_model_surplus_count(model), 0);
        test_ok(&env, sdi_model_describe_json(&env, model, &json));
        assert_int_equal(json_integer_value(json_object_get(json, "parameters")),
                         cases[i].parameters);
        json_decref(json);
        sdi_model_unref(model);
        test_env_free(&env);
        free(h.header);
    }
}

/* Every parameter's original name is the one that it was found under. */
static void test_ldm_names_of_parameters_are_those_of_the_file(void **state)
{
    (void)state;
    hollow h = hollow_from_list(test_shared("fixtures-ldm/key-lists/sd2-v-inference.txt.gz"));
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    test_ok(&env, hollow_open(&env, &h, NULL, &model));
    int checked = 0;
    for (int part = 0; part < SDI_PART_COUNT; part++)
        for (int32_t i = 0;; i++) {
            const sdi_tensor_ref ref = sdi_model_source_tensor(model, (sdi_part)part, i);
            char name[256];
            int32_t piece, pieces;
            if (!ref.file)
                break;
            assert_int_equal(sdi_model_ldm_name(model, (sdi_part)part, i, name, sizeof name, &piece,
                                                &pieces), 1);
            assert_string_equal(name, sdi_tensor_file_info(ref.file, ref.index)->name);
            assert_int_equal(piece, ref.piece);
            assert_int_equal(pieces, ref.pieces);
            checked++;
        }
    assert_int_equal(checked, 686 + 248 + 388);
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_sd15_are_those_of_the_conversion),
        cmocka_unit_test(test_names_of_sd21_are_those_of_the_conversion),
        cmocka_unit_test(test_names_of_moving_averages_are_those_of_the_conversion),
        cmocka_unit_test(test_names_of_controlnet_are_those_of_the_conversion),
        cmocka_unit_test(test_names_of_old_attention_are_a_second_choice),
        cmocka_unit_test(test_names_that_are_unknown_have_no_original),
        cmocka_unit_test(test_names_too_long_are_refused),
        cmocka_unit_test(test_key_lists_match_completely),
        cmocka_unit_test(test_key_lists_of_sd15_give_the_published_configuration),
        cmocka_unit_test(test_depth_of_the_middle_is_read_from_the_middle),
        cmocka_unit_test(test_key_lists_of_controls_match_completely),
        cmocka_unit_test(test_ldm_names_of_parameters_are_those_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
