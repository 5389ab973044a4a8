/* SPDX-License-Identifier: MIT
 *
 * Models of every kind, saved in both layouts and opened again: packed weights and the networks'
 * results have to be the same bits where the type holds the values.
 */
#include "models.h"

#include "api/handle.h"
#include "nn/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sdi-save-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    test_sweep(folder);
    rmdir(folder);
    return 0;
}

static const char *place(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void same_param(const sdi_weights *a, int32_t i, const sdi_weights *b)
{
    const int32_t k = sdi_weights_find(b, a->params[i].name);
    const size_t count = (size_t)a->params[i].count;
    if (k < 0)
        fail_msg("'%s' is gone", a->params[i].name);
    float *x = malloc(count * sizeof *x), *y = malloc(count * sizeof *y);
    assert_true(x && y);
    assert_int_equal(a->params[i].count, b->params[k].count);
    sdi_weights_read(a, i, x);
    sdi_weights_read(b, k, y);
    if (memcmp(x, y, count * sizeof *x) != 0)
        fail_msg("'%s' differs", a->params[i].name);
    free(x);
    free(y);
}

/* All parameters of `saved` are in `original`, which may have a layer without use. */
static void same_weights(const sdiff_model *saved, const sdiff_model *original)
{
    for (int32_t p = 0; p < SDI_PART_COUNT; p++) {
        const sdi_weights *a = sdi_model_weights(saved->model, (sdi_part)p);
        const sdi_weights *b = sdi_model_weights(original->model, (sdi_part)p);
        assert_true(!a == !b);
        for (int32_t i = 0; a && i < a->count; i++)
            same_param(a, i, b);
        if (a && p != SDI_PART_TEXT)
            assert_int_equal(a->count, b->count);
    }
}

static void same_result(sdiff_context *context, sdiff_model *saved, sdiff_model *original,
                        const char *component, sdiff_tensors *in, const char *output)
{
    sdiff_tensors *a = models_run(context, saved, component, in);
    sdiff_tensors *b = models_run(context, original, component, in);
    models_same(a, b, output);
    sdiff_tensors_free(a);
    sdiff_tensors_free(b);
    sdiff_tensors_free(in);
}

static void same_text(sdiff_context *context, sdiff_model *saved, sdiff_model *original)
{
    const sdi_clip_config *clip = &sdi_model_get_config(original->model)->clip;
    const int64_t shape[2] = {1, 77};
    int64_t ids[77];
    sdiff_tensors *in = models_tensors(context);
    for (int32_t i = 0; i < 77; i++)
        ids[i] = i * 7 % clip->vocab_size;
    assert_int_equal(sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, ids), SDIFF_OK);
    same_result(context, saved, original, "text", in, "context");
    assert_int_equal(sdi_model_get_config(saved->model)->clip.pad_token, clip->pad_token);
}

static void same_unet(sdiff_context *context, sdiff_model *saved, sdiff_model *original)
{
    const sdi_unet_config *c = &sdi_model_get_config(original->model)->unet;
    const int64_t sample[4] = {1, c->in_channels, 16, 16}, one[1] = {1};
    const int64_t text[3] = {1, 77, c->cross_attention_dim};
    const float timestep = 333;
    sdiff_tensors *in = models_tensors(context);
    models_random(in, "sample", 4, sample, 1);
    assert_int_equal(sdiff_tensors_set(in, "timestep", SDIFF_DTYPE_F32, 1, one, &timestep),
                     SDIFF_OK);
    if (c->cross_attention_dim)
        models_random(in, "context", 3, text, 2);
    same_result(context, saved, original, "unet", in, "out");
}

static void same_vae(sdiff_context *context, sdiff_model *saved, sdiff_model *original)
{
    const sdi_vae_config *c = &sdi_model_get_config(original->model)->vae;
    const int64_t image[4] = {1, c->image_channels, 32, 32}, z[4] = {1, c->latent_channels, 4, 4};
    sdiff_tensors *in = models_tensors(context);
    models_random(in, "image", 4, image, 3);
    same_result(context, saved, original, "vae-encode", in, "mean");
    in = models_tensors(context);
    models_random(in, "z", 4, z, 4);
    same_result(context, saved, original, "vae-decode", in, "image");
    assert_true(sdi_model_get_config(saved->model)->vae.scaling_factor == c->scaling_factor);
}

