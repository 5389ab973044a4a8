/* SPDX-License-Identifier: MIT
 *
 * Opening: folders and files that are models, files that are something else, tensors that are
 * missing, misshapen or surplus, and memory that runs out at every allocation.
 */
#include "unit/test_model_support.h"

#include "io/json.h"

#include <sys/stat.h>
#include <unistd.h>

#define LDM "fixtures-ldm/"

static sdiff_status open_with(const sdi_env *env, const char *path,
                              const sdi_model_options *options, sdi_model **model)
{
    const sdi_model_source source = {.path = path};
    return sdi_model_open(env, &source, options, model);
}

/* ---- folders of one's own -------------------------------------------------------------------- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sdi-model-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    test_sweep(folder);
    rmdir(folder);
    return 0;
}

static const char *inside(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(inside(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void link_into(const char *shared, const char *name)
{
    assert_int_equal(symlink(test_shared(shared), inside(name)), 0);
}

/* ---- diffusers folders ----------------------------------------------------------------------- */

typedef struct folder_case {
    const char *path;
    sdi_family family;
    sdi_task task;
    sdi_prediction prediction;
    int32_t levels, heads, groups, pad, eos;
    double scale;
    int32_t surplus;
} folder_case;

static const folder_case folders[] = {
    {"fixtures/tiny-sd1", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 4, 8, 8, 49407, 49407,
     0.18215, 0},
    {"fixtures/tiny-sd2", SDI_FAMILY_SD2, SDI_TASK_TEXT, SDI_PREDICT_V, 4, 2, 8, 0, 49407, 0.18215,
     0},
    {"fixtures/tiny-inpaint", SDI_FAMILY_SD1, SDI_TASK_INPAINT, SDI_PREDICT_EPSILON, 4, 8, 8, 49407,
     49407, 0.18215, 0},
    {"fixtures/tiny-depth", SDI_FAMILY_SD1, SDI_TASK_DEPTH, SDI_PREDICT_EPSILON, 4, 8, 8, 49407,
     49407, 0.18215, 0},
    {"tinysd/model", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 3, 4, 16, 621, 621,
     0.49892, 0},
};

static void test_folders_are_opened(void **state)
{
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(folders); i++) {
        const folder_case *c = &folders[i];
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        test_ok(&env, open_with(&env, test_shared(c->path), NULL, &model));
        const sdi_model_config *config = sdi_model_get_config(model);
        assert_int_equal(config->family, c->family);
        assert_int_equal(config->task, c->task);
        assert_int_equal(config->schedule.prediction, c->prediction);
        assert_int_equal(config->unet.levels, c->levels);
        assert_int_equal(config->unet.heads[0], c->heads);
        assert_int_equal(config->unet.norm_groups, c->groups);
        assert_int_equal(config->clip.pad_token, c->pad);
        assert_int_equal(config->clip.eos_token, c->eos);
        assert_true(config->vae.scaling_factor == c->scale);
        assert_int_equal(sdi_model_surplus_count(model), c->surplus);
        assert_non_null(sdi_model_tokenizer(model));
        assert_string_equal(sdi_model_tokenizer_reason(model), "");
        assert_null(sdi_model_weights(model, SDI_PART_UNET)); // no kernels, no values
        sdi_model_unref(model);
        test_env_free(&env);
    }
}

