/* SPDX-License-Identifier: MIT
 *
 * The builder on networks small enough to compute by hand.
 */
#include "support.h"

#include "nn/plan.h"

#include <string.h>

typedef struct machine {
    sdi_env env;
    sdi_weights weights;
    sdi_plan *plan;
    sdi_run run;
} machine;

/* Declares, gives every parameter ones (biases: 0.5), plans. */
static sdiff_status start(machine *m, sdi_network_fn network)
{
    sdi_kernels kernels;
    memset(m, 0, sizeof *m);
    m->env = test_env_new();
    sdi_kernels_init(&kernels, 0, SDI_F32);
    sdi_weights_init(&m->weights, &m->env, &kernels);
    SDI_TRY(sdi_nn_declare(&m->env, &m->weights, network, NULL));
    SDI_TRY(sdi_weights_allocate(&m->env, &m->weights));
    for (int32_t i = 0; i < m->weights.count; i++) {
        const sdi_param *p = &m->weights.params[i];
        float *values = sdi_alloc(&m->env, (uint64_t)p->count, sizeof *values);
        for (int64_t k = 0; k < p->count; k++)
            values[k] = p->role == SDI_ROLE_VECTOR ? 0.5f : 1;
        const sdi_exec exec = {0};
        test_ok(&m->env, sdi_weights_bind(&exec, &m->weights, i, values, SDI_F32));
        sdi_free(&m->env, values);
    }
    SDI_TRY(sdi_plan_new(&m->env, &m->weights, network, NULL, 1, &m->plan));
    m->run.arena = sdi_alloc(&m->env, sdi_plan_arena_bytes(m->plan), 1);
    memset(m->run.arena, 0x7f, (size_t)sdi_plan_arena_bytes(m->plan)); // no value is there yet
    return SDIFF_OK;
}

static void stop(machine *m)
{
    sdi_free(&m->env, m->run.arena);
    sdi_plan_free(&m->env, m->plan);
    sdi_weights_free(&m->weights);
    test_env_free(&m->env);
}

/* ---- lifetimes ------------------------------------------------------------------------------- */

/* A value that is read again after many others came and went. */
static void long_skip(sdi_nn *n, const void *args)
{
    (void)args;
    nn_tensor x = nn_input_tokens(n, "x", 1, 4, 8, NN_EACH);
    nn_tensor skip = nn_act(n, x, SDI_ACT_RELU);
    nn_tensor y = skip;
    for (int i = 0; i < 10; i++)
        y = nn_add(n, y, y);
    nn_output_tokens(n, "y", nn_concat(n, nn_add(n, y, skip), skip));
}

static void test_values_keep_until_their_last_use(void **state)
{
    machine m;
    float x[32], y[64];
    test_ok(&m.env, start(&m, long_skip));
    for (int i = 0; i < 32; i++)
        x[i] = (float)i;
    test_ok(&m.env, sdi_plan_set(&m.env, m.plan, "x", x));
    test_ok(&m.env, sdi_plan_run(&m.env, m.plan, NN_EACH, &m.run));
    test_ok(&m.env, sdi_plan_get(&m.env, m.plan, "y", &m.run, y));
    for (int t = 0; t < 4; t++)
        for (int c = 0; c < 8; c++) {
            assert_true(y[t * 16 + c] == 1025 * x[t * 8 + c]);
            assert_true(y[t * 16 + 8 + c] == x[t * 8 + c]);
        }
    /* Twelve sums of 4 x 8 numbers and one of 4 x 16 in the memory of a few. */
    assert_true(sdi_plan_arena_bytes(m.plan) <= 5 * 128 + 256);
    stop(&m);
}

/* ---- once and each --------------------------------------------------------------------------- */

static void once_and_each(sdi_nn *n, const void *args)
{
    (void)args;
    nn_tensor prompt = nn_input_tokens(n, "prompt", 1, 1, 3, NN_ONCE);
    nn_tensor key = nn_linear(n, "key", nn_act(n, prompt, SDI_ACT_RELU), 2); // sum + 0.5
    nn_tensor x = nn_input_tokens(n, "x", 1, 1, 2, NN_EACH);
    nn_output_tokens(n, "y", nn_add(n, x, key));
}

static int count_runs(void *user, double flops)
{
    (void)flops;
    ++*(int *)user;
    return 0;
}

