/* SPDX-License-Identifier: MIT
 *
 * Handles of the public API: made, failed, freed in any order; NULL; structs that grow.
 */
#include "test_api_support.h"

/* ---- orders of freeing ----------------------------------------------------------------------- */

/* Frees handle `which` of an api. */
static void drop(api *a, int which)
{
    if (which == 0)
        sdiff_context_free(a->context);
    else if (which == 1)
        sdiff_model_free(a->model);
    else
        sdiff_pipeline_free(a->pipeline);
}

static void test_handles_free_in_any_order(void **state)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        api *a = api_open();
        for (int k = 0; k < 3; k++)
            drop(a, orders[i][k]);
        api_heap_assert_empty(&a->heap);
        free(a);
    }
}

static void test_pipeline_works_after_its_model_and_context_are_freed(void **state)
{
    api *a = api_open();
    sdiff_model_free(a->model);
    sdiff_context_free(a->context);
    a->model = NULL;
    a->context = NULL;
    const sdiff_generate_params request = api_request("a red apple");
    api_result result;
    api_make(a->pipeline, &request, &result);
    assert_non_null(sdiff_pipeline_image(a->pipeline, 0));
    api_close(a);
}

static void test_small_handles_keep_the_context(void **state)
{
    api *a = api_open();
    sdiff_tokenizer *tokenizer = NULL;
    sdiff_vae *vae = NULL;
    sdiff_tensors *tensors = NULL;
    sdiff_image *image = NULL;
    sdiff_sampler *sampler = NULL;
    sdiff_sampler_params params;
    sdiff_sampler_params_init(&params, sizeof params);
    params.count = 16;
    assert_int_equal(sdiff_tokenizer_of_model(a->model, &tokenizer), SDIFF_OK);
    assert_int_equal(sdiff_vae_of_model(a->model, &vae), SDIFF_OK);
    assert_int_equal(sdiff_tensors_new(a->context, &tensors), SDIFF_OK);
    assert_int_equal(sdiff_image_new(a->context, 2, 2, 3, NULL, &image), SDIFF_OK);
    assert_int_equal(sdiff_sampler_new(a->context, &params, &sampler), SDIFF_OK);
    for (int i = 0; i < 3; i++)
        drop(a, i);
    int32_t ids[4], count = 0;
    assert_int_equal(sdiff_tokenizer_encode(tokenizer, "a cat", (size_t)-1, 0, ids, 4, &count),
                     SDIFF_OK);
    assert_int_equal(count, 2);
    float z[4] = {0}, pixels[3 * 16];
    assert_int_equal(sdiff_vae_decode(vae, z, 1, 1, 1, pixels), SDIFF_OK);
    sdiff_sampler_free(sampler);
    sdiff_image_free(image);
    sdiff_tensors_free(tensors);
    sdiff_vae_free(vae);
    sdiff_tokenizer_free(tokenizer);
    api_heap_assert_empty(&a->heap);
    free(a);
}

static uint64_t held(const api *a)
{
    uint64_t used = 0;
    sdiff_context_memory(a->context, &used, NULL);
    return used;
}