static void same_schedule(const sdi_schedule_config *a, const sdi_schedule_config *b)
{
    assert_int_equal(a->train_timesteps, b->train_timesteps);
    assert_true(a->beta_start == b->beta_start && a->beta_end == b->beta_end);
    assert_int_equal(a->beta_schedule, b->beta_schedule);
    assert_int_equal(a->prediction, b->prediction);
    assert_int_equal(a->spacing, b->spacing);
    assert_int_equal(a->steps_offset, b->steps_offset);
    assert_int_equal(a->final_sigma_min, b->final_sigma_min);
    assert_int_equal(a->set_alpha_to_one, b->set_alpha_to_one);
    assert_int_equal(a->zero_terminal_snr, b->zero_terminal_snr);
    assert_int_equal(a->clip_sample, b->clip_sample);
    assert_true(a->clip_sample_range == b->clip_sample_range);
}

static void same_model(sdiff_context *context, sdiff_model *saved, sdiff_model *original)
{
    const sdi_model_config *a = sdi_model_get_config(saved->model);
    const sdi_model_config *b = sdi_model_get_config(original->model);
    same_weights(saved, original);
    assert_int_equal(a->family, b->family);
    assert_int_equal(a->task, b->task);
    if (b->has[SDI_PART_TEXT])
        same_text(context, saved, original);
    if (b->has[SDI_PART_UNET]) {
        same_unet(context, saved, original);
        same_schedule(&a->schedule, &b->schedule);
    }
    if (b->has[SDI_PART_VAE_DECODER])
        same_vae(context, saved, original);
}

/* ---- round trips ----------------------------------------------------------------------------- */

static void save(sdiff_model *model, const char *path, int32_t format, int32_t dtype)
{
    sdiff_save_params params;
    sdiff_save_params_init(&params, sizeof params);
    params.format = format;
    params.dtype = dtype;
    models_ok(model, sdiff_model_save(model, path, &params));
}

static void round_trip(sdiff_context *context, sdiff_model *original, int32_t format, int32_t dtype)
{
    char path[256];
    snprintf(path, sizeof path, "%s", place(format == SDIFF_SAVE_LDM ? "m.safetensors" : "m"));
    save(original, path, format, dtype);
    sdiff_model *saved = models_open(context, path);
    same_model(context, saved, original);
    sdiff_model_free(saved);
    test_sweep(path);
    rmdir(path);
    unlink(path);
}

static void test_saved_models_read_back_to_the_same_bits(void **state)
{
    static const char *const models[] = {
        "fixtures/tiny-sd1", "fixtures/tiny-sd2", "fixtures/tiny-inpaint", "fixtures/tiny-depth",
        "fixtures-ldm/sd1-micro.fp32.safetensors", "fixtures-ldm/sd1-micro.bf16.safetensors",
        "fixtures-ldm/sd1-tiny.fp16.safetensors", "fixtures-ldm/sd1-micro.ckpt",
        "fixtures-ldm/sd1-full-structure.fp16.safetensors",
        "fixtures-ldm/sd1-inpaint.fp16.safetensors",
        "fixtures-ldm/sd2-v.fp16.safetensors", "fixtures-ldm/sd2-depth.fp16.safetensors",
        "fixtures-ldm/vae-tiny.fp16.safetensors", "fixtures-ldm/vae-tiny-tricky.vae.pt"};
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        sdiff_context *context = models_context();
        sdiff_model *model = models_open(context, test_shared(models[i]));
        printf("%s\n", models[i]);
        round_trip(context, model, SDIFF_SAVE_LDM, SDIFF_SAVE_KEEP);
        round_trip(context, model, SDIFF_SAVE_DIFFUSERS, SDIFF_SAVE_KEEP);
        round_trip(context, model, SDIFF_SAVE_LDM, SDIFF_SAVE_F32);
        round_trip(context, model, SDIFF_SAVE_DIFFUSERS, SDIFF_SAVE_F32);
        sdiff_model_free(model);
        sdiff_context_free(context);
    }
}

