/* SPDX-License-Identifier: MIT
 *
 * What a request means: the same bits however it is run, and which settings are the same thing.
 */
#include "test_api_support.h"

/* ---- the same bits --------------------------------------------------------------------------- */

static void test_thread_counts_give_the_same_bits(void **state)
{
    static const int32_t counts[] = {1, 2, 4, 7};
    api_result first, result;
    for (int i = 0; i < 4; i++) {
        sdiff_context_params params;
        sdiff_context_params_init(&params, sizeof params);
        params.threads = counts[i];
        api *a = api_open_with(&params);
        assert_int_equal(sdiff_context_threads(a->context), counts[i]);
        const sdiff_generate_params request = api_request("a gray cat with green eyes");
        api_make(a->pipeline, &request, i ? &result : &first);
        if (i)
            api_assert_same(&first, &result);
        api_close(a);
    }
}

typedef struct runner {
    sdiff_pipeline *pipeline;
    const char *prompt;
    api_result results[4];
} runner;

static void *run_pipeline(void *argument)
{
    runner *u = argument;
    for (int i = 0; i < 4; i++) {
        sdiff_generate_params request = api_request(u->prompt);
        request.seed = i;
        if (sdiff_pipeline_generate(u->pipeline, &request) == SDIFF_OK)
            sdiff_pipeline_result(u->pipeline, 0, u->results[i].latents, u->results[i].pixels);
    }
    return NULL;
}

static void test_pipelines_in_two_threads_give_the_same_bits_as_alone(void **state)
{
    api *a = api_open();
    runner alone[2], together[2];
    pthread_t threads[2];
    memset(alone, 0, sizeof alone);
    memset(together, 0, sizeof together);
    for (int i = 0; i < 2; i++) {
        alone[i].prompt = together[i].prompt = i ? "a red apple" : "a brown dog";
        alone[i].pipeline = a->pipeline;
        run_pipeline(&alone[i]);
        assert_int_equal(sdiff_pipeline_new(a->model, &together[i].pipeline), SDIFF_OK);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_pipeline, &together[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sdiff_pipeline_free(together[i].pipeline);
        for (int k = 0; k < 4; k++)
            api_assert_same(&alone[i].results[k], &together[i].results[k]);
    }
    api_assert_differ(&alone[0].results[0], &alone[1].results[0]);
    api_close(a);
}

static void test_repeated_calls_give_the_same_bits(void **state)
{
    api *a = api_open();
    api_result first, other, again;
    const sdiff_generate_params request = api_request("a big purple star");
    sdiff_generate_params larger = api_request("a big purple star");
    larger.width = 64;
    api_make(a->pipeline, &request, &first);
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &larger)); // other plans in between
    api_make(a->pipeline, &request, &again);
    api_assert_same(&first, &again);
    sdiff_generate_params seeded = request;
    seeded.seed = 8;
    api_make(a->pipeline, &seeded, &other);
    api_assert_differ(&first, &other);
    api_close(a);
}

static void test_picture_i_of_a_batch_is_a_single_run_with_seed_plus_i(void **state)
{
    api *a = api_open();
    api_result batch[3], single;
    sdiff_generate_params request = api_request("a green apple");
    request.batch_count = 3;
    request.sampler = "euler_a"; // draws noise between the steps
    request.seed = -2;           // also across zero
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    assert_int_equal(sdiff_pipeline_image_count(a->pipeline), 3);
    for (int32_t i = 0; i < 3; i++)
        api_take(a->pipeline, i, &batch[i]);
    request.batch_count = 1;
    for (int32_t i = 0; i < 3; i++) {
        request.seed = i - 2;
        api_make(a->pipeline, &request, &single);
        api_assert_same(&single, &batch[i]);
    }
    api_close(a);
}

/* ---- guidance -------------------------------------------------------------------------------- */

static void test_cfg_0_does_not_read_the_prompt(void **state)
{
    api *a = api_open();
    api_result one, other, empty;
    sdiff_generate_params request = api_request("a red apple");
    request.cfg_scale = 0;
    api_make(a->pipeline, &request, &one);
    request.prompt = "a brown dog on a green background";
    api_make(a->pipeline, &request, &other);
    api_assert_same(&one, &other);
    request.cfg_scale = 1; // the empty prompt alone
    request.prompt = "";
    api_make(a->pipeline, &request, &empty);
    api_assert_same(&one, &empty);
    api_close(a);
}

