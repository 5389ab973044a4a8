/* SPDX-License-Identifier: MIT
 *
 * Starting from pictures and masks through the public API: which settings are the same thing, what
 * stays bit for bit, what is refused. Numbers of the originals: tests/parity/test_pipelines.c.
 */
#include "test_api_support.h"

enum { SIDE = 32, PLANE = SIDE * SIDE };

typedef struct given {
    float image[3 * PLANE], mask[PLANE];
} given;

/* A disc on a gradient of 8-bit colours; the mask marks the disc, with a soft edge. */
static given draw_given(void)
{
    given g;
    for (int i = 0; i < PLANE; i++) {
        const float x = (float)(i % SIDE) - 15.5f, y = (float)(i / SIDE) - 15.5f;
        const float distance = sqrtf(x * x + y * y);
        g.mask[i] = distance < 8 ? 1 : distance < 11 ? (11 - distance) / 3 : 0;
        for (int c = 0; c < 3; c++)
            g.image[c * PLANE + i] =
                distance < 8 ? (float)(c == 0) : (float)((i * (c + 3) / 7) % 256) / 255.0f;
    }
    return g;
}

static sdiff_generate_params request_of(const given *g, double strength)
{
    sdiff_generate_params request = api_request("a red apple");
    request.image = g->image;
    request.strength = strength;
    return request;
}

/* ---- the same thing -------------------------------------------------------------------------- */

static void test_strength_1_is_text_to_image(void **state)
{
    static const char *const samplers[] = {"ddim", "euler_a", "dpmpp_2m", "k_dpmpp_2m_sde"};
    api *a = api_open();
    const given g = draw_given();
    for (int i = 0; i < 4; i++) {
        api_result plain, from_picture;
        sdiff_generate_params request = api_request("a red apple");
        request.sampler = samplers[i];
        api_make(a->pipeline, &request, &plain);
        request.image = g.image;
        request.strength = 1;
        api_make(a->pipeline, &request, &from_picture);
        api_assert_same(&plain, &from_picture);
        request.start_from_image = 1;
        api_make(a->pipeline, &request, &from_picture);
        api_assert_differ(&plain, &from_picture);
    }
    api_close(a);
}

static int count_steps(void *user, const sdiff_step *step)
{
    ++*(int *)user;
    return 0;
}

/* Strength 0: the picture through the autoencoder, without a step. */
static void test_strength_0_is_the_reconstruction(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    float image[3 * PLANE], mean[API_LATENTS], want[3 * PLANE];
    api_result result;
    int steps = 0;
    sdiff_vae *vae = NULL;
    sdiff_generate_params request = request_of(&g, 0);
    request.encode_mode = SDIFF_ENCODE_MODE;
    request.on_step = count_steps;
    request.step_user = &steps;
    api_make(a->pipeline, &request, &result);
    assert_int_equal(steps, 0);
    assert_int_equal(sdiff_vae_of_model(a->model, &vae), SDIFF_OK);
    for (int i = 0; i < 3 * PLANE; i++)
        image[i] = g.image[i] * 2 - 1;
    assert_int_equal(sdiff_vae_encode(vae, image, 1, SIDE, SIDE, mean, NULL), SDIFF_OK);
    assert_int_equal(sdiff_vae_decode(vae, mean, 1, 8, 8, want), SDIFF_OK);
    for (int i = 0; i < 3 * PLANE; i++)
        assert_float_equal(result.pixels[i], fminf(fmaxf(want[i] * 0.5f + 0.5f, 0), 1), 1e-4);
    request.encode_mode = SDIFF_ENCODE_SAMPLE;
    api_result sampled;
    api_make(a->pipeline, &request, &sampled);
    api_assert_differ(&result, &sampled);
    sdiff_vae_free(vae);
    api_close(a);
}

