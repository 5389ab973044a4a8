/* SPDX-License-Identifier: MIT
 *
 * Tiny autoencoders through files: a diffusers folder's names, halves with bare names, and as a
 * pipeline's decoder. The weights are made up; the network itself is compared elsewhere.
 */
#include "test_api_support.h"

#include "base/memory.h"
#include "io/tensor_file.h"
#include "model/names.h"
#include "net/taesd.h"
#include "nn/plan.h"

enum { SIDE = 8, SCALE = 8, PIXELS = SIDE * SCALE };

/* Four levels of 8 channels, one block each. */
static sdi_taesd_config small_config(int32_t latent)
{
    sdi_taesd_config c;
    sdi_taesd_config_init(&c);
    c.latent_channels = latent;
    for (int32_t i = 0; i < 4; i++) {
        c.encoder_channels[i] = c.decoder_channels[i] = 8;
        c.encoder_blocks[i] = c.decoder_blocks[i] = 1;
    }
    return c;
}

static void declare(sdi_env *env, sdi_weights *w, int decoder, const sdi_taesd_config *config)
{
    sdi_kernels kernels;
    const sdi_taesd_args args = {.config = config, .b = 1, .h = 64, .w = 64};
    sdi_kernels_init(&kernels, 0, SDI_F32);
    sdi_weights_init(w, env, &kernels);
    test_ok(env, sdi_nn_declare(env, w, decoder ? sdi_taesd_decoder_net : sdi_taesd_encoder_net,
                                &args));
}

/* Both halves in one file in diffusers' names, or the decoder alone in bare ones. */
static void write_file(const char *path, int bare, int32_t latent)
{
    sdi_env env = test_env_new();
    sdi_tensor_out tensors[128];
    int32_t count = 0;
    uint32_t seed = 1;
    const sdi_taesd_config config = small_config(latent);
    memset(tensors, 0, sizeof tensors);
    for (int decoder = bare; decoder < 2; decoder++) {
        sdi_weights w;
        declare(&env, &w, decoder, &config);
        seed = 7 * (uint32_t)(decoder + 1); // the same decoder in both files
        for (int32_t i = 0; i < w.count; i++) {
            const sdi_param *p = &w.params[i];
            sdi_alias alias = {.pieces = 1, .heads = 1};
            sdi_tensor_out *t = &tensors[count++];
            assert_true(sdi_name_taesd(p->name, &alias));
            t->name = strdup(bare ? alias.name : p->name);
            t->dtype = SDI_F32;
            t->rank = p->rank;
            memcpy(t->shape, p->shape, sizeof p->shape);
            float *values = malloc((size_t)p->count * sizeof *values);
            for (int64_t k = 0; k < p->count; k++) {
                seed = seed * 1664525 + 1013904223;
                values[k] = ((float)(seed >> 8) / (1 << 24) - 0.5f) * 0.4f;
            }
            t->data = values;
        }
        sdi_weights_free(&w);
    }
    test_ok(&env, sdi_safetensors_write(&env, path, tensors, count, NULL));
    for (int32_t i = 0; i < count; i++) {
        free((void *)tensors[i].name);
        free((void *)tensors[i].data);
    }
    test_env_free(&env);
}

static sdiff_taesd *open_taesd(sdiff_context *context, const char *path)
{
    sdiff_taesd *taesd = NULL;
    if (sdiff_taesd_open(context, path, NULL, &taesd) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(context));
    assert_int_equal(sdiff_taesd_scale(taesd), SCALE);
    return taesd;
}