static void test_cfg_1_does_not_read_the_negative_prompt(void **state)
{
    api *a = api_open();
    api_result one, other;
    uint64_t half = 0, both = 0;
    sdiff_generate_params request = api_request("a red apple");
    request.cfg_scale = 1;
    api_make(a->pipeline, &request, &one);
    request.negative_prompt = "a white background";
    api_make(a->pipeline, &request, &other);
    api_assert_same(&one, &other);
    request.cfg_scale = 7;
    api_make(a->pipeline, &request, &other);
    api_assert_differ(&one, &other);
    request.width = request.height = 128; // where the U-Net is what takes the memory
    assert_int_equal(sdiff_pipeline_memory(a->pipeline, &request, &both), SDIFF_OK);
    request.cfg_scale = 1;
    sdiff_pipeline *fresh = NULL;
    assert_int_equal(sdiff_pipeline_new(a->model, &fresh), SDIFF_OK);
    assert_int_equal(sdiff_pipeline_memory(fresh, &request, &half), SDIFF_OK);
    assert_true(half <= both);
    sdiff_pipeline_free(fresh);
    api_close(a);
}

typedef struct evaluations {
    int32_t asked;
    double scale;
} evaluations;

static double constant_cfg(void *user, int32_t step, int32_t steps, double cfg_scale)
{
    evaluations *e = user;
    assert_int_equal(steps, 3);
    assert_in_range(step, 0, 2);
    assert_true(cfg_scale == 7.5);
    e->asked++;
    return e->scale;
}

static void test_cfg_callback_is_asked_for_every_evaluation(void **state)
{
    api *a = api_open();
    api_result plain, called;
    evaluations e = {.scale = 3};
    sdiff_generate_params request = api_request("a red apple");
    request.cfg_scale = 3;
    api_make(a->pipeline, &request, &plain);
    request.cfg_scale = 7.5;
    request.cfg = constant_cfg;
    request.cfg_user = &e;
    api_make(a->pipeline, &request, &called);
    assert_int_equal(e.asked, 3);
    api_assert_same(&plain, &called);
    api_close(a);
}

/* ---- latents --------------------------------------------------------------------------------- */

static void assert_given_latents_equal_seed(const char *sampler)
{
    api *a = api_open();
    api_result seeded, given;
    float start[API_LATENTS];
    sdiff_generate_params request = api_request("a red apple");
    request.sampler = sampler;
    api_make(a->pipeline, &request, &seeded);
    assert_int_equal(sdiff_randn(SDIFF_RNG_TORCH, request.seed, start, API_LATENTS), SDIFF_OK);
    request.init_latents = start;
    api_make(a->pipeline, &request, &given);
    api_assert_same(&seeded, &given);
    api_close(a);
}

static void test_given_latents_are_the_seeds_own(void **state)
{
    assert_given_latents_equal_seed("ddim");
    assert_given_latents_equal_seed("euler_a"); // its draws are the same too
}

static int no_noise(void *user, int64_t draw, float *out, size_t count)
{
    int64_t *next = user;
    assert_int_equal(draw, (*next)++);
    memset(out, 0, count * sizeof *out);
    return 0;
}

static int broken_noise(void *user, int64_t draw, float *out, size_t count)
{
    return 1;
}

static void test_noise_callback_replaces_the_draws(void **state)
{
    api *a = api_open();
    api_result drawn, silent;
    int64_t next = 0;
    sdiff_generate_params request = api_request("a red apple");
    request.sampler = "euler_a";
    api_make(a->pipeline, &request, &drawn);
    request.noise = no_noise;
    request.noise_user = &next;
    api_make(a->pipeline, &request, &silent);
    assert_true(next >= 2);
    api_assert_differ(&drawn, &silent);
    request.noise = broken_noise;
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, &request), SDIFF_ERROR_CANCELLED);
    assert_int_not_equal(sdiff_pipeline_error(a->pipeline)[0], 0);
    api_close(a);
}

static void test_generators_differ(void **state)
{
    api *a = api_open();
    api_result torch, philox;
    sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &torch);
    request.rng = SDIFF_RNG_PHILOX;
    api_make(a->pipeline, &request, &philox);
    api_assert_differ(&torch, &philox);
    api_close(a);
}