/* Steps of a strength are the last ones: 0.75 by default, all where a mask is given. */
static void test_strength_decides_the_number_of_steps(void **state)
{
    static const double strengths[] = {0.25, 0.5, 0.9, 1, -1};
    static const int wanted[] = {2, 4, 7, 8, 6};
    api *a = api_open();
    const given g = draw_given();
    for (int i = 0; i < 6; i++) {
        int steps = 0;
        sdiff_generate_params request = request_of(&g, strengths[i < 5 ? i : 4]);
        request.mask = i == 5 ? g.mask : NULL;
        request.steps = 8;
        request.no_decode = 1;
        request.on_step = count_steps;
        request.step_user = &steps;
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        assert_int_equal(steps, i < 5 ? wanted[i] : 8);
    }
    api_close(a);
}

/* More strength takes the picture farther away from where it began. */
static void test_little_strength_stays_near_the_picture(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    double before = 0;
    for (int i = 0; i < 3; i++) {
        api_result result;
        double distance = 0;
        sdiff_generate_params request = request_of(&g, 0.1 + 0.4 * i);
        request.steps = 10;
        api_make(a->pipeline, &request, &result);
        for (int k = 0; k < 3 * PLANE; k++)
            distance += pow(result.pixels[k] - g.image[k], 2);
        assert_true(distance > before);
        before = distance;
    }
    api_close(a);
}

static void test_picture_i_of_a_batch_is_a_single_run(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    for (int with_mask = 0; with_mask < 2; with_mask++) {
        api_result batch, single;
        sdiff_generate_params request = request_of(&g, 0.7);
        request.mask = with_mask ? g.mask : NULL;
        request.sampler = "euler_a";
        request.seed = 11;
        api_make(a->pipeline, &request, &single);
        request.seed = 9;
        request.batch_count = 3;
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        api_take(a->pipeline, 2, &batch);
        api_assert_same(&batch, &single);
    }
    api_close(a);
}

/* ---- masks ----------------------------------------------------------------------------------- */

static void test_unmasked_pixels_come_back_bit_for_bit(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    api_result kept, decoded;
    sdiff_generate_params request = request_of(&g, 1);
    request.mask = g.mask;
    api_make(a->pipeline, &request, &kept);
    const uint8_t *bytes = sdiff_image_pixels(sdiff_pipeline_image(a->pipeline, 0));
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            if (g.mask[i] == 0)
                assert_int_equal(bytes[3 * i + c], (int)(g.image[c * PLANE + i] * 255 + 0.5f));
    request.keep_unmasked = 0;
    api_make(a->pipeline, &request, &decoded);
    for (int i = 0; i < 3 * PLANE; i++) {
        const float m = g.mask[i % PLANE], picture = g.image[i], made = decoded.pixels[i];
        if (m == 0)
            assert_memory_equal(&kept.pixels[i], &picture, sizeof picture);
        else if (m == 1)
            assert_memory_equal(&kept.pixels[i], &made, sizeof made);
        else
            assert_float_equal(kept.pixels[i], picture + m * (made - picture), 1e-6);
    }
    assert_memory_equal(kept.latents, decoded.latents, sizeof kept.latents);
    api_close(a);
}

/* ---- draws ----------------------------------------------------------------------------------- */

typedef struct draws {
    sdiff_generate_params request;
    int64_t next;
    float normal[8][API_LATENTS];
} draws;

static int give_drawn(void *user, int64_t draw, float *out, size_t count)
{
    draws *d = user;
    assert_int_equal(draw, d->next++);
    assert_int_equal(count, API_LATENTS);
    memcpy(out, d->normal[draw], sizeof d->normal[draw]);
    return 0;
}