/* ---- networks that stand alone --------------------------------------------------------------- */

static void same_network(sdiff_model *saved, sdiff_model *model)
{
    const sdi_model_config *a = sdi_model_get_config(saved->model);
    const sdi_model_config *b = sdi_model_get_config(model->model);
    same_weights(saved, model);
    assert_int_equal(a->family, b->family);
    if (b->has[SDI_PART_DEPTH]) {
        assert_memory_equal(&a->depth, &b->depth, sizeof a->depth);
        assert_memory_equal(&a->depth_input, &b->depth_input, sizeof a->depth_input);
    }
    for (int32_t k = 0; b->has[SDI_PART_CONTROL] && k < b->unet.levels; k++) {
        const int32_t width = b->unet.block_out_channels[k];
        assert_int_equal(a->unet.head_dim ? width / a->unet.head_dim : a->unet.heads[k],
                         b->unet.head_dim ? width / b->unet.head_dim : b->unet.heads[k]);
    }
    assert_int_equal(a->unet.norm_groups, b->unet.norm_groups);
    assert_memory_equal(&a->taesd, &b->taesd, sizeof a->taesd);
}

static void save_network(const char *path)
{
    static const char *const names[] = {[SDIFF_SAVE_LDM] = "n.safetensors",
                                        [SDIFF_SAVE_DIFFUSERS] = "n"};
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, path);
    printf("%s\n", path);
    for (int32_t format = SDIFF_SAVE_LDM; format <= SDIFF_SAVE_DIFFUSERS; format++) {
        save(model, place(names[format]), format, SDIFF_SAVE_KEEP);
        sdiff_model *saved = models_open(context, place(names[format]));
        same_network(saved, model);
        sdiff_model_free(saved);
    }
    test_sweep(place("n"));
    rmdir(place("n"));
    sdiff_model_free(model);
    sdiff_context_free(context);
}

static void test_networks_alone_survive(void **state)
{
    char tiny[1024];
    (void)state;
    snprintf(tiny, sizeof tiny, "%s/tests/data/networks/tiny_autoencoder.safetensors",
             getenv("SDIFF_SOURCE_DIR"));
    save_network(test_shared("fixtures/tiny-controlnet"));
    save_network(test_shared("fixtures-ldm/controlnet.fp16.pth"));
    save_network(test_shared("fixtures/tiny-depth/depth_estimator"));
    save_network(tiny);
}

/* The second rounding changes nothing: what was written as half stays what it is. */
static void test_narrow_types_are_stable(void **state)
{
    static const int32_t types[] = {SDIFF_SAVE_F16, SDIFF_SAVE_BF16};
    (void)state;
    for (int i = 0; i < 2; i++) {
        sdiff_context *context = models_context();
        sdiff_model *model = models_open(context, test_shared("fixtures/tiny-sd2"));
        save(model, place("half.safetensors"), SDIFF_SAVE_LDM, types[i]);
        sdiff_model *half = models_open(context, place("half.safetensors"));
        round_trip(context, half, SDIFF_SAVE_DIFFUSERS, types[i]);
        round_trip(context, half, SDIFF_SAVE_LDM, SDIFF_SAVE_KEEP);
        sdiff_model_free(model);
        sdiff_model_free(half);
        sdiff_context_free(context);
    }
}

static void test_merged_loras_are_saved(void **state)
{
    (void)state;
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, test_shared("fixtures/tiny-sd1"));
    sdiff_model *plain = models_open(context, test_shared("fixtures/tiny-sd1"));
    const char *lora = test_shared("fixtures/tiny-sd1/lora/kohya_locon.safetensors");
    models_ok(model, sdiff_model_add_lora(model, lora, 0.8));
    round_trip(context, model, SDIFF_SAVE_LDM, SDIFF_SAVE_F32);
    round_trip(context, model, SDIFF_SAVE_DIFFUSERS, SDIFF_SAVE_F32);
    sdiff_save_params params;
    sdiff_save_params_init(&params, sizeof params);
    params.without_loras = 1;
    models_ok(model, sdiff_model_save(model, place("plain.safetensors"), &params));
    sdiff_model *saved = models_open(context, place("plain.safetensors"));
    same_model(context, saved, plain);
    sdiff_model_free(saved);
    sdiff_model_free(plain);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