static void test_brownian_path_is_that_of_the_pictures_seed(void **state)
{
    api *a = api_open();
    api_result drawn, path, batch, other;
    sdiff_generate_params request = api_request("a red apple");
    request.sampler = "k_dpmpp_2m_sde";
    request.steps = 4;
    api_make(a->pipeline, &request, &drawn);
    request.brownian = 1;
    request.batch_count = 2;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    api_take(a->pipeline, 1, &batch);
    request.batch_count = 1;
    api_make(a->pipeline, &request, &path);
    api_assert_differ(&drawn, &path);
    request.seed++;
    api_make(a->pipeline, &request, &other);
    api_assert_same(&batch, &other);
    request.sampler = "euler_a"; // has none
    api_make(a->pipeline, &request, &path);
    request.brownian = 0;
    api_make(a->pipeline, &request, &other);
    api_assert_same(&path, &other);
    api_close(a);
}

/* ---- results --------------------------------------------------------------------------------- */

static void test_image_holds_the_rounded_result(void **state)
{
    api *a = api_open();
    api_result result;
    const sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &result);
    sdiff_image *image = sdiff_pipeline_image(a->pipeline, 0);
    assert_int_equal(sdiff_image_width(image), 32);
    assert_int_equal(sdiff_image_height(image), 32);
    assert_int_equal(sdiff_image_channels(image), 3);
    for (int p = 0; p < 32 * 32; p++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(sdiff_image_pixels(image)[3 * p + c],
                             (int)(result.pixels[c * 32 * 32 + p] * 255 + 0.5f));
    assert_ptr_equal(image, sdiff_pipeline_image(a->pipeline, 0));
    assert_null(sdiff_pipeline_image(a->pipeline, 1));
    assert_null(sdiff_pipeline_image(a->pipeline, -1));
    api_close(a);
}

static void test_no_decode_stops_at_the_latents(void **state)
{
    api *a = api_open();
    api_result whole, half;
    sdiff_generate_params request = api_request("a red apple");
    api_make(a->pipeline, &request, &whole);
    request.no_decode = 1;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, half.latents, NULL));
    assert_memory_equal(whole.latents, half.latents, sizeof half.latents);
    assert_null(sdiff_pipeline_image(a->pipeline, 0));
    assert_int_equal(sdiff_pipeline_result(a->pipeline, 0, NULL, half.pixels),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    api_close(a);
}

static void test_defaults_are_used_for_null(void **state)
{
    api *a = api_open();
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, NULL));
    assert_int_equal(sdiff_image_width(sdiff_pipeline_image(a->pipeline, 0)),
                     sdiff_model_default_size(a->model));
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.sampler = request.schedule = NULL;
    const size_t size = 3 * 64 * 64;
    uint8_t *pixels = malloc(size);
    memcpy(pixels, sdiff_image_pixels(sdiff_pipeline_image(a->pipeline, 0)), size);
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    assert_memory_equal(pixels, sdiff_image_pixels(sdiff_pipeline_image(a->pipeline, 0)), size);
    free(pixels);
    api_close(a);
}

static void test_every_sampler_makes_a_finite_picture(void **state)
{
    api *a = api_open();
    const char *name = NULL;
    for (int32_t i = 0; (name = sdiff_sampler_name(i)); i++) {
        api_result result;
        sdiff_generate_params request = api_request("a red apple");
        request.sampler = name;
        request.steps = 5;
        const sdiff_status status = sdiff_pipeline_generate(a->pipeline, &request);
        if (status != SDIFF_OK)
            fail_msg("%s: %s", name, sdiff_pipeline_error(a->pipeline));
        api_take(a->pipeline, 0, &result);
        for (int k = 0; k < API_LATENTS; k++)
            if (!isfinite(result.latents[k]))
                fail_msg("%s: latent %d is not finite", name, k);
    }
    api_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread_counts_give_the_same_bits),
        cmocka_unit_test(test_pipelines_in_two_threads_give_the_same_bits_as_alone),
        cmocka_unit_test(test_repeated_calls_give_the_same_bits),
        cmocka_unit_test(test_picture_i_of_a_batch_is_a_single_run_with_seed_plus_i),
        cmocka_unit_test(test_cfg_0_does_not_read_the_prompt),
        cmocka_unit_test(test_cfg_1_does_not_read_the_negative_prompt),
        cmocka_unit_test(test_cfg_callback_is_asked_for_every_evaluation),
        cmocka_unit_test(test_given_latents_are_the_seeds_own),
        cmocka_unit_test(test_noise_callback_replaces_the_draws),
        cmocka_unit_test(test_generators_differ),
        cmocka_unit_test(test_brownian_path_is_that_of_the_pictures_seed),
        cmocka_unit_test(test_image_holds_the_rounded_result),
        cmocka_unit_test(test_no_decode_stops_at_the_latents),
        cmocka_unit_test(test_defaults_are_used_for_null),
        cmocka_unit_test(test_every_sampler_makes_a_finite_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