static void test_parts_of_folders_are_opened_alone(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        sdi_part part;
        sdi_family family;
    } parts[] = {
        {"fixtures/tiny-sd1/unet", SDI_PART_UNET, SDI_FAMILY_SD1},
        {"fixtures/tiny-sd1/vae", SDI_PART_VAE_DECODER, SDI_FAMILY_VAE},
        {"fixtures/tiny-sd2/text_encoder", SDI_PART_TEXT, SDI_FAMILY_SD2},
        {"fixtures/tiny-sd1/vae/diffusion_pytorch_model.safetensors", SDI_PART_VAE_ENCODER,
         SDI_FAMILY_VAE},
        {"fixtures/tiny-sd2/unet/diffusion_pytorch_model.safetensors", SDI_PART_UNET,
         SDI_FAMILY_SD2},
        {"fixtures/tiny-controlnet", SDI_PART_CONTROL, SDI_FAMILY_CONTROLNET},
        {"fixtures/tiny-controlnet/diffusion_pytorch_model.safetensors", SDI_PART_CONTROL,
         SDI_FAMILY_CONTROLNET},
        {LDM "controlnet.fp16.pth", SDI_PART_CONTROL, SDI_FAMILY_CONTROLNET},
        {"fixtures/tiny-depth/depth_estimator", SDI_PART_DEPTH, SDI_FAMILY_DEPTH},
        {"fixtures/tiny-depth/depth_estimator/model.safetensors", SDI_PART_DEPTH,
         SDI_FAMILY_DEPTH},
    };
    for (size_t i = 0; i < SDI_COUNT(parts); i++) {
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        test_ok(&env, open_with(&env, test_shared(parts[i].path), NULL, &model));
        assert_int_equal(sdi_model_get_config(model)->family, parts[i].family);
        for (int p = 0; p < SDI_PART_COUNT; p++) {
            const int vae = parts[i].family == SDI_FAMILY_VAE &&
                            (p == SDI_PART_VAE_ENCODER || p == SDI_PART_VAE_DECODER);
            assert_int_equal(sdi_model_get_config(model)->has[p],
                             vae || p == (int)parts[i].part);
        }
        assert_int_equal(sdi_model_surplus_count(model), 0);
        sdi_model_unref(model);
        test_env_free(&env);
    }
}

static void test_only_wanted_parts_are_opened(void **state)
{
    (void)state;
    static const char *const paths[] = {"fixtures/tiny-sd1", LDM "sd1-tiny.fp16.safetensors"};
    sdi_kernels kernels;
    sdi_kernels_init(&kernels, 0, SDI_F32);
    for (size_t i = 0; i < SDI_COUNT(paths); i++) {
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        const sdi_model_options options = {.kernels[SDI_PART_UNET] = &kernels,
                                           .components = 1 << SDI_PART_VAE_DECODER};
        test_ok(&env, open_with(&env, test_shared(paths[i]), &options, &model));
        assert_non_null(sdi_model_weights(model, SDI_PART_VAE_DECODER));
        assert_null(sdi_model_weights(model, SDI_PART_VAE_ENCODER));
        assert_null(sdi_model_weights(model, SDI_PART_UNET));
        assert_null(sdi_model_tokenizer(model));
        assert_true(sdi_model_get_config(model)->has[SDI_PART_UNET]);
        assert_int_equal(sdi_model_surplus_count(model), 0);
        sdi_model *second = sdi_model_ref(model);
        sdi_model_unref(model);
        assert_string_equal(sdi_model_name(second), test_shared(paths[i]));
        sdi_model_unref(second);
        test_env_free(&env);
    }
}

/* A folder whose other parts are missing serves those who need the U-Net alone. */
static void test_missing_parts_count_only_when_wanted(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const sdi_model_options unet = {.components = 1 << SDI_PART_UNET};
    link_into("fixtures/tiny-sd1/model_index.json", "model_index.json");
    link_into("fixtures/tiny-sd1/unet", "unet");
    assert_int_equal(open_with(&env, folder, NULL, &model), SDIFF_ERROR_IO);
    assert_non_null(strstr(test_error(&env), "vae"));
    test_ok(&env, open_with(&env, folder, &unet, &model));
    assert_false(sdi_model_get_config(model)->has[SDI_PART_TEXT]);
    sdi_model_unref(model);
    test_env_free(&env);
}

