/* SPDX-License-Identifier: MIT
 *
 * sdiff_model_run on tensors as users bring them: other types, too few, too many, misshapen.
 */
#include "test_api_support.h"

enum { CONTEXT = 77 * 96, MIDDLE = 96 * 2 * 2 };

static const int64_t sample_shape[4] = {1, 4, 8, 8}, context_shape[3] = {1, 77, 96},
                     middle_shape[4] = {1, 96, 2, 2};

static void put(sdiff_tensors *in, const char *name, int32_t rank, const int64_t *shape,
                const float *data)
{
    assert_int_equal(sdiff_tensors_set(in, name, SDIFF_DTYPE_F32, rank, shape, data), SDIFF_OK);
}

/* Everything that a U-Net cannot do without. */
static sdiff_tensors *unet_input(const api *a)
{
    static float sample[API_LATENTS], context[CONTEXT];
    const float t = 500;
    sdiff_tensors *in = NULL;
    sdiff_randn(SDIFF_RNG_TORCH, 1, sample, API_LATENTS);
    sdiff_randn(SDIFF_RNG_TORCH, 2, context, CONTEXT);
    assert_int_equal(sdiff_tensors_new(a->context, &in), SDIFF_OK);
    put(in, "sample", 4, sample_shape, sample);
    put(in, "context", 3, context_shape, context);
    put(in, "timestep", 0, NULL, &t);
    return in;
}

static void run(const api *a, sdiff_tensors *in, float *out)
{
    sdiff_tensors *result = NULL;
    assert_int_equal(sdiff_tensors_new(a->context, &result), SDIFF_OK);
    if (sdiff_model_run(a->model, "unet", in, NULL, result) != SDIFF_OK)
        fail_msg("%s", sdiff_model_error(a->model));
    assert_int_equal(sdiff_tensors_get_f32(result, "out", out, API_LATENTS), SDIFF_OK);
    sdiff_tensors_free(result);
}

static void refused(const api *a, const char *component, sdiff_tensors *in, const char *word)
{
    sdiff_tensors *result = NULL;
    assert_int_equal(sdiff_tensors_new(a->context, &result), SDIFF_OK);
    assert_int_equal(sdiff_model_run(a->model, component, in, NULL, result),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    if (!strstr(sdiff_model_error(a->model), word))
        fail_msg("'%s' does not say '%s'", sdiff_model_error(a->model), word);
    assert_int_equal(sdiff_tensors_count(result), 0);
    sdiff_tensors_free(result);
}

/* The network says what shape it needs: the residuals of its skip connections, as zeros. */
static int add_down_residuals(sdiff_tensors *in)
{
    static const float zeros[96 * 64];
    static const int64_t shapes[][4] = {{1, 64, 8, 8}, {1, 64, 8, 8}, {1, 64, 4, 4},
                                        {1, 96, 4, 4}, {1, 96, 2, 2}, {1, 96, 2, 2}};
    const int count = sizeof shapes / sizeof shapes[0];
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "down_residual.%d", i);
        put(in, name, 4, shapes[i], zeros);
    }
    return count;
}

static void residuals_of_the_middle_or_the_skips_alone(void **state)
{
    (void)state;
    api *a = api_open();
    float middle[MIDDLE], none[API_LATENTS], out[API_LATENTS], both[API_LATENTS];
    sdiff_randn(SDIFF_RNG_TORCH, 3, middle, MIDDLE);
    sdiff_tensors *in = unet_input(a);
    run(a, in, none);
    add_down_residuals(in); // zeros
    run(a, in, out);
    assert_memory_equal(out, none, sizeof out);
    put(in, "mid_residual", 4, middle_shape, middle);
    run(a, in, both);
    assert_true(memcmp(both, none, sizeof both) != 0);
    sdiff_tensors_free(in);

    in = unet_input(a);
    put(in, "mid_residual", 4, middle_shape, middle);
    run(a, in, out);
    assert_memory_equal(out, both, sizeof out);
    sdiff_tensors_free(in);
    api_close(a);
}

static void misshapen_residuals_are_refused(void **state)
{
    (void)state;
    api *a = api_open();
    const float one = 1;
    static const int64_t small[4] = {1, 1, 1, 1};
    char name[32];
    sdiff_tensors *in = unet_input(a);
    put(in, "mid_residual", 4, small, &one);
    refused(a, "unet", in, "'mid_residual' is [1, 1, 1, 1], [1, 96, 2, 2] is needed");
    sdiff_tensors_free(in);

    in = unet_input(a);
    const int count = add_down_residuals(in);
    put(in, "down_residual.3", 4, small, &one);
    refused(a, "unet", in, "'down_residual.3' is [1, 1, 1, 1]");
    add_down_residuals(in);
    snprintf(name, sizeof name, "down_residual.%d", count);
    put(in, name, 4, small, &one);
    refused(a, "unet", in, "one too many");
    sdiff_tensors_free(in);

    in = unet_input(a);
    put(in, "down_residual.0", 4, (const int64_t[]){1, 64, 8, 8}, (const float[64 * 64]){0});
    refused(a, "unet", in, "'down_residual.1' is missing");
    sdiff_tensors_free(in);
    api_close(a);
}

static void ids_that_are_none_are_named(void **state)
{
    (void)state;
    api *a = api_open();
    static const int64_t shape[2] = {1, 2};
    sdiff_tensors *in = NULL;
    assert_int_equal(sdiff_tensors_new(a->context, &in), SDIFF_OK);
    const int64_t huge[2] = {1, (int64_t)1 << 40}, negative[2] = {-7, 1}, behind[2] = {1, 622};
    sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, huge);
    refused(a, "text", in, "1099511627776");
    sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, negative);
    refused(a, "text", in, "-7");
    sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, behind);
    refused(a, "text", in, "622");
    sdiff_tensors_free(in);
    api_close(a);
}

static void integers_are_exact_or_refused(void **state)
{
    (void)state;
    api *a = api_open();
    sdiff_tensors *t = NULL;
    static const int64_t one[1] = {1};
    static const int32_t wide = (1 << 24) + 1; // not a float32
    static const float half = 0.5f, three = 3;
    int64_t found = 0;
    assert_int_equal(sdiff_tensors_new(a->context, &t), SDIFF_OK);
    assert_int_equal(sdiff_tensors_set(t, "wide", SDIFF_DTYPE_I32, 1, one, &wide), SDIFF_OK);
    put(t, "half", 1, one, &half);
    put(t, "three", 1, one, &three);
    assert_int_equal(sdiff_tensors_get_i64(t, "wide", &found, 1), SDIFF_OK);
    assert_int_equal(found, wide);
    assert_int_equal(sdiff_tensors_get_i64(t, "three", &found, 1), SDIFF_OK);
    assert_int_equal(found, 3);
    assert_int_equal(sdiff_tensors_get_i64(t, "half", &found, 1), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(sdiff_tensors_error(t), "'half' holds 0.5"));
    sdiff_tensors_free(t);
    api_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residuals_of_the_middle_or_the_skips_alone),
        cmocka_unit_test(misshapen_residuals_are_refused),
        cmocka_unit_test(ids_that_are_none_are_named),
        cmocka_unit_test(integers_are_exact_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
