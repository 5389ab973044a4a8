/* SPDX-License-Identifier: MIT
 *
 * Models without text: of pixels and with classes, as diffusers folders made of the small networks
 * in tests/data. The pipeline against a loop of the host's own; pictures as starts; refusals.
 */
#include "test_api_support.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct kind {
    const char *network;
    int64_t channels;
    const char *config;
} kind;

static const kind pixels = {
    "ddpm", 3,
    "\"in_channels\": 3, \"out_channels\": 3, \"block_out_channels\": [8, 16, 16],"
    "\"layers_per_block\": 1, \"norm_eps\": 1e-6, \"attention_head_dim\": 4,"
    "\"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"],"
    "\"up_block_types\": [\"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\"],"
    "\"downsample_padding\": 0, \"flip_sin_to_cos\": false, \"freq_shift\": 1"};
static const kind classes = {
    "class_conditional", 4,
    "\"in_channels\": 4, \"out_channels\": 4, \"block_out_channels\": [8, 8],"
    "\"layers_per_block\": 2, \"attention_head_dim\": null, \"num_class_embeds\": 5,"
    "\"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    "\"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"]"};

enum { SIDE = 8, MOST = 4 * SIDE * SIDE };

/* ---- a folder -------------------------------------------------------------------------------- */

static const char *const parts[] = {"", "/scheduler", "/unet"};
static const char *const files[] = {"/model_index.json", "/scheduler/scheduler_config.json",
                                    "/unet/config.json",
                                    "/unet/diffusion_pytorch_model.safetensors"};

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const kind *k, char *folder)
{
    static const char index[] = "{\"_class_name\": \"DDPMPipeline\","
                                "\"unet\": [\"diffusers\", \"UNet2DModel\"],"
                                "\"scheduler\": [\"diffusers\", \"DDIMScheduler\"]}";
    static const char scheduler[] = "{\"_class_name\": \"DDIMScheduler\", \"steps_offset\": 1,"
                                    "\"beta_schedule\": \"scaled_linear\","
                                    "\"beta_start\": 0.00085, \"beta_end\": 0.012,"
                                    "\"clip_sample\": false, \"set_alpha_to_one\": false}";
    char text[1024];
    size_t size = 0;
    assert_non_null(mkdtemp(folder));
    for (int i = 1; i < 3; i++) {
        snprintf(text, sizeof text, "%s%s", folder, parts[i]);
        assert_int_equal(mkdir(text, 0700), 0);
    }
    write_file(folder, files[0], index, sizeof index - 1);
    write_file(folder, files[1], scheduler, sizeof scheduler - 1);
    snprintf(text, sizeof text,
             "{\"_class_name\": \"UNet2DModel\", \"sample_size\": %d, \"norm_num_groups\": 4, %s}",
             SIDE, k->config);
    write_file(folder, files[2], text, strlen(text));
    snprintf(text, sizeof text, "%s/tests/data/networks/%s.safetensors",
             getenv("SDIFF_SOURCE_DIR"), k->network);
    void *weights = test_read_file(text, &size);
    write_file(folder, files[3], weights, size);
    free(weights);
}

static void remove_folder(const char *folder)
{
    char path[512];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", folder, files[i]);
        unlink(path);
    }
    for (int i = 2; i >= 0; i--) {
        snprintf(path, sizeof path, "%s%s", folder, parts[i]);
        rmdir(path);
    }
}

/* The model in the place of the small one with text. */
static api *open_kind(const kind *k)
{
    char folder[] = "/tmp/sdiff-test-XXXXXX";
    api *a = api_open();
    make_folder(k, folder);
    sdiff_pipeline_free(a->pipeline);
    sdiff_model_free(a->model);
    const sdiff_status status = sdiff_model_open(a->context, folder, NULL, &a->model);
    remove_folder(folder);
    if (status != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(a->context));
    assert_int_equal(sdiff_pipeline_new(a->model, &a->pipeline), SDIFF_OK);
    return a;
}

static sdiff_generate_params request_of(const char *sampler)
{
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.sampler = sampler;
    request.steps = 5;
    request.seed = 4;
    return request;
}

/* ---- the host's own loop --------------------------------------------------------------------- */

static void predict(api *a, const kind *k, int64_t label, const float *sample, double timestep,
                    float *out)
{
    sdiff_tensors *in = NULL, *result = NULL;
    const int64_t shape[4] = {1, k->channels, SIDE, SIDE}, labels[1] = {1};
    const float t = (float)timestep;
    assert_int_equal(sdiff_tensors_new(a->context, &in), SDIFF_OK);
    assert_int_equal(sdiff_tensors_new(a->context, &result), SDIFF_OK);
    sdiff_tensors_set(in, "sample", SDIFF_DTYPE_F32, 4, shape, sample);
    sdiff_tensors_set(in, "timestep", SDIFF_DTYPE_F32, 0, NULL, &t);
    if (label >= 0)
        sdiff_tensors_set(in, "class_labels", SDIFF_DTYPE_I64, 1, labels, &label);
    if (sdiff_model_run(a->model, "unet", in, NULL, result) != SDIFF_OK)
        fail_msg("%s", sdiff_model_error(a->model));
    sdiff_tensors_get_f32(result, "out", out, (size_t)k->channels * SIDE * SIDE);
    sdiff_tensors_free(in);
    sdiff_tensors_free(result);
}