static void test_described_model_holds_no_weights_and_cannot_run(void **state)
{
    api *a = api_open();
    sdiff_model_params params;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_image *image = NULL;
    const float latents[4] = {0};
    const char *facts[] = {"\"family\": \"sd1\"", "\"parameters\": 3745220", "\"F16\": 324",
                           "\"unmatched\": []"};
    sdiff_model_params_init(&params, sizeof params);
    params.describe_only = 1;
    const uint64_t before = held(a);
    assert_int_equal(sdiff_model_open(a->context, api_model_path(), &params, &model), SDIFF_OK);
    assert_true(held(a) - before < 2000000); // its weights are 18 MB
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        assert_non_null(strstr(sdiff_model_info(a->model), facts[i]));
        assert_non_null(strstr(sdiff_model_info(model), facts[i]));
    }
    sdiff_model *none = NULL;
    params.reserved = 1;
    assert_int_equal(sdiff_model_open(a->context, api_model_path(), &params, &none),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdiff_pipeline_new(model, &pipeline), SDIFF_OK);
    assert_int_equal(sdiff_pipeline_generate(pipeline, NULL), SDIFF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(sdiff_pipeline_error(pipeline), "without the weights"));
    assert_int_equal(sdiff_model_preview(model, latents, 1, 1, &image), SDIFF_ERROR_UNSUPPORTED);
    sdiff_pipeline_free(pipeline);
    sdiff_model_free(model);
    api_close(a);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_failed_constructors_give_null_and_a_sentence(void **state)
{
    api *a = api_open();
    sdiff_model *model = (sdiff_model *)1;
    assert_int_equal(sdiff_model_open(a->context, "/nonexistent/model", NULL, &model),
                     SDIFF_ERROR_IO);
    assert_null(model);
    assert_non_null(strstr(sdiff_context_error(a->context), "/nonexistent/model"));
    model = (sdiff_model *)1;
    assert_int_not_equal(sdiff_model_open(a->context, "/", NULL, &model), SDIFF_OK);
    assert_null(model);
    sdiff_tokenizer *tokenizer = (sdiff_tokenizer *)1;
    assert_int_not_equal(sdiff_tokenizer_open(a->context, "/", &tokenizer), SDIFF_OK);
    assert_null(tokenizer);
    assert_int_not_equal(sdiff_context_error(a->context)[0], 0);
    sdiff_image *image = (sdiff_image *)1;
    assert_int_not_equal(sdiff_image_new(a->context, 0, 4, 3, NULL, &image), SDIFF_OK);
    assert_null(image);
    sdiff_vae *vae = (sdiff_vae *)1;
    assert_int_not_equal(sdiff_vae_open(a->context, "/nonexistent", NULL, &vae), SDIFF_OK);
    assert_null(vae);
    sdiff_sampler_params params;
    sdiff_sampler_params_init(&params, sizeof params);
    sdiff_sampler *sampler = (sdiff_sampler *)1;
    assert_int_equal(sdiff_sampler_new(a->context, &params, &sampler),
                     SDIFF_ERROR_INVALID_ARGUMENT); // count is 0
    assert_null(sampler);
    api_close(a);
}

static void test_context_refuses_contradictions(void **state)
{
    sdiff_context *context = (sdiff_context *)1;
    sdiff_context_params p;
    sdiff_context_params_init(&p, sizeof p);
    p.alloc = api_alloc; // without free
    assert_int_equal(sdiff_context_new(&p, &context), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_null(context);
    sdiff_context_params_init(&p, sizeof p);
    p.threads = -1;
    assert_int_equal(sdiff_context_new(&p, &context), SDIFF_ERROR_INVALID_ARGUMENT);
    p.threads = 1025;
    assert_int_equal(sdiff_context_new(&p, &context), SDIFF_ERROR_INVALID_ARGUMENT);
    sdiff_context_params_init(&p, sizeof p);
    p.kernels = "ref,nonsense";
    assert_int_equal(sdiff_context_new(&p, &context), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_null(context);
}

/* Each request that no model can fulfil: a status, a sentence, and the handle stays usable. */
static void test_impossible_requests_are_refused(void **state)
{
    api *a = api_open();
    sdiff_generate_params list[24];
    int count = 0;
    for (int i = 0; i < 24; i++)
        list[i] = api_request("a cat");
    list[count++].width = 7;
    list[count++].height = -8;
    list[count++].width = 1000000000;
    list[count++].height = INT32_MIN;
    list[count++].steps = 0;
    list[count++].steps = 1000000000;
    list[count++].cfg_scale = (double)NAN;
    list[count++].cfg_scale = (double)INFINITY;
    list[count++].cfg_rescale = (double)NAN;
    list[count++].eta = (double)NAN;
    list[count++].eta = (double)INFINITY;
    list[count++].sampler = "no such sampler";
    list[count++].schedule = "no such schedule";
    list[count++].batch_count = 0;
    list[count++].batch_count = 1001;
    list[count++].clip_skip = 99;
    list[count++].rng = 2;
    list[count++].spacing = -1;
    list[count++].final_sigma_min = 3;
    list[count++].brownian = 2;
    for (int i = 0; i < count; i++) {
        const sdiff_status status = sdiff_pipeline_generate(a->pipeline, &list[i]);
        if (status != SDIFF_ERROR_INVALID_ARGUMENT)
            fail_msg("request %d: status %d", i, (int)status);
        assert_int_not_equal(sdiff_pipeline_error(a->pipeline)[0], 0);
        uint64_t bytes = 0;
        if (!list[i].sampler || strncmp(list[i].sampler, "no", 2) != 0) {
            if (strncmp(list[i].schedule, "no", 2) != 0)
                assert_int_equal(sdiff_pipeline_memory(a->pipeline, &list[i], &bytes), status);
        }
    }
    const sdiff_generate_params good = api_request("a cat");
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &good));
    assert_string_equal(sdiff_pipeline_error(a->pipeline), "");
    api_close(a);
}

