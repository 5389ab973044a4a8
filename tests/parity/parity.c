/* SPDX-License-Identifier: MIT
 *
 * Parity of networks with golden tensors.
 */
#include "parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- golden files ---------------------------------------------------------------------------- */

/* "data/…" lies in tests/, everything else below shared/. */
static const char *locate(const char *file)
{
    static char paths[4][1024];
    static int next;
    const char *root = getenv("SDIFF_SOURCE_DIR");
    if (strncmp(file, "data/", 5) != 0)
        return test_shared(file);
    assert_non_null(root);
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/tests/%s", root, file);
    return path;
}

void parity_open(parity *p, const char *golden)
{
    const char *path = locate(golden); // may skip: before anything is allocated
    memset(p, 0, sizeof *p);
    p->env = test_env_new();
    snprintf(p->name, sizeof p->name, "%s", golden);
    test_ok(&p->env, sdi_pool_new(&p->env, 2, NULL, NULL, &p->pool));
    const char *sets = getenv("SDIFF_KERNELS");
    uint32_t mask = SDI_SET_ALL;
    if (sets)
        test_ok(&p->env, sdi_kernel_sets_parse(&p->env, sets, &mask));
    sdi_kernels_init(&p->kernels, mask, SDI_F32);
    test_ok(&p->env, sdi_tensor_file_open_path(&p->env, path, &p->golden));
}

void parity_close(parity *p)
{
    print_message("%s: worst error %.3f of its tolerance (%s)\n", p->name, p->worst, p->worst_name);
    assert_true(p->worst > 0); // something was compared
    sdi_tensor_file_free(&p->env, p->golden);
    sdi_pool_free(&p->env, p->pool);
    test_env_free(&p->env);
}

static const sdi_tensor_info *find(parity *p, const char *name, const void **data, void **owned)
{
    const int32_t index = sdi_tensor_file_find(p->golden, name);
    if (index < 0)
        fail_msg("%s has no tensor '%s'", p->name, name);
    test_ok(&p->env, sdi_tensor_file_data(&p->env, p->golden, index, data, owned));
    return sdi_tensor_file_info(p->golden, index);
}

static void copy_shape(const sdi_tensor_info *info, int64_t shape[4])
{
    if (!shape)
        return;
    assert_true(info->rank <= 4);
    for (int32_t i = 0; i < 4; i++)
        shape[i] = i < info->rank ? info->shape[i] : 1;
}

float *parity_golden(parity *p, const char *name, int64_t shape[4])
{
    const void *data;
    void *owned;
    const sdi_tensor_info *info = find(p, name, &data, &owned);
    float *values = malloc((size_t)info->count * sizeof *values);
    assert_non_null(values);
    sdi_convert_to_f32(values, data, info->dtype, (size_t)info->count);
    copy_shape(info, shape);
    sdi_free(&p->env, owned);
    return values;
}

int32_t *parity_golden_ids(parity *p, const char *name, int64_t shape[4])
{
    const void *data;
    void *owned;
    const sdi_tensor_info *info = find(p, name, &data, &owned);
    assert_int_equal(info->dtype, SDI_I64);
    int32_t *ids = malloc((size_t)info->count * sizeof *ids);
    assert_non_null(ids);
    for (uint64_t i = 0; i < info->count; i++) {
        int64_t id;
        memcpy(&id, (const char *)data + 8 * i, sizeof id);
        ids[i] = (int32_t)id;
    }
    copy_shape(info, shape);
    sdi_free(&p->env, owned);
    return ids;
}

void parity_note(parity *p, const char *name, double error, double tolerance)
{
    if (error > p->worst * tolerance) {
        p->worst = error / tolerance;
        snprintf(p->worst_name, sizeof p->worst_name, "%s", name);
    }
    if (!(error <= tolerance))
        fail_msg("%s: '%s' is off by %g, tolerance %g", p->name, name, error, tolerance);
}

void parity_check(parity *p, const char *name, const float *got, const float *want, int64_t count,
                  double tolerance)
{
    double error = 0;
    for (int64_t i = 0; i < count; i++) {
        const double e = fabs((double)got[i] - (double)want[i]);
        if (!(e <= error)) // NaN counts
            error = isnan(e) ? INFINITY : e;
    }
    parity_note(p, name, error, tolerance);
}