static void run_loop(api *a, const kind *k, int64_t label, float *latents)
{
    const size_t count = (size_t)k->channels * SIDE * SIDE;
    sdiff_sampler *sampler = NULL;
    sdiff_sampler_params params;
    float input[MOST], output[MOST];
    double timestep = 0;
    sdiff_sampler_params_init(&params, sizeof params);
    params.name = "ddim";
    params.steps = 5;
    params.count = count;
    assert_int_equal(sdiff_sampler_new(a->context, &params, &sampler), SDIFF_OK);
    sdiff_randn(SDIFF_RNG_TORCH, 4, latents, count);
    assert_int_equal(sdiff_sampler_begin(sampler, latents), SDIFF_OK);
    while (sdiff_sampler_request(sampler, input, &timestep, NULL)) {
        predict(a, k, label, input, timestep, output);
        assert_int_equal(sdiff_sampler_supply(sampler, output), SDIFF_OK);
    }
    memcpy(latents, sdiff_sampler_latents(sampler), count * sizeof *latents);
    sdiff_sampler_free(sampler);
}

static void test_model_of_pixels_equals_the_hosts_loop(void **state)
{
    api *a = open_kind(&pixels);
    float want[MOST], latents[MOST], image[MOST];
    const sdiff_generate_params request = request_of("ddim");
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, latents, image));
    run_loop(a, &pixels, -1, want);
    for (int i = 0; i < 3 * SIDE * SIDE; i++) {
        assert_float_equal(latents[i], want[i], 1e-4 * fmax(1, fabs(want[i])));
        assert_float_equal(image[i], fmin(fmax(latents[i] * 0.5 + 0.5, 0), 1), 1e-6);
    }
    api_close(a);
}

static void test_classes_equal_the_hosts_loop(void **state)
{
    api *a = open_kind(&classes);
    float want[MOST], latents[MOST], before[MOST] = {0};
    sdiff_generate_params request = request_of("ddim");
    request.no_decode = 1;
    for (int32_t label = 0; label < 5; label += 2) {
        request.class_label = label;
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, latents, NULL));
        run_loop(a, &classes, label, want);
        for (int i = 0; i < MOST; i++)
            assert_float_equal(latents[i], want[i], 1e-4 * fmax(1, fabs(want[i])));
        assert_true(memcmp(latents, before, sizeof before) != 0);
        memcpy(before, latents, sizeof before);
    }
    request.class_label = 5;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_INVALID_ARGUMENT);
    api_close(a);
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void test_picture_of_pixels_starts_without_an_autoencoder(void **state)
{
    api *a = open_kind(&pixels);
    float image[3 * SIDE * SIDE], out[3 * SIDE * SIDE], mask[SIDE * SIDE];
    for (int i = 0; i < 3 * SIDE * SIDE; i++)
        image[i] = (float)(i * 37 % 256) / 255.0f;
    for (int i = 0; i < SIDE * SIDE; i++)
        mask[i] = (float)(i % SIDE < 4);
    sdiff_generate_params request = request_of("ddpm");
    request.image = image;
    request.strength = 0;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, NULL, out));
    for (int i = 0; i < 3 * SIDE * SIDE; i++)
        assert_float_equal(out[i], image[i], 1e-6);
    request.strength = 0.8;
    request.mask = mask;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, NULL, out));
    int changed = 0;
    for (int i = 0; i < 3 * SIDE * SIDE; i++) {
        if (mask[i % (SIDE * SIDE)] == 0)
            assert_memory_equal(&out[i], &image[i], sizeof *out);
        changed += out[i] != image[i];
    }
    assert_true(changed > SIDE * SIDE);
    api_close(a);
}

static void test_latents_without_an_autoencoder_are_not_decoded(void **state)
{
    api *a = open_kind(&classes);
    float image[3 * SIDE * SIDE] = {0};
    sdiff_generate_params request = request_of("ddim");
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(sdiff_pipeline_error(a->pipeline), "no_decode"));
    request.no_decode = 1;
    request.image = image;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_UNSUPPORTED);
    api_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_of_pixels_equals_the_hosts_loop),
        cmocka_unit_test(test_classes_equal_the_hosts_loop),
        cmocka_unit_test(test_picture_of_pixels_starts_without_an_autoencoder),
        cmocka_unit_test(test_latents_without_an_autoencoder_are_not_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