/* A U-Net's configuration or index from fixtures-ldm/bad in an otherwise sound folder. */
static void check_bad_part(const char *bad, const char *name, sdiff_status *status, char *text)
{
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    char path[256];
    snprintf(path, sizeof path, LDM "bad/%s", bad);
    link_into("fixtures/tiny-sd1/model_index.json", "model_index.json");
    link_into("fixtures/tiny-sd1/vae", "vae");
    link_into("fixtures/tiny-sd1/text_encoder", "text_encoder");
    assert_int_equal(mkdir(inside("unet"), 0700), 0);
    assert_int_equal(mkdir(inside("scheduler"), 0700), 0);
    if (strncmp(name, "unet/config", 11) != 0)
        link_into("fixtures/tiny-sd1/unet/config.json", "unet/config.json");
    if (strncmp(name, "unet/diff", 9) != 0)
        link_into("fixtures/tiny-sd1/unet/diffusion_pytorch_model.safetensors",
                  "unet/diffusion_pytorch_model.safetensors");
    link_into(path, name);
    *status = open_with(&env, folder, NULL, &model);
    assert_null(model);
    snprintf(text, 1024, "%s", test_error(&env));
    test_env_free(&env);
    test_sweep(folder);
    rmdir(folder);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_bad_files_in_folders_are_refused(void **state)
{
    (void)state;
    static const char *const files[][3] = {
        {"config-unet-channels-negative.json", "unet/config.json", "block_out_channels"},
        {"config-unet-head-dim-list-short.json", "unet/config.json", "attention_head_dim"},
        {"config-unet-class-wrong.json", "unet/config.json", "FluxTransformer2DModel"},
        {"config-unet-valid.json", "unet/config.json", "needs"}, // of another network
        {"config-empty.json", "unet/config.json", "empty"},
        {"config-scheduler-beta-over-1.json", "scheduler/scheduler_config.json", "beta_end"},
        {"config-scheduler-class-unknown.json", "scheduler/scheduler_config.json", "Evil"},
        {"index-traversal.safetensors.index.json",
         "unet/diffusion_pytorch_model.safetensors.index.json", "passwd"},
        {"index-missing-shard.safetensors.index.json",
         "unet/diffusion_pytorch_model.safetensors.index.json", "nope"},
        {"st-header-len-max.safetensors", "unet/diffusion_pytorch_model.safetensors", "header"},
    };
    for (size_t i = 0; i < SDI_COUNT(files); i++) {
        sdiff_status status;
        char text[1024];
        check_bad_part(files[i][0], files[i][1], &status, text);
        if (status == SDIFF_OK || !strstr(text, files[i][2]))
            fail_msg("%s: '%s' does not speak of '%s'", files[i][0], text, files[i][2]);
    }
}

/* ---- what is no model ------------------------------------------------------------------------ */

static void check_refused(const char *path, sdiff_status expected, const char *word)
{
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const sdiff_status status = open_with(&env, path, NULL, &model);
    if (status != expected || !strstr(test_error(&env), word))
        fail_msg("%s: status %d, '%s' was to speak of '%s'", path, (int)status, test_error(&env),
                 word);
    assert_null(model);
    test_env_free(&env);
}

static void test_what_is_no_model_is_called_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        sdiff_status status;
        const char *word;
    } cases[] = {
        {"fixtures", SDIFF_ERROR_UNSUPPORTED, "is not a model"},
        {"fixtures/none", SDIFF_ERROR_IO, "fixtures/none"},
        {"fixtures/rng/torch_cpu_randn.safetensors", SDIFF_ERROR_UNSUPPORTED, "none of the"},
        {LDM "ti-diffusers.safetensors", SDIFF_ERROR_UNSUPPORTED, "a textual inversion"},
        {LDM "ti-a1111.safetensors", SDIFF_ERROR_UNSUPPORTED, "a textual inversion"},
        {LDM "ti-original.pt", SDIFF_ERROR_UNSUPPORTED, "a textual inversion"},
        {LDM "bad/st-empty-object.safetensors", SDIFF_ERROR_UNSUPPORTED, "no tensors"},
        {LDM "bad/st-valid-baseline.safetensors", SDIFF_ERROR_UNSUPPORTED, "none of the 2"},
        {LDM "bad/png-1x1.png", SDIFF_ERROR_FORMAT, "png-1x1"},
        {LDM "bad/model_index-traversal", SDIFF_ERROR_FORMAT, "../../../etc"},
        {LDM "bad/model_index-types", SDIFF_ERROR_FORMAT, "'unet'"},
        {LDM "bad/model_index-wrong-class", SDIFF_ERROR_UNSUPPORTED, "FluxPipeline"},
    };
    for (size_t i = 0; i < SDI_COUNT(cases); i++)
        check_refused(test_shared(cases[i].path), cases[i].status, cases[i].word);
}