/* ---- the published layout -------------------------------------------------------------------- */

static void same_names(const char *path, const char *original)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *a = NULL, *b = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, path, &a));
    test_ok(&env, sdi_tensor_file_open_path(&env, original, &b));
    assert_int_equal(sdi_tensor_file_count(a), sdi_tensor_file_count(b));
    for (int32_t i = 0; i < sdi_tensor_file_count(b); i++) {
        const sdi_tensor_info *want = sdi_tensor_file_info(b, i);
        const int32_t at = sdi_tensor_file_find(a, want->name);
        if (at < 0)
            fail_msg("'%s' is not written", want->name);
        const sdi_tensor_info *got = sdi_tensor_file_info(a, at);
        assert_int_equal(got->rank, want->rank);
        assert_memory_equal(got->shape, want->shape, sizeof got->shape);
    }
    sdi_tensor_file_free(&env, a);
    sdi_tensor_file_free(&env, b);
    test_env_free(&env);
}

static void test_sd1_has_names_and_shapes_of_published_files(void **state)
{
    static const char original[] = "fixtures-ldm/sd1-full-structure.fp16.safetensors";
    (void)state;
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, test_shared(original));
    save(model, place("a.safetensors"), SDIFF_SAVE_LDM, SDIFF_SAVE_KEEP);
    same_names(place("a.safetensors"), test_shared(original));
    save(model, place("b"), SDIFF_SAVE_DIFFUSERS, SDIFF_SAVE_KEEP);
    sdiff_model *other = models_open(context, place("b"));
    save(other, place("c.safetensors"), SDIFF_SAVE_LDM, SDIFF_SAVE_F32);
    same_names(place("c.safetensors"), test_shared(original));
    sdiff_model_free(other);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

/* What another program wants of the file: depth estimator, projections of the text encoder. */
static void test_sd2_keeps_what_has_no_use_here(void **state)
{
    static const char original[] = "fixtures-ldm/sd2-depth.fp16.safetensors";
    (void)state;
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, test_shared(original));
    save(model, place("d.safetensors"), SDIFF_SAVE_LDM, SDIFF_SAVE_BF16);
    same_names(place("d.safetensors"), test_shared(original));
    sdiff_model_free(model);
    sdiff_context_free(context);
}