/* ---- NULL ------------------------------------------------------------------------------------ */

static void test_null_handles_are_refused(void **state)
{
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    sdiff_pipeline *pipeline = NULL;
    sdiff_tokenizer *tokenizer = NULL;
    sdiff_vae *vae = NULL;
    sdiff_tensors *tensors = NULL;
    sdiff_image *image = NULL;
    sdiff_sampler *sampler = NULL;
    float x[4] = {0};
    double t = 0;
    uint64_t bytes = 0;
    int32_t count = 0;
    const sdiff_status wrong = SDIFF_ERROR_INVALID_ARGUMENT;
    assert_int_equal(sdiff_context_new(NULL, NULL), wrong);
    assert_int_equal(sdiff_model_open(NULL, "x", NULL, &model), wrong);
    assert_int_equal(sdiff_model_open_memory(NULL, "x", 1, NULL, &model), wrong);
    assert_int_equal(sdiff_model_open_reader(NULL, NULL, NULL, 1, NULL, &model), wrong);
    assert_int_equal(sdiff_model_preview(NULL, x, 1, 1, &image), wrong);
    assert_int_equal(sdiff_model_run(NULL, "unet", NULL, NULL, NULL), wrong);
    assert_int_equal(sdiff_pipeline_new(NULL, &pipeline), wrong);
    assert_int_equal(sdiff_pipeline_generate(NULL, NULL), wrong);
    assert_int_equal(sdiff_pipeline_memory(NULL, NULL, &bytes), wrong);
    assert_int_equal(sdiff_pipeline_result(NULL, 0, x, x), wrong);
    assert_int_equal(sdiff_tokenizer_open(NULL, "x", &tokenizer), wrong);
    assert_int_equal(sdiff_tokenizer_of_model(NULL, &tokenizer), wrong);
    assert_int_equal(sdiff_tokenizer_encode(NULL, "x", 1, 0, NULL, 0, &count), wrong);
    assert_int_equal(sdiff_vae_of_model(NULL, &vae), wrong);
    assert_int_equal(sdiff_vae_open(NULL, "x", NULL, &vae), wrong);
    assert_int_equal(sdiff_vae_encode(NULL, x, 1, 1, 1, x, x), wrong);
    assert_int_equal(sdiff_vae_decode(NULL, x, 1, 1, 1, x), wrong);
    assert_int_equal(sdiff_tensors_new(NULL, &tensors), wrong);
    assert_int_equal(sdiff_tensors_open(NULL, "x", &tensors), wrong);
    assert_int_equal(sdiff_tensors_save(NULL, "x"), wrong);
    assert_int_equal(sdiff_tensors_set(NULL, "x", 0, 0, NULL, x), wrong);
    assert_int_equal(sdiff_tensors_get_f32(NULL, "x", x, 1), wrong);
    assert_int_equal(sdiff_tensors_get_i64(NULL, "x", NULL, 1), wrong);
    assert_int_equal(sdiff_image_new(NULL, 1, 1, 3, NULL, &image), wrong);
    assert_int_equal(sdiff_image_load_png(NULL, "x", &image), wrong);
    assert_int_equal(sdiff_image_load_png_memory(NULL, "x", 1, &image), wrong);
    assert_int_equal(sdiff_image_save_png(NULL, NULL, "x", NULL), wrong);
    assert_int_equal(sdiff_image_resize(NULL, NULL, 1, 1, &image), wrong);
    assert_int_equal(sdiff_sampler_new(NULL, NULL, &sampler), wrong);
    assert_int_equal(sdiff_sampler_begin(NULL, x), wrong);
    assert_int_equal(sdiff_sampler_supply(NULL, x), wrong);
    assert_int_equal(sdiff_sampler_add_noise(NULL, 0, x, x, x), wrong);
    assert_int_equal(sdiff_sampler_request(NULL, x, &t, &t), 0);
    assert_int_equal(sdiff_randn(0, 0, NULL, 1), wrong);
    assert_null(context);
}