/* Names alone decide, whatever the file is called. */
static void check_foreign(const char *tensor, const char *word)
{
    hollow_builder b = {0};
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    hollow_add(&b, tensor, "[4,4]", "F16");
    hollow h = hollow_finish(&b);
    assert_int_equal(hollow_open(&env, &h, NULL, &model), SDIFF_ERROR_UNSUPPORTED);
    if (!strstr(test_error(&env), word))
        fail_msg("%s: '%s' does not speak of '%s'", tensor, test_error(&env), word);
    test_env_free(&env);
    free(h.header);
}

static void test_other_checkpoints_are_called_by_their_names(void **state)
{
    (void)state;
    check_foreign("conditioner.embedders.1.model.ln_final.weight", "Stable Diffusion XL");
    check_foreign("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "Flux");
    check_foreign("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3");
    check_foreign("lora_unet_down_blocks_0.lora_up.weight", "a LoRA");
    check_foreign("unet.down_blocks.0.attn1.to_q.lora_A.weight", "a LoRA");
    check_foreign("control_model.input_hint_block.0.weight", "incomplete ControlNet");
    check_foreign("model.layers.0.mlp.weight", "a language model");
    check_foreign("something", "'something'");
}

static void test_source_must_be_one(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const sdi_model_source none = {0}, two = {.path = "a", .bytes = "b", .size = 1};
    assert_int_equal(sdi_model_open(&env, &none, NULL, &model), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_model_open(&env, &two, NULL, &model), SDIFF_ERROR_INVALID_ARGUMENT);
    test_env_free(&env);
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* The names and shapes of a file, with one of them changed: NULL leaves it away. */
static hollow altered(const char *shared, const char *name, const char *new_name,
                      const char *new_shape, const char *new_type)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    hollow_builder b = {0};
    test_ok(&env, sdi_tensor_file_open_path(&env, test_shared(shared), &file));
    for (int32_t i = 0; i < sdi_tensor_file_count(file); i++) {
        const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
        char shape[128] = "[";
        for (int32_t d = 0; d < info->rank; d++)
            snprintf(shape + strlen(shape), 24, "%s%lld", d ? "," : "", (long long)info->shape[d]);
        strcat(shape, "]");
        const int chosen = strcmp(info->name, name) == 0;
        if (!chosen)
            hollow_add(&b, info->name, shape, sdi_dtype_name(info->dtype));
        else if (new_name)
            hollow_add(&b, new_name, new_shape ? new_shape : shape, new_type ? new_type : "F16");
    }
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
    return hollow_finish(&b);
}

#define CONV "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
#define QKV "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"

static void check_altered(const char *shared, const char *name, const char *new_name,
                          const char *shape, const char *type, const char *const *words)
{
    static const char config[] = "{\"unet\": {\"num_heads\": 4}, \"text\": {\"heads\": 3}}";
    hollow h = altered(shared, name, new_name, shape, type);
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const sdi_model_options options = {.config_text = config, .config_size = sizeof config - 1};
    assert_int_equal(hollow_open(&env, &h, &options, &model), SDIFF_ERROR_MISMATCH);
    for (; *words; words++)
        if (!strstr(test_error(&env), *words))
            fail_msg("'%s' does not speak of '%s'", test_error(&env), *words);
    test_env_free(&env);
    free(h.header);
}

static void test_missing_and_misshapen_tensors_are_named(void **state)
{
    (void)state;
    const char *tiny = LDM "sd1-tiny.fp16.safetensors", *v = LDM "sd2-v.fp16.safetensors";
    const char *const missing[] = {"model.diffusion_model.out.0.bias", "missing", "[32]", NULL};
    const char *const shape[] = {"input_blocks.1.0.in_layers.0.weight", "[33]", "[32]", NULL};
    const char *const type[] = {CONV, "I64", NULL};
    const char *const fused[] = {QKV, "[140,48]", "[144,48]", NULL};
    const char *const fused_missing[] = {QKV, "[144,48]", NULL};
    check_altered(tiny, "model.diffusion_model.out.0.bias", NULL, NULL, NULL, missing);
    check_altered(tiny, "model.diffusion_model.input_blocks.1.0.in_layers.0.weight",
                  "model.diffusion_model.input_blocks.1.0.in_layers.0.weight", "[33]", NULL, shape);
    check_altered(tiny, CONV, CONV, NULL, "I64", type);
    check_altered(v, QKV, QKV, "[140,48]", NULL, fused);
    check_altered(v, QKV, NULL, NULL, NULL, fused_missing);
}

static void test_ones_at_the_end_of_shapes_do_not_matter(void **state)
{
    (void)state;
    static const char *const changes[][3] = {
        {"first_stage_model.encoder.mid.attn_1.q.weight", "[32,32]",
         LDM "sd1-tiny.fp16.safetensors"},
        {"model.diffusion_model.middle_block.1.proj_in.weight", "[64,64,1,1]",
         LDM "sd2-v.fp16.safetensors"},
    };
    static const char config[] = "{\"unet\": {\"num_heads\": 4}, \"text\": {\"heads\": 3}}";
    const sdi_model_options options = {.config_text = config, .config_size = sizeof config - 1};
    for (size_t i = 0; i < SDI_COUNT(changes); i++) {
        hollow h = altered(changes[i][2], changes[i][0], changes[i][0], changes[i][1], NULL);
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        test_ok(&env, hollow_open(&env, &h, &options, &model));
        sdi_model_unref(model);
        test_env_free(&env);
        free(h.header);
    }
}

static void test_surplus_tensors_are_reported(void **state)
{
    (void)state;
    static const char config[] = "{\"unet\": {\"num_heads\": 4}}";
    const sdi_model_options options = {.config_text = config, .config_size = sizeof config - 1};
    hollow h = altered(LDM "sd1-tiny.fp16.safetensors", "betas", "model.diffusion_model.extra",
                       NULL, NULL);
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    json_t *json = NULL;
    test_ok(&env, hollow_open(&env, &h, &options, &model));
    assert_int_equal(sdi_model_surplus_count(model), 1);
    assert_string_equal(sdi_model_surplus_name(model, 0), "model.diffusion_model.extra");
    assert_null(sdi_model_surplus_name(model, 1));
    assert_int_equal(sdi_model_ignored_count(model), 12); // the schedule but betas, position_ids
    test_ok(&env, sdi_model_describe_json(&env, model, &json));
    assert_int_equal(json_array_size(json_object_get(json, "unmatched")), 1);
    json_decref(json);
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

/* Digits and letters of a header changed at random: any answer, but no crash and no leak. */
static void check_mutations(const char *shared, uint64_t seed, int rounds)
{
    static const char digits[] = "0123456789";
    for (int round = 0; round < rounds; round++) {
        hollow h = altered(shared, "", NULL, NULL, NULL);
        for (int change = 0; change < 3; change++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const uint64_t at = 8 + (seed >> 33) % (h.header_size - 8);
            if (h.header[at] >= '0' && h.header[at] <= '9')
                h.header[at] = digits[(seed >> 20) % 10];
            else if (h.header[at] >= 'a' && h.header[at] <= 'z')
                h.header[at] = (char)('a' + (seed >> 20) % 26);
        }
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        const sdiff_status status = hollow_open(&env, &h, NULL, &model);
        assert_int_equal(status == SDIFF_OK, model != NULL);
        assert_true(status == SDIFF_OK || test_error(&env)[0]);
        sdi_model_unref(model);
        test_env_free(&env);
        free(h.header);
    }
}

static void test_mutated_headers_are_survived(void **state)
{
    (void)state;
    check_mutations(LDM "sd1-tiny.fp16.safetensors", 1, 100);
    check_mutations(LDM "sd2-depth.fp16.safetensors", 2, 100);
    check_mutations(LDM "vae-tiny.fp16.safetensors", 3, 100);
    check_mutations("tinysd/model/vae/diffusion_pytorch_model.safetensors", 4, 100);
}

/* ---- inference ------------------------------------------------------------------------------- */

typedef struct alone_case {
    const char *file;
    sdi_family family;
    sdi_task task;
    sdi_prediction prediction;
    int32_t text; // its heads can be told
    sdiff_status unet;
} alone_case;

/* Files without their configuration: structure, family and task are knowable, head counts only by
 * the published models' rule (8 heads; 64 a head in SD 2, which these small channels do
 * not have). */
static void test_files_alone_tell_what_is_knowable(void **state)
{
    (void)state;
    static const alone_case cases[] = {
        {"sd1-tiny.fp16.safetensors", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 1,
         SDIFF_OK},
        {"sd1-full-structure.fp16.safetensors", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON,
         0, SDIFF_OK},
        {"sd1-inpaint.fp16.safetensors", SDI_FAMILY_SD1, SDI_TASK_INPAINT, SDI_PREDICT_EPSILON, 1,
         SDIFF_OK},
        {"sd1-micro.ckpt", SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 1, SDIFF_OK},
        {"sd2-v.fp16.safetensors", SDI_FAMILY_SD2, SDI_TASK_TEXT, SDI_PREDICT_V, 1,
         SDIFF_ERROR_FORMAT},
        {"sd2-depth.fp16.safetensors", SDI_FAMILY_SD2, SDI_TASK_DEPTH, SDI_PREDICT_EPSILON, 1,
         SDIFF_ERROR_FORMAT},
        {"vae-tiny-tricky.vae.pt", SDI_FAMILY_VAE, SDI_TASK_TEXT, SDI_PREDICT_EPSILON, 1, SDIFF_OK},
    };
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        const alone_case *c = &cases[i];
        char path[256];
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        const sdi_model_options unet = {.components = 1 << SDI_PART_UNET};
        const sdi_model_options text = {.components = 1 << SDI_PART_TEXT};
        const sdi_model_options vae = {.components = 1 << SDI_PART_VAE_DECODER};
        snprintf(path, sizeof path, LDM "%s", c->file);
        link_into(path, c->file);
        test_ok(&env, open_with(&env, inside(c->file), &vae, &model));
        assert_int_equal(sdi_model_get_config(model)->family, c->family);
        assert_int_equal(sdi_model_get_config(model)->task, c->task);
        assert_int_equal(sdi_model_get_config(model)->schedule.prediction, c->prediction);
        assert_int_equal(sdi_model_get_config(model)->heads_from, SDI_FROM_DEFAULT);
        sdi_model_unref(model);
        const sdiff_status status = open_with(&env, inside(c->file), &unet, &model);
        assert_int_equal(status, c->unet);
        if (status != SDIFF_OK)
            assert_non_null(strstr(test_error(&env), "configuration"));
        sdi_model_unref(model);
        assert_int_equal(open_with(&env, inside(c->file), &text, &model) == SDIFF_OK, c->text);
        sdi_model_unref(model);
        test_env_free(&env);
    }
}

/* Which of several configurations is taken. */
static void test_configurations_are_found_beside_the_file(void **state)
{
    (void)state;
    static const char v[] = "{\"prediction\": \"v\"}", x[] = "{\"prediction\": \"x0\"}";
    const sdi_model_options options = {.components = 1 << SDI_PART_VAE_DECODER};
    const sdi_model_options override = {.components = 1 << SDI_PART_VAE_DECODER,
                                        .prediction = 1 + SDI_PREDICT_EPSILON};
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const char *path = NULL;
    link_into(LDM "sd1-tiny.fp16.safetensors", "a.b.fp16.safetensors");
    path = inside("a.b.fp16.safetensors");
    link_into(LDM "sd1-tiny.yaml", "v1-inference.yaml"); // fits, as the only one
    link_into(LDM "sd2-v.fp16.yaml", "v2-inference-v.yaml");
    test_ok(&env, open_with(&env, path, &options, &model));
    assert_int_equal(sdi_model_get_config(model)->heads_from, SDI_FROM_CONFIG);
    assert_int_equal(sdi_model_get_config(model)->unet.heads[0], 4);
    sdi_model_unref(model);
    write_file("a.b.yaml", "", 0); // its own name counts, even when it is bad
    path = inside("a.b.fp16.safetensors");
    assert_int_equal(open_with(&env, path, &options, &model), SDIFF_ERROR_FORMAT);
    write_file("a.b.config.json", v, sizeof v - 1);
    path = inside("a.b.fp16.safetensors");
    test_ok(&env, open_with(&env, path, &options, &model));
    assert_int_equal(sdi_model_get_config(model)->schedule.prediction, SDI_PREDICT_V);
    assert_int_equal(sdi_model_get_config(model)->unet.heads[0], 8);
    sdi_model_unref(model);
    write_file("a.b.fp16.config.json", x, sizeof x - 1);
    path = inside("a.b.fp16.safetensors");
    test_ok(&env, open_with(&env, path, &options, &model));
    assert_int_equal(sdi_model_get_config(model)->schedule.prediction, SDI_PREDICT_SAMPLE);
    sdi_model_unref(model);
    test_ok(&env, open_with(&env, path, &override, &model));
    assert_int_equal(sdi_model_get_config(model)->schedule.prediction, SDI_PREDICT_EPSILON);
    assert_int_equal(sdi_model_get_config(model)->prediction_from, SDI_FROM_OPTION);
    sdi_model_unref(model);
    test_env_free(&env);
}

static void test_markers_in_the_file_tell_the_prediction(void **state)
{
    (void)state;
    static const char config[] = "{\"unet\": {\"num_heads\": 4}}";
    const sdi_model_options options = {.config_text = config, .config_size = sizeof config - 1};
    hollow h = altered(LDM "sd1-tiny.fp16.safetensors", "betas", "v_pred", "[0]", NULL);
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    test_ok(&env, hollow_open(&env, &h, &options, &model));
    assert_int_equal(sdi_model_get_config(model)->schedule.prediction, SDI_PREDICT_V);
    assert_int_equal(sdi_model_get_config(model)->prediction_from, SDI_FROM_FILE);
    assert_int_equal(sdi_model_surplus_count(model), 0);
    sdi_model_unref(model);
    test_env_free(&env);
    free(h.header);
}

static void test_averages_that_are_absent_are_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"fixtures/tiny-sd1", LDM "sd1-tiny.fp16.safetensors"};
    const sdi_model_options options = {.ema = 1};
    for (size_t i = 0; i < SDI_COUNT(paths); i++) {
        sdi_env env = test_env_new();
        sdi_model *model = NULL;
        assert_int_equal(open_with(&env, test_shared(paths[i]), &options, &model),
                         SDIFF_ERROR_MISMATCH);
        assert_non_null(strstr(test_error(&env), "moving averages"));
        test_env_free(&env);
    }
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

