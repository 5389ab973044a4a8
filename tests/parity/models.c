/* SPDX-License-Identifier: MIT
 *
 * Whole models through the public calls.
 */
#include "models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

sdiff_context *models_context(void)
{
    sdiff_context *context = NULL;
    assert_int_equal(sdiff_context_new(NULL, &context), SDIFF_OK);
    return context;
}

sdiff_model *models_open(sdiff_context *context, const char *path)
{
    sdiff_model_params params;
    sdiff_model *model = NULL;
    sdiff_model_params_init(&params, sizeof params);
    params.compute = SDIFF_COMPUTE_F32;
    if (sdiff_model_open(context, path, &params, &model) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(context));
    return model;
}

sdiff_tensors *models_tensors(sdiff_context *context)
{
    sdiff_tensors *tensors = NULL;
    assert_int_equal(sdiff_tensors_new(context, &tensors), SDIFF_OK);
    return tensors;
}

sdiff_tensors *models_golden(sdiff_context *context, const char *shared)
{
    sdiff_tensors *tensors = NULL;
    if (sdiff_tensors_open(context, test_shared(shared), &tensors) != SDIFF_OK)
        fail_msg("%s", sdiff_context_error(context));
    return tensors;
}

void models_ok(const sdiff_model *model, sdiff_status status)
{
    if (status != SDIFF_OK)
        fail_msg("%s: %s", sdiff_status_string(status), sdiff_model_error(model));
}

static size_t shape_of(sdiff_tensors *tensors, const char *name, int32_t *rank, int64_t shape[8])
{
    size_t count = 1;
    *rank = sdiff_tensors_shape(tensors, name, shape);
    if (*rank < 0)
        fail_msg("there is no tensor '%s'", name);
    for (int32_t i = 0; i < *rank; i++)
        count *= (size_t)shape[i];
    return count;
}

float *models_values(sdiff_tensors *tensors, const char *name, size_t *count)
{
    int32_t rank = 0;
    int64_t shape[8];
    *count = shape_of(tensors, name, &rank, shape);
    float *values = malloc(*count * sizeof *values + 1);
    assert_non_null(values);
    assert_int_equal(sdiff_tensors_get_f32(tensors, name, values, *count), SDIFF_OK);
    return values;
}

void models_copy(sdiff_tensors *out, const char *to, sdiff_tensors *in, const char *from)
{
    int32_t rank = 0;
    int64_t shape[8];
    const size_t count = shape_of(in, from, &rank, shape);
    size_t ignored = 0;
    if (sdiff_tensors_dtype(in, from) == SDIFF_DTYPE_I64) {
        int64_t *whole = malloc(count * sizeof *whole + 1);
        assert_int_equal(sdiff_tensors_get_i64(in, from, whole, count), SDIFF_OK);
        assert_int_equal(sdiff_tensors_set(out, to, SDIFF_DTYPE_I64, rank, shape, whole), SDIFF_OK);
        free(whole);
        return;
    }
    float *values = models_values(in, from, &ignored);
    assert_int_equal(sdiff_tensors_set(out, to, SDIFF_DTYPE_F32, rank, shape, values), SDIFF_OK);
    free(values);
}

void models_random(sdiff_tensors *out, const char *name, int32_t rank, const int64_t *shape,
                   int64_t seed)
{
    size_t count = 1;
    for (int32_t i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    sdiff_randn(SDIFF_RNG_TORCH, seed, values, count);
    assert_int_equal(sdiff_tensors_set(out, name, SDIFF_DTYPE_F32, rank, shape, values), SDIFF_OK);
    free(values);
}

sdiff_tensors *models_run(sdiff_context *context, sdiff_model *model, const char *component,
                          sdiff_tensors *in)
{
    sdiff_tensors *out = models_tensors(context);
    models_ok(model, sdiff_model_run(model, component, in, NULL, out));
    return out;
}

void models_same(sdiff_tensors *a, sdiff_tensors *b, const char *name)
{
    size_t n = 0, m = 0;
    float *x = models_values(a, name, &n), *y = models_values(b, name, &m);
    assert_int_equal(n, m);
    if (memcmp(x, y, n * sizeof *x) != 0)
        fail_msg("'%s' differs", name);
    free(x);
    free(y);
}

double models_compare(sdiff_tensors *got, const char *name, sdiff_tensors *golden,
                      const char *golden_name, double tolerance)
{
    size_t n = 0, m = 0;
    float *x = models_values(got, name, &n), *y = models_values(golden, golden_name, &m);
    double worst = 0;
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        const double ratio = fabs((double)x[i] - y[i]) / tolerance;
        if (!(ratio <= 1))
            fail_msg("%s[%zu] is %g, %s has %g (tolerance %g)", name, i, (double)x[i], golden_name,
                     (double)y[i], tolerance);
        worst = fmax(worst, ratio);
    }
    free(x);
    free(y);
    return worst;
}