static void test_schedule_buffers_are_those_of_the_original(void **state)
{
    static const char *const names[] = {
        "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
        "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"};
    (void)state;
    sdiff_context *context = models_context();
    sdiff_tensors *golden = models_golden(context, "fixtures-ldm/sd1-micro.fp32.safetensors");
    sdiff_model *model =
        models_open(context, test_shared("fixtures-ldm/sd1-micro.fp32.safetensors"));
    sdiff_tensors *saved = NULL;
    save(model, place("s.safetensors"), SDIFF_SAVE_LDM, SDIFF_SAVE_KEEP);
    assert_int_equal(sdiff_tensors_open(context, place("s.safetensors"), &saved), SDIFF_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        // float32 rounding of numbers up to 50
        const double tolerance = i == 5 || i == 9 ? 4e-6 : i == 6 || i == 7 ? 4e-6 : 1e-6;
        models_compare(saved, names[i], golden, names[i], tolerance);
    }
    sdiff_tensors_free(saved);
    sdiff_tensors_free(golden);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

/* ---- a U-Net without cross-attention --------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void write_random_unet(const char *path, const sdi_unet_config *config)
{
    sdi_env env = test_env_new();
    sdi_kernels kernels;
    sdi_weights weights;
    const sdi_unet_args args = {.config = config, .b = 1, .h = 16, .w = 16};
    sdi_kernels_init(&kernels, 0, SDI_F32);
    sdi_weights_init(&weights, &env, &kernels);
    test_ok(&env, sdi_nn_declare(&env, &weights, sdi_unet_net, &args));
    sdi_tensor_out *tensors = calloc((size_t)weights.count, sizeof *tensors);
    for (int32_t i = 0; i < weights.count; i++) {
        const sdi_param *p = &weights.params[i];
        float *values = malloc((size_t)p->count * sizeof *values);
        sdiff_randn(SDIFF_RNG_TORCH, i, values, (size_t)p->count);
        for (int64_t k = 0; k < p->count; k++)
            values[k] *= 0.1f;
        tensors[i] = (sdi_tensor_out){p->name, SDI_F32, p->rank, {0}, values};
        memcpy(tensors[i].shape, p->shape, sizeof p->shape);
    }
    test_ok(&env, sdi_safetensors_write(&env, path, tensors, weights.count, NULL));
    for (int32_t i = 0; i < weights.count; i++)
        free((void *)tensors[i].data);
    free(tensors);
    sdi_weights_free(&weights);
    test_env_free(&env);
}

/* The original keeps q, k and v of such models in one tensor, head by head. */
static void test_unconditional_models_survive_too(void **state)
{
    (void)state;
    char path[512];
    sdi_unet_config config;
    sdi_unet_config_init(&config);
    config.in_channels = config.out_channels = 3;
    config.levels = 2;
    config.block_out_channels[0] = 16;
    config.block_out_channels[1] = 32;
    config.self_attention_only = 1;
    config.cross_attention_dim = 0;
    config.head_dim = 8;
    config.norm_groups = 8;
    config.attention[0] = 0;
    config.attention[1] = 1;
    mkdir(place("ddpm"), 0777);
    snprintf(path, sizeof path, "%s/config.json", place("ddpm"));
    write_text(path, "{\"_class_name\": \"UNet2DModel\", \"block_out_channels\": [16, 32],"
                     "\"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
                     "\"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"],"
                     "\"attention_head_dim\": 8, \"norm_num_groups\": 8, \"in_channels\": 3,"
                     "\"out_channels\": 3, \"flip_sin_to_cos\": false, \"freq_shift\": 1,"
                     "\"downsample_padding\": 0, \"norm_eps\": 1e-6, \"sample_size\": 32}");
    snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", place("ddpm"));
    write_random_unet(path, &config);
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, place("ddpm"));
    round_trip(context, model, SDIFF_SAVE_LDM, SDIFF_SAVE_KEEP);
    round_trip(context, model, SDIFF_SAVE_DIFFUSERS, SDIFF_SAVE_KEEP);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    sdiff_context *context = models_context();
    sdiff_model *model = models_open(context, test_shared("fixtures/tiny-sd1"));
    sdiff_save_params params;
    sdiff_save_params_init(&params, sizeof params);
    params.format = 7;
    assert_int_equal(sdiff_model_save(model, place("x"), &params), SDIFF_ERROR_INVALID_ARGUMENT);
    params.format = SDIFF_SAVE_LDM;
    params.dtype = 4;
    assert_int_equal(sdiff_model_save(model, place("x"), &params), SDIFF_ERROR_INVALID_ARGUMENT);
    params.dtype = SDIFF_SAVE_KEEP;
    assert_int_equal(sdiff_model_save(model, "/nowhere/x.safetensors", &params), SDIFF_ERROR_IO);
    params.format = SDIFF_SAVE_DIFFUSERS;
    assert_int_equal(sdiff_model_save(model, "/nowhere/x", &params), SDIFF_ERROR_IO);
    write_text(place("file"), "not a folder");
    assert_int_equal(sdiff_model_save(model, place("file"), &params), SDIFF_ERROR_IO);
    assert_true(strlen(sdiff_model_error(model)) > 0);
    sdiff_model_free(model);
    sdiff_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saved_models_read_back_to_the_same_bits),
        cmocka_unit_test(test_networks_alone_survive),
        cmocka_unit_test(test_narrow_types_are_stable),
        cmocka_unit_test(test_merged_loras_are_saved),
        cmocka_unit_test(test_sd1_has_names_and_shapes_of_published_files),
        cmocka_unit_test(test_sd2_keeps_what_has_no_use_here),
        cmocka_unit_test(test_schedule_buffers_are_those_of_the_original),
        cmocka_unit_test(test_unconditional_models_survive_too),
        cmocka_unit_test(test_what_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