/* One function can stand for the generator: it is asked for every draw once and in order. */
static void test_noise_callback_gives_every_draw(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    static const int wanted[] = {2, 3, 1}; // of the encoder, added, of the masked picture
    for (int i = 0; i < 3; i++) {
        api_result own, seeded;
        draws *d = calloc(1, sizeof *d);
        float stream[8 * API_LATENTS];
        assert_int_equal(sdiff_randn(SDIFF_RNG_PHILOX, 3, stream, SDI_COUNT(stream)), SDIFF_OK);
        memcpy(d->normal, stream, sizeof stream);
        sdiff_generate_params request = request_of(&g, i == 2 ? 1 : 0.7);
        request.mask = i == 1 ? g.mask : NULL;
        request.sampler = "ddim";
        request.noise = give_drawn;
        request.noise_user = d;
        api_make(a->pipeline, &request, &own);
        assert_int_equal(d->next, wanted[i]);
        request.noise = NULL;
        api_make(a->pipeline, &request, &seeded);
        api_assert_differ(&own, &seeded);
        free(d);
    }
    api_close(a);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse(api *a, const sdiff_generate_params *request, const char *sentence)
{
    assert_int_equal(sdiff_pipeline_generate(a->pipeline, request), SDIFF_ERROR_INVALID_ARGUMENT);
    if (!strstr(sdiff_pipeline_error(a->pipeline), sentence))
        fail_msg("'%s' does not say '%s'", sdiff_pipeline_error(a->pipeline), sentence);
}

static void test_bad_strengths_are_refused(void **state)
{
    static const double bad[] = {1.01, 1e300, NAN, INFINITY};
    api *a = api_open();
    const given g = draw_given();
    for (int i = 0; i < 4; i++) {
        const sdiff_generate_params request = request_of(&g, bad[i]);
        refuse(a, &request, "strength");
    }
    api_close(a);
}

static void test_bad_masks_are_refused(void **state)
{
    static const float bad[] = {NAN, -0.5f, 1.5f, INFINITY};
    api *a = api_open();
    given g = draw_given();
    sdiff_generate_params request = request_of(&g, 0.5);
    request.mask = g.mask;
    for (int i = 0; i < 4; i++) {
        g.mask[5 * SIDE + 7] = bad[i];
        refuse(a, &request, "column 7 of row 5");
    }
    memset(g.mask, 0, sizeof g.mask);
    refuse(a, &request, "marks nothing");
    g.mask[5 * SIDE + 7] = 1; // lost at 8 x 8 latents
    refuse(a, &request, "widen it");
    g.mask[4 * SIDE + 8] = 1;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    request.image = NULL;
    refuse(a, &request, "the picture is missing");
    api_close(a);
}

static void test_bad_pictures_are_refused(void **state)
{
    api *a = api_open();
    given g = draw_given();
    sdiff_generate_params request = request_of(&g, 0.5);
    g.image[PLANE + 3] = NAN;
    refuse(a, &request, "column 3 of row 0");
    g.image[PLANE + 3] = 200; // of 255, not of 1
    refuse(a, &request, "0 to 1 is needed");
    g.image[PLANE + 3] = 1;
    request.width = 30;
    refuse(a, &request, "multiple of 4");
    request.width = 32;
    request.encode_mode = 2;
    refuse(a, &request, "encode mode");
    api_close(a);
}

static void test_depth_for_an_ordinary_model_is_refused(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    sdiff_generate_params request = api_request("a red apple");
    request.depth = g.mask;
    refuse(a, &request, "no depth-to-image model");
    api_close(a);
}

/* Another model in the place of the small one. */
static void reopen(api *a, const char *fixture)
{
    sdiff_pipeline_free(a->pipeline);
    sdiff_model_free(a->model);
    if (sdiff_model_open(a->context, test_shared(fixture), NULL, &a->model) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(a->context));
    assert_int_equal(sdiff_pipeline_new(a->model, &a->pipeline), SDIFF_OK);
}

static void test_inpainting_model_needs_picture_and_mask(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    sdiff_generate_params request = api_request("a red apple");
    reopen(a, "fixtures/tiny-inpaint");
    refuse(a, &request, "needs a picture and a mask");
    request.image = g.image;
    refuse(a, &request, "needs a picture and a mask");
    request.mask = g.mask;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    request.depth = g.mask;
    refuse(a, &request, "no depth-to-image model");
    api_close(a);
}

static void test_depth_model_refuses_bad_maps(void **state)
{
    api *a = api_open();
    given g = draw_given();
    sdiff_generate_params request = api_request("a red apple");
    reopen(a, "fixtures/tiny-depth");
    request.depth = g.mask;
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    g.mask[SIDE + 2] = INFINITY;
    refuse(a, &request, "column 2 of row 1");
    memset(g.mask, 0, sizeof g.mask); // flat, but possible
    api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
    request.depth_width = -1;
    refuse(a, &request, "width of the depth map");
    api_close(a);
}

/* Without a map the model's own estimator is asked: the same as giving what it says. */
static void test_depth_is_estimated_from_the_picture(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    sdiff_depth *estimator = NULL;
    int32_t width = 0, height = 0;
    reopen(a, "fixtures/tiny-depth");
    assert_int_equal(sdiff_depth_of_model(a->model, &estimator), SDIFF_OK);
    assert_int_equal(sdiff_depth_size(estimator, SIDE, SIDE, &width, &height), SDIFF_OK);
    float *map = malloc((size_t)width * (size_t)height * sizeof *map);
    float latents[2][4 * PLANE / 64];
    assert_int_equal(sdiff_depth_estimate(estimator, g.image, SIDE, SIDE, map), SDIFF_OK);
    for (int i = 0; i < 2; i++) {
        sdiff_generate_params request = request_of(&g, i ? 0.7 : 1);
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, latents[0], NULL));
        request.depth = map;
        request.depth_width = width;
        request.depth_height = height;
        api_ok(a->pipeline, sdiff_pipeline_generate(a->pipeline, &request));
        api_ok(a->pipeline, sdiff_pipeline_result(a->pipeline, 0, latents[1], NULL));
        assert_memory_equal(latents[0], latents[1], sizeof latents[0]);
    }
    sdiff_generate_params request = api_request("a red apple");
    refuse(a, &request, "needs a picture or a depth map");
    free(map);
    sdiff_depth_free(estimator);
    api_close(a);
}