static void test_what_depends_on_the_prompt_runs_once(void **state)
{
    machine m;
    int operations = 0;
    const float prompt[3] = {1, 2, 3};
    float y[2];
    test_ok(&m.env, start(&m, once_and_each));
    m.run.work = count_runs;
    m.run.work_user = &operations;
    test_ok(&m.env, sdi_plan_set(&m.env, m.plan, "prompt", prompt));
    test_ok(&m.env, sdi_plan_run(&m.env, m.plan, NN_ONCE, &m.run));
    assert_int_equal(operations, 2); // ReLU and linear
    for (int step = 0; step < 3; step++) {
        const float x[2] = {(float)step, (float)-step};
        /* Other plans use the arena between steps. */
        memset(m.run.arena, 0x7f, (size_t)sdi_plan_arena_bytes(m.plan));
        operations = 0;
        test_ok(&m.env, sdi_plan_set(&m.env, m.plan, "x", x));
        test_ok(&m.env, sdi_plan_run(&m.env, m.plan, NN_EACH, &m.run));
        test_ok(&m.env, sdi_plan_get(&m.env, m.plan, "y", &m.run, y));
        assert_int_equal(operations, 1); // the sum
        assert_true(y[0] == 6.5f + x[0] && y[1] == 6.5f + x[1]);
    }
    stop(&m);
}

static void test_a_raised_flag_stops_between_operations(void **state)
{
    machine m;
    atomic_int cancel = 1;
    test_ok(&m.env, start(&m, once_and_each));
    m.run.cancel = &cancel;
    assert_int_equal(sdi_plan_run(&m.env, m.plan, NN_ONCE, &m.run), SDIFF_ERROR_CANCELLED);
    stop(&m);
}

/* ---- names and errors ------------------------------------------------------------------------ */

static void named(sdi_nn *n, const void *args)
{
    (void)args;
    static const char *const parts[] = {"q", "k"};
    nn_tensor ids = nn_input_ids(n, "ids", 1, 2, NN_EACH);
    nn_enter(n, "blocks.%d", 7);
    nn_tensor x = nn_embedding(n, "table", ids, 5, 4);
    nn_enter(n, "attn");
    nn_output_tokens(n, "y", nn_linear_fused(n, parts, 2, x, 4, 1));
    nn_leave(n);
    nn_leave(n);
}

static void test_parameters_have_the_names_of_their_layers(void **state)
{
    machine m;
    test_ok(&m.env, start(&m, named));
    static const char *const expected[] = {"blocks.7.table.weight", "blocks.7.attn.q.weight",
                                           "blocks.7.attn.k.weight", "blocks.7.attn.q.bias",
                                           "blocks.7.attn.k.bias"};
    assert_int_equal(m.weights.count, 5);
    for (int i = 0; i < 5; i++)
        assert_true(sdi_weights_find(&m.weights, expected[i]) >= 0);
    assert_int_equal(sdi_weights_find(&m.weights, "blocks.7.attn.v.bias"), -1);
    stop(&m);
}

static void test_an_id_outside_of_its_table_is_refused(void **state)
{
    machine m;
    test_ok(&m.env, start(&m, named));
    const int32_t good[2] = {0, 4}, high[2] = {0, 5}, low[2] = {-1, 0};
    test_ok(&m.env, sdi_plan_set(&m.env, m.plan, "ids", good));
    assert_int_equal(sdi_plan_set(&m.env, m.plan, "ids", high), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_plan_set(&m.env, m.plan, "ids", low), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(test_error(&m.env), "blocks.7.table"));
    stop(&m);
}

static void misfit(sdi_nn *n, const void *args)
{
    (void)args;
    nn_tensor x = nn_input_tokens(n, "x", 1, 4, 8, NN_EACH);
    nn_tensor y = nn_input_tokens(n, "y", 1, 5, 8, NN_EACH);
    nn_tensor z = nn_concat(n, x, y);
    for (int i = 0; i < 3; i++) // goes on after the failure
        z = nn_linear(n, "after", z, 4);
    nn_output_tokens(n, "z", z);
}

static void test_the_first_failure_of_a_network_is_reported(void **state)
{
    machine m;
    assert_int_equal(start(&m, misfit), SDIFF_ERROR_MISMATCH);
    assert_non_null(strstr(test_error(&m.env), "concatenation"));
    stop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_keep_until_their_last_use),
        cmocka_unit_test(test_what_depends_on_the_prompt_runs_once),
        cmocka_unit_test(test_a_raised_flag_stops_between_operations),
        cmocka_unit_test(test_parameters_have_the_names_of_their_layers),
        cmocka_unit_test(test_an_id_outside_of_its_table_is_refused),
        cmocka_unit_test(test_the_first_failure_of_a_network_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