static void test_vocabulary_is_looked_for_in_order(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    const char *path = test_shared(LDM "sd1-full-structure.fp16.safetensors");
    const char *config = test_shared(LDM "sd1-full-structure.config.json");
    link_into(LDM "sd1-full-structure.fp16.safetensors", "m.safetensors");
    sdi_model_options o = {.config = config};
    test_ok(&env, open_with(&env, inside("m.safetensors"), &o, &model));
    assert_null(sdi_model_tokenizer(model));
    assert_non_null(strstr(sdi_model_tokenizer_reason(model), "--vocab"));
    sdi_model_unref(model);
    o.data_dir = test_shared("fixtures/clip-vocab");
    test_ok(&env, open_with(&env, inside("m.safetensors"), &o, &model));
    assert_int_equal(sdi_tokenizer_vocab_size(sdi_model_tokenizer(model)), 49408);
    sdi_model_unref(model);
    o.vocab = test_shared("tinysd/model"); // the caller's choice, although it does not fit
    test_ok(&env, open_with(&env, path, &o, &model));
    assert_int_equal(sdi_tokenizer_vocab_size(sdi_model_tokenizer(model)), 622);
    sdi_model_unref(model);
    o.vocab = test_shared("fixtures/rng");
    assert_int_equal(open_with(&env, path, &o, &model), SDIFF_ERROR_IO);
    test_env_free(&env);
}