void parity_check_l2(parity *p, const char *name, const float *got, double tolerance)
{
    int64_t shape[4];
    float *want = parity_golden(p, name, shape);
    double error = 0, norm = 0;
    for (int64_t i = 0; i < shape[0] * shape[1] * shape[2] * shape[3]; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    free(want);
    parity_note(p, name, sqrt(error / norm), tolerance);
}

/* ---- networks -------------------------------------------------------------------------------- */

static void bind(parity *p, sdi_weights *weights, sdi_tensor_file *file, int32_t param)
{
    const sdi_param *wanted = &weights->params[param];
    const sdi_exec exec = {.pool = p->pool};
    const int32_t index = sdi_tensor_file_find(file, wanted->name);
    const void *data;
    void *owned;
    if (index < 0)
        fail_msg("no tensor '%s' in the file", wanted->name);
    const sdi_tensor_info *info = sdi_tensor_file_info(file, index);
    int same = info->rank == wanted->rank;
    for (int32_t i = 0; same && i < info->rank; i++)
        same = info->shape[i] == wanted->shape[i];
    if (!same)
        fail_msg("'%s' has another shape in the file", wanted->name);
    test_ok(&p->env, sdi_tensor_file_data(&p->env, file, index, &data, &owned));
    test_ok(&p->env, sdi_weights_bind(&exec, weights, param, data, info->dtype));
    sdi_free(&p->env, owned);
}

void parity_load(parity *p, sdi_weights *weights, const char *path, sdi_network_fn network,
                 const void *args)
{
    sdi_tensor_file *file;
    sdi_weights_init(weights, &p->env, &p->kernels);
    test_ok(&p->env, sdi_nn_declare(&p->env, weights, network, args));
    test_ok(&p->env, sdi_weights_allocate(&p->env, weights));
    test_ok(&p->env, sdi_tensor_file_open_path(&p->env, locate(path), &file));
    for (int32_t i = 0; i < weights->count; i++)
        bind(p, weights, file, i);
    sdi_tensor_file_free(&p->env, file);
}

void parity_plan(parity *p, parity_run *r, sdi_weights *weights, sdi_network_fn network,
                 const void *args)
{
    memset(r, 0, sizeof *r);
    test_ok(&p->env,
            sdi_plan_new(&p->env, weights, network, args, sdi_pool_size(p->pool), &r->plan));
    r->arena = sdi_alloc(&p->env, sdi_plan_arena_bytes(r->plan), 1);
    assert_non_null(r->arena);
    memset(r->arena, 0xff, sdi_plan_arena_bytes(r->plan)); // NaN: nothing reads what nobody wrote
    r->run = (sdi_run){.pool = p->pool, .arena = r->arena};
}

void parity_set(parity *p, parity_run *r, const char *input, const void *values)
{
    test_ok(&p->env, sdi_plan_set(&p->env, r->plan, input, values));
}

void parity_go(parity *p, parity_run *r)
{
    test_ok(&p->env, sdi_plan_run(&p->env, r->plan, NN_ONCE, &r->run));
    memset(r->arena, 0xff, sdi_plan_arena_bytes(r->plan)); // others use it between the runs
    test_ok(&p->env, sdi_plan_run(&p->env, r->plan, NN_EACH, &r->run));
}

void parity_end(parity *p, parity_run *r)
{
    sdi_free(&p->env, r->arena);
    sdi_plan_free(&p->env, r->plan);
}

float *parity_output(parity *p, parity_run *r, const char *output, int64_t shape[4])
{
    int32_t rank = 0;
    int32_t i = 0;
    const char *name;
    while ((name = sdi_plan_output(r->plan, i++, shape, &rank)) && strcmp(name, output) != 0)
        ;
    if (!name)
        fail_msg("the plan has no output '%s'", output);
    for (i = rank; i < 4; i++)
        shape[i] = 1;
    const int64_t count = shape[0] * shape[1] * shape[2] * shape[3];
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    test_ok(&p->env, sdi_plan_get(&p->env, r->plan, output, &r->run, values));
    return values;
}

void parity_compare(parity *p, parity_run *r, const char *output, const char *golden,
                    double absolute, double relative)
{
    int64_t have[4], given[4];
    float *got = parity_output(p, r, output, have);
    float *want = parity_golden(p, golden, given);
    const int64_t plane = have[2] * have[3], count = given[1] * plane;
    double largest = 0;
    if (given[0] > have[0] || given[1] > have[1] || given[2] * given[3] != plane)
        fail_msg("%s: '%s' has another shape than '%s'", p->name, output, golden);
    for (int64_t i = 0; i < given[0] * count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (int64_t i = 0; i < given[0]; i++)
        parity_check(p, golden, got + i * have[1] * plane, want + i * count, count,
                     fmax(absolute, relative * largest));
    free(got);
    free(want);
}

double parity_relative_l2(parity *p, parity_run *r, const char *output, const char *golden)
{
    int64_t have[4], given[4];
    float *got = parity_output(p, r, output, have);
    float *want = parity_golden(p, golden, given);
    double error = 0, norm = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(have[i], given[i]);
    for (int64_t i = 0; i < have[0] * have[1] * have[2] * have[3]; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    free(got);
    free(want);
    return sqrt(error / norm);
}

/* ---- configurations ------------------------------------------------------------------------ */

json_t *parity_config(const char *file)
{
    json_error_t error;
    json_t *config = json_load_file(test_shared(file), 0, &error);
    if (!config)
        fail_msg("%s: %s", file, error.text);
    return config;
}

/* A list, or one number for all. */
int32_t parity_config_ints(const json_t *config, const char *key, int32_t *values, int32_t count)
{
    const json_t *value = json_object_get(config, key);
    if (!json_is_array(value)) {
        for (int32_t i = 0; value && i < count; i++)
            values[i] = (int32_t)json_integer_value(value);
        return count;
    }
    const int32_t given = (int32_t)json_array_size(value);
    assert_true(given <= count);
    for (int32_t i = 0; i < given; i++)
        values[i] = (int32_t)json_integer_value(json_array_get(value, (size_t)i));
    return given;
}