static void test_both_layouts_decode_to_the_same_bits(void **state)
{
    static float z[4 * SIDE * SIDE], a[3 * PIXELS * PIXELS], b[3 * PIXELS * PIXELS];
    static float back[4 * SIDE * SIDE];
    sdiff_context *context = NULL;
    sdiff_image *image = NULL;
    (void)state;
    assert_int_equal(sdiff_context_new(NULL, &context), SDIFF_OK);
    write_file("taesd-both.safetensors", 0, 4);
    write_file("taesd-bare.safetensors", 1, 4);
    sdiff_taesd *both = open_taesd(context, "taesd-both.safetensors");
    sdiff_taesd *bare = open_taesd(context, "taesd-bare.safetensors");
    sdiff_randn(SDIFF_RNG_TORCH, 1, z, SDI_COUNT(z));
    assert_int_equal(sdiff_taesd_decode(both, z, SIDE, SIDE, a), SDIFF_OK);
    assert_int_equal(sdiff_taesd_decode(bare, z, SIDE, SIDE, b), SDIFF_OK);
    assert_memory_equal(a, b, sizeof a);
    for (size_t i = 0; i < SDI_COUNT(a); i++)
        assert_true(a[i] >= 0 && a[i] <= 1);
    assert_int_equal(sdiff_taesd_preview(bare, z, SIDE, SIDE, &image), SDIFF_OK);
    assert_int_equal(sdiff_image_width(image), PIXELS);
    assert_int_equal(sdiff_taesd_encode(both, a, PIXELS, PIXELS, back), SDIFF_OK);
    assert_int_equal(sdiff_taesd_encode(both, a, PIXELS, PIXELS - 1, back),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdiff_taesd_encode(bare, a, PIXELS, PIXELS, back), SDIFF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(sdiff_taesd_error(bare), "encoder"));
    sdiff_image_free(image);
    sdiff_taesd_free(both);
    sdiff_taesd_free(bare);
    sdiff_context_free(context);
    remove("taesd-both.safetensors");
    remove("taesd-bare.safetensors");
}

static void test_pipeline_decodes_with_it_and_without(void **state)
{
    static float own[3 * PIXELS * PIXELS], fast[3 * PIXELS * PIXELS], want[3 * PIXELS * PIXELS];
    static float again[3 * PIXELS * PIXELS], latents[4 * SIDE * SIDE];
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_generate_params request;
    (void)state;
    const char *path = test_shared("fixtures/tiny-sd1");
    write_file("taesd-4.safetensors", 1, 4);
    write_file("taesd-3.safetensors", 1, 3);
    assert_int_equal(sdiff_context_new(NULL, &context), SDIFF_OK);
    assert_int_equal(sdiff_model_open(context, path, NULL, &model), SDIFF_OK);
    assert_int_equal(sdiff_pipeline_new(model, &pipeline), SDIFF_OK);
    sdiff_taesd *taesd = open_taesd(context, "taesd-4.safetensors");
    sdiff_taesd *other = open_taesd(context, "taesd-3.safetensors");
    sdiff_generate_params_init(&request, sizeof request);
    request.width = request.height = PIXELS;
    request.steps = 2;
    assert_int_equal(sdiff_pipeline_generate(pipeline, &request), SDIFF_OK);
    sdiff_pipeline_result(pipeline, 0, NULL, own);
    assert_int_equal(sdiff_pipeline_set_taesd(pipeline, taesd), SDIFF_OK);
    assert_int_equal(sdiff_pipeline_set_taesd(pipeline, other), SDIFF_ERROR_MISMATCH);
    assert_non_null(strstr(sdiff_pipeline_error(pipeline), "3 channels"));
    assert_int_equal(sdiff_pipeline_generate(pipeline, &request), SDIFF_OK);
    sdiff_pipeline_result(pipeline, 0, latents, fast);
    assert_int_equal(sdiff_taesd_decode(taesd, latents, SIDE, SIDE, want), SDIFF_OK);
    assert_memory_equal(fast, want, sizeof fast);
    sdiff_taesd_free(taesd); // the pipeline keeps what it needs
    sdiff_taesd_free(other);
    assert_int_equal(sdiff_pipeline_generate(pipeline, &request), SDIFF_OK);
    assert_int_equal(sdiff_pipeline_set_taesd(pipeline, NULL), SDIFF_OK);
    assert_int_equal(sdiff_pipeline_generate(pipeline, &request), SDIFF_OK);
    sdiff_pipeline_result(pipeline, 0, NULL, again);
    assert_memory_equal(own, again, sizeof own);
    sdiff_pipeline_free(pipeline);
    sdiff_model_free(model);
    sdiff_context_free(context);
    remove("taesd-4.safetensors");
    remove("taesd-3.safetensors");
}

static void test_other_files_are_refused(void **state)
{
    sdiff_context *context = NULL;
    sdiff_taesd *taesd = NULL;
    (void)state;
    assert_int_equal(sdiff_context_new(NULL, &context), SDIFF_OK);
    assert_int_equal(sdiff_taesd_open(context, test_shared("fixtures/tiny-sd1/vae"), NULL, &taesd),
                     SDIFF_ERROR_UNSUPPORTED);
    assert_null(taesd);
    assert_true(sdiff_context_error(context)[0]);
    sdiff_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_layouts_decode_to_the_same_bits),
        cmocka_unit_test(test_pipeline_decodes_with_it_and_without),
        cmocka_unit_test(test_other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