/* ---- descriptions, memory -------------------------------------------------------------------- */

static void test_descriptions_say_what_the_model_is(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = NULL;
    json_t *json = NULL;
    char *text = NULL;
    test_ok(&env, open_with(&env, test_shared("fixtures/tiny-sd2"), NULL, &model));
    test_ok(&env, sdi_model_describe_json(&env, model, &json));
    assert_string_equal(json_string_value(json_object_get(json, "family")), "sd2");
    assert_string_equal(json_string_value(json_object_get(json, "prediction")), "v_prediction");
    const json_t *unet = json_object_get(json, "unet");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(unet, "heads"), 3)), 8);
    assert_true(json_integer_value(json_object_get(json_object_get(unet, "dtypes"), "F32")) > 0);
    json_decref(json);
    test_ok(&env, sdi_model_describe_text(&env, model, &text));
    assert_non_null(strstr(text, "family: sd2\n"));
    assert_non_null(strstr(text, "  heads: 2 4 4 8\n"));
    sdi_free(&env, text);
    sdi_model_unref(model);
    test_env_free(&env);
}

static void check_starved(const char *path, const sdi_model_options *options)
{
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    uint64_t step = 1;
    for (uint64_t n = 1; status != SDIFF_OK; n += step) {
        const sdi_mem_params params = {.fail_at = n};
        sdi_env env = test_env_with(&params);
        sdi_model *model = NULL;
        status = open_with(&env, path, options, &model);
        if (status != SDIFF_OK && status != SDIFF_ERROR_NO_MEMORY)
            fail_msg("allocation %llu: %s", (unsigned long long)n, test_error(&env));
        assert_int_equal(status == SDIFF_OK, model != NULL);
        sdi_model_unref(model);
        test_env_free(&env);
        step = n < 300 ? 1 : 1 + n / 20; // names of parameters: one is like the other
    }
}