static void test_null_handles_have_no_properties(void **state)
{
    uint64_t used = 1, peak = 1;
    sdiff_context_free(NULL);
    sdiff_model_free(NULL);
    sdiff_pipeline_free(NULL);
    sdiff_tokenizer_free(NULL);
    sdiff_vae_free(NULL);
    sdiff_tensors_free(NULL);
    sdiff_image_free(NULL);
    sdiff_sampler_free(NULL);
    sdiff_pipeline_cancel(NULL);
    sdiff_context_params_init(NULL, 8);
    sdiff_model_params_init(NULL, 8);
    sdiff_generate_params_init(NULL, 8);
    sdiff_sampler_params_init(NULL, 8);
    sdiff_context_memory(NULL, &used, &peak);
    assert_int_equal(used + peak, 0);
    assert_string_equal(sdiff_context_error(NULL), "");
    assert_string_equal(sdiff_context_kernels(NULL), "");
    assert_string_equal(sdiff_model_error(NULL), "");
    assert_string_equal(sdiff_model_info(NULL), "");
    assert_string_equal(sdiff_model_summary(NULL), "");
    assert_string_equal(sdiff_pipeline_error(NULL), "");
    assert_string_equal(sdiff_tokenizer_error(NULL), "");
    assert_string_equal(sdiff_vae_error(NULL), "");
    assert_string_equal(sdiff_tensors_error(NULL), "");
    assert_string_equal(sdiff_sampler_error(NULL), "");
    assert_int_equal(sdiff_context_threads(NULL), 0);
    assert_int_equal(sdiff_model_default_size(NULL), 0);
    assert_int_equal(sdiff_model_latent_scale(NULL), 0);
    assert_int_equal(sdiff_model_latent_channels(NULL), 0);
    assert_int_equal(sdiff_pipeline_image_count(NULL), 0);
    assert_null(sdiff_pipeline_image(NULL, 0));
    assert_int_equal(sdiff_image_width(NULL) + sdiff_image_height(NULL), 0);
    assert_null(sdiff_image_pixels(NULL));
    assert_null(sdiff_image_text(NULL, "x"));
    assert_int_equal(sdiff_tensors_count(NULL), 0);
    assert_null(sdiff_tensors_name(NULL, 0));
    assert_int_equal(sdiff_tensors_shape(NULL, "x", NULL), -1);
    assert_null(sdiff_sampler_latents(NULL));
    assert_null(sdiff_sampler_predicted_x0(NULL));
    assert_int_equal(sdiff_sampler_steps(NULL), 0);
}

static void test_null_arguments_of_good_handles_are_refused(void **state)
{
    api *a = api_open();
    sdiff_model *model = NULL;
    sdiff_image *image = NULL;
    sdiff_tensors *tensors = NULL;
    float x[4] = {0};
    const sdiff_status wrong = SDIFF_ERROR_INVALID_ARGUMENT;
    assert_int_equal(sdiff_model_open(a->context, NULL, NULL, &model), wrong);
    assert_int_equal(sdiff_model_open(a->context, "x", NULL, NULL), wrong);
    assert_int_equal(sdiff_model_open_memory(a->context, NULL, 10, NULL, &model), wrong);
    assert_int_equal(sdiff_model_open_reader(a->context, NULL, NULL, 10, NULL, &model), wrong);
    assert_int_equal(sdiff_pipeline_new(a->model, NULL), wrong);
    assert_int_equal(sdiff_pipeline_memory(a->pipeline, NULL, NULL), wrong);
    assert_int_equal(sdiff_pipeline_result(a->pipeline, 0, x, x), wrong); // nothing made yet
    assert_null(sdiff_pipeline_image(a->pipeline, 0));
    assert_int_equal(sdiff_model_preview(a->model, NULL, 1, 1, &image), wrong);
    assert_int_equal(sdiff_model_preview(a->model, x, 0, 1, &image), wrong);
    assert_int_equal(sdiff_model_preview(a->model, x, 1, 1, NULL), wrong);
    assert_int_equal(sdiff_image_load_png(a->context, NULL, &image), wrong);
    assert_int_equal(sdiff_image_load_png_memory(a->context, NULL, 9, &image), wrong);
    assert_int_equal(sdiff_image_new(a->context, 1, 1, 3, NULL, NULL), wrong);
    assert_int_equal(sdiff_tensors_new(a->context, &tensors), SDIFF_OK);
    assert_int_equal(sdiff_tensors_set(tensors, NULL, 0, 0, NULL, x), wrong);
    assert_int_equal(sdiff_tensors_set(tensors, "x", 0, 1, NULL, x), wrong);
    assert_int_equal(sdiff_tensors_get_f32(tensors, NULL, x, 1), wrong);
    assert_int_equal(sdiff_tensors_save(tensors, NULL), wrong);
    assert_int_equal(sdiff_model_run(a->model, NULL, tensors, NULL, tensors), wrong);
    assert_int_equal(sdiff_model_run(a->model, "unet", NULL, NULL, tensors), wrong);
    assert_int_equal(sdiff_model_run(a->model, "nonsense", tensors, NULL, tensors), wrong);
    assert_int_equal(sdiff_model_run(a->model, "unet", tensors, NULL, tensors), wrong);
    assert_int_not_equal(sdiff_model_error(a->model)[0], 0);
    sdiff_tensors_free(tensors);
    api_close(a);
}