/* Every allocation may fail: the call says so and the handle stays usable. */
static void test_lack_of_memory_is_reported(void **state)
{
    api *a = api_open();
    const given g = draw_given();
    sdiff_generate_params request = request_of(&g, 0.5);
    request.mask = g.mask;
    request.steps = 1;
    int failures = 0;
    for (long long n = 1;; n++) {
        a->heap.fail_at = atomic_load(&a->heap.count) + n;
        const sdiff_status status = sdiff_pipeline_generate(a->pipeline, &request);
        a->heap.fail_at = 0;
        if (status == SDIFF_OK)
            break;
        assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
        failures++;
    }
    assert_true(failures > 10);
    api_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strength_1_is_text_to_image),
        cmocka_unit_test(test_strength_0_is_the_reconstruction),
        cmocka_unit_test(test_strength_decides_the_number_of_steps),
        cmocka_unit_test(test_little_strength_stays_near_the_picture),
        cmocka_unit_test(test_picture_i_of_a_batch_is_a_single_run),
        cmocka_unit_test(test_unmasked_pixels_come_back_bit_for_bit),
        cmocka_unit_test(test_noise_callback_gives_every_draw),
        cmocka_unit_test(test_bad_strengths_are_refused),
        cmocka_unit_test(test_bad_masks_are_refused),
        cmocka_unit_test(test_bad_pictures_are_refused),
        cmocka_unit_test(test_depth_for_an_ordinary_model_is_refused),
        cmocka_unit_test(test_inpainting_model_needs_picture_and_mask),
        cmocka_unit_test(test_depth_model_refuses_bad_maps),
        cmocka_unit_test(test_depth_is_estimated_from_the_picture),
        cmocka_unit_test(test_lack_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