static void test_memory_that_runs_out_is_reported(void **state)
{
    (void)state;
    sdi_kernels kernels;
    sdi_kernels_init(&kernels, 0, SDI_F32);
    sdi_env env = test_env_new();
    sdi_pool *pool = NULL;
    test_ok(&env, sdi_pool_new(&env, 2, NULL, NULL, &pool));
    const char *vae = test_shared(LDM "vae-tiny.fp16.safetensors");
    const sdi_model_options filled = {.kernels[SDI_PART_UNET] = &kernels, .pool = pool, .vae = vae};
    const sdi_model_options unet = {.kernels[SDI_PART_UNET] = &kernels,
                                    .components = 1 << SDI_PART_UNET};
    check_starved(test_shared(LDM "sd2-v.fp16.safetensors"), &filled);
    check_starved(test_shared(LDM "sd1-micro.ckpt"), &unet);
    check_starved(test_shared("fixtures/tiny-sd2"), &unet);
    check_starved(test_shared("tinysd/model"), NULL);
    sdi_pool_free(&env, pool);
    test_env_free(&env);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_are_opened),
        cmocka_unit_test(test_parts_of_folders_are_opened_alone),
        cmocka_unit_test(test_only_wanted_parts_are_opened),
        IN_FOLDER(test_missing_parts_count_only_when_wanted),
        IN_FOLDER(test_bad_files_in_folders_are_refused),
        cmocka_unit_test(test_what_is_no_model_is_called_by_its_name),
        cmocka_unit_test(test_other_checkpoints_are_called_by_their_names),
        cmocka_unit_test(test_source_must_be_one),
        cmocka_unit_test(test_missing_and_misshapen_tensors_are_named),
        cmocka_unit_test(test_ones_at_the_end_of_shapes_do_not_matter),
        cmocka_unit_test(test_surplus_tensors_are_reported),
        cmocka_unit_test(test_mutated_headers_are_survived),
        IN_FOLDER(test_files_alone_tell_what_is_knowable),
        IN_FOLDER(test_configurations_are_found_beside_the_file),
        cmocka_unit_test(test_markers_in_the_file_tell_the_prediction),
        cmocka_unit_test(test_averages_that_are_absent_are_refused),
        IN_FOLDER(test_vocabulary_is_looked_for_in_order),
        cmocka_unit_test(test_descriptions_say_what_the_model_is),
        cmocka_unit_test(test_memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