/* ---- structs that grow ----------------------------------------------------------------------- */

typedef struct larger {
    sdiff_generate_params params;
    unsigned char tail[64];
} larger;

static void test_larger_struct_with_zero_tail_is_accepted(void **state)
{
    api *a = api_open();
    larger request;
    sdiff_generate_params_init(&request.params, sizeof request);
    assert_int_equal(request.params.struct_size, sizeof request);
    for (size_t i = 0; i < sizeof request.tail; i++)
        assert_int_equal(request.tail[i], 0);
    request.params.width = request.params.height = 16;
    request.params.steps = 1;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request.params));
    request.tail[40] = 1;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request.params),
                     SDIFF_ERROR_UNSUPPORTED);
    char offset[32];
    snprintf(offset, sizeof offset, "%zu", sizeof request.params + 40);
    assert_non_null(strstr(sdiff_pipeline_error(a->pipeline), offset));
    api_close(a);
}

static void test_smaller_struct_is_refused(void **state)
{
    api *a = api_open();
    sdiff_generate_params request = api_request("");
    request.struct_size = sizeof request - 4; // release 1.0 is the smallest
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_INVALID_ARGUMENT);
    request.struct_size = 0; // not initialised
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_not_equal(sdiff_pipeline_error(a->pipeline)[0], 0);
    request.struct_size = SIZE_MAX;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_INVALID_ARGUMENT);
    sdiff_context_params params;
    sdiff_context *context = NULL;
    memset(&params, 0, sizeof params);
    assert_int_equal(sdiff_context_new(&params, &context), SDIFF_ERROR_INVALID_ARGUMENT);
    sdiff_model_params model_params;
    sdiff_model *model = NULL;
    memset(&model_params, 0, sizeof model_params);
    assert_int_equal(sdiff_model_open(a->context, api_model_path(), &model_params, &model),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    api_close(a);
}

static void test_init_writes_no_more_than_it_is_given(void **state)
{
    unsigned char memory[sizeof(sdiff_generate_params)];
    memset(memory, 0xee, sizeof memory);
    sdiff_generate_params_init((sdiff_generate_params *)memory, 64);
    for (size_t i = 64; i < sizeof memory; i++)
        assert_int_equal(memory[i], 0xee);
    size_t size = 0;
    memcpy(&size, memory, sizeof size);
    assert_int_equal(size, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handles_free_in_any_order),
        cmocka_unit_test(test_pipeline_works_after_its_model_and_context_are_freed),
        cmocka_unit_test(test_small_handles_keep_the_context),
        cmocka_unit_test(test_described_model_holds_no_weights_and_cannot_run),
        cmocka_unit_test(test_failed_constructors_give_null_and_a_sentence),
        cmocka_unit_test(test_context_refuses_contradictions),
        cmocka_unit_test(test_impossible_requests_are_refused),
        cmocka_unit_test(test_null_handles_are_refused),
        cmocka_unit_test(test_null_handles_have_no_properties),
        cmocka_unit_test(test_null_arguments_of_good_handles_are_refused),
        cmocka_unit_test(test_larger_struct_with_zero_tail_is_accepted),
        cmocka_unit_test(test_smaller_struct_is_refused),
        cmocka_unit_test(test_init_writes_no_more_than_it_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
