/* SPDX-License-Identifier: MIT */
#include "test_io_cases.h"

#include <unistd.h>

static void check_nothing_ran(void)
{
    if (access("SD_PWNED", F_OK) == 0)
        fail_msg("a pickle was executed");
}

static void check_case(const bad_case *c)
{
    check_case_in_every_way(c);
    check_nothing_ran();
}

static void test_every_malformed_pickle_is_judged_and_none_runs(void **state)
{
    check_nothing_ran();
    assert_true(for_each_bad("pk-", check_case) >= 70);
}

static void test_every_malformed_zip_is_judged(void **state)
{
    assert_true(for_each_bad("zip-", check_case) >= 20);
}

static void test_every_file_is_safe_when_memory_runs_out(void **state)
{
    for_each_bad("pk-", check_case_without_memory);
    for_each_bad("zip-", check_case_without_memory);
}

static void test_a_refused_name_is_told(void **state)
{
    static const char *const cases[][2] = {
        {"pk-evil-posix-system.ckpt", "posix.system"},
        {"pk-evil-os-system.ckpt", "os.system"},
        {"pk-evil-builtins-eval.ckpt", "builtins.eval"},
        {"pk-evil-__builtin__-exec.ckpt", "__builtin__.exec"},
        {"pk-evil-subprocess-popen.ckpt", "subprocess.Popen"},
        {"pk-evil-runpy.ckpt", "runpy._run_code"},
        {"pk-evil-builtins-open.ckpt", "builtins.open"},
        {"pk-evil-torch-load.ckpt", "torch.load"},
        {"pk-evil-inst-opcode.ckpt", "os.system"},
        {"pk-evil-stack-global.ckpt", "os.system"},
        {"pk-evil-newobj.ckpt", "subprocess.Popen"},
        {"pk-evil-getattr-chain.ckpt", "builtins.getattr"},
        {"pk-evil-dotted-name.ckpt", "torch._utils.os.x"},
        {"pk-evil-build-dunder.ckpt", "__class__"},
        {"pk-evil-legacy-os-system.ckpt", "os.system"},
        {"pk-evil-legacy-in-magic.ckpt", "os.system"},
        {"pk-evil-raw.pt", "system"},
    };
    for (size_t i = 0; i < SDI_COUNT(cases); i++) {
        char path[300];
        sdi_env env = test_env_new();
        snprintf(path, sizeof path, "fixtures-ldm/bad/%s", cases[i][0]);
        assert_int_not_equal(open_path_and_touch(&env, test_shared(path)), SDIFF_OK);
        if (!strstr(test_error(&env), cases[i][1]))
            fail_msg("%s: '%s' is not in: %s", cases[i][0], cases[i][1], test_error(&env));
        test_env_free(&env);
    }
}

typedef struct pair {
    sdi_env env;
    sdi_tensor_file *a, *b;
} pair;

static pair open_pair(const char *a, const char *b)
{
    pair p = {.env = test_env_new()};
    test_ok(&p.env, sdi_tensor_file_open_path(&p.env, test_shared(a), &p.a));
    test_ok(&p.env, sdi_tensor_file_open_path(&p.env, test_shared(b), &p.b));
    return p;
}

static void close_pair(pair *p)
{
    sdi_tensor_file_free(&p->env, p->a);
    sdi_tensor_file_free(&p->env, p->b);
    test_env_free(&p->env);
}

/* Tensor `name` of a must be that of b, rounded to a's type. */
static void check_same(pair *p, const char *name, const char *name_b)
{
    const int32_t i = sdi_tensor_file_find(p->a, name), k = sdi_tensor_file_find(p->b, name_b);
    if (i < 0 || k < 0)
        fail_msg("'%s' or '%s' is missing", name, name_b);
    const sdi_tensor_info *a = sdi_tensor_file_info(p->a, i), *b = sdi_tensor_file_info(p->b, k);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape);
    const void *data[2];
    void *owned[2];
    test_ok(&p->env, sdi_tensor_file_data(&p->env, p->a, i, &data[0], &owned[0]));
    test_ok(&p->env, sdi_tensor_file_data(&p->env, p->b, k, &data[1], &owned[1]));
    float *wide = calloc(b->count + 1, sizeof *wide);
    char *narrow = calloc(a->bytes + 1, 1);
    sdi_convert_to_f32(wide, data[1], b->dtype, b->count);
    sdi_convert_from_f32(narrow, a->dtype, wide, a->count);
    if (memcmp(narrow, data[0], a->bytes) != 0)
        fail_msg("'%s' differs", name);
    free(wide);
    free(narrow);
    sdi_free(&p->env, owned[0]);
    sdi_free(&p->env, owned[1]);
}

/* All of b's tensors are in a, under the same names. */
static void check_all_of_b(const char *a, const char *b, int32_t surplus)
{
    pair p = open_pair(a, b);
    const int32_t count = sdi_tensor_file_count(p.b);
    for (int32_t i = 0; i < count; i++) {
        const char *name = sdi_tensor_file_info(p.b, i)->name;
        check_same(&p, name, name);
    }
    if (surplus >= 0)
        assert_int_equal(sdi_tensor_file_count(p.a), count + surplus);
    print_message("%s: %d tensors, %d of them as in %s\n", a, sdi_tensor_file_count(p.a), count, b);
    close_pair(&p);
}

static void test_checkpoints_hold_what_their_safetensors_twins_hold(void **state)
{
    check_all_of_b("fixtures-ldm/sd1-micro-legacy.fp16.ckpt",
                   "fixtures-ldm/sd1-micro.fp32.safetensors", 0);
    check_all_of_b("fixtures-ldm/sd1-micro.ckpt", "fixtures-ldm/sd1-micro.fp32.safetensors", 3);
    check_all_of_b("fixtures-ldm/sd1-micro-ema.fp16.ckpt",
                   "fixtures-ldm/sd1-micro.fp32.safetensors", -1);
    check_all_of_b("fixtures-ldm/vae-tiny.vae.pt", "fixtures-ldm/vae-tiny.fp16.safetensors", -1);
    check_all_of_b("fixtures-ldm/vae-tiny-prefixed.vae.pt",
                   "fixtures-ldm/vae-tiny-prefixed.fp16.safetensors", 0);
    check_all_of_b("fixtures-ldm/vae-tiny-tricky.vae.pt", "fixtures-ldm/vae-tiny.fp16.safetensors",
                   0);
}

static void test_a_bare_ordered_dict_is_a_state_dict(void **state)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    const char *path = test_shared("fixtures-ldm/controlnet.fp16.pth");
    test_ok(&env, sdi_tensor_file_open_path(&env, path, &file));
    assert_int_equal(sdi_tensor_file_count(file), 154);
    assert_true(sdi_tensor_file_find(file, "control_model.input_hint_block.0.weight") >= 0);
    test_ok(&env, touch_all(&env, file));
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

static void test_training_extras_are_kept_under_their_names(void **state)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, test_shared("fixtures-ldm/sd1-micro.ckpt"),
                                            &file));
    assert_true(sdi_tensor_file_find(file, "optimizer_states.0.state.0.exp_avg") >= 0);
    assert_string_equal(sdi_tensor_file_metadata(file, "hparams_name"), "kwargs");
    assert_non_null(sdi_tensor_file_metadata(file, "global_step"));
    sdi_tensor_file_free(&env, file);
    test_ok(&env, sdi_tensor_file_open_path(
                      &env, test_shared("fixtures-ldm/sd1-micro-ema.fp16.ckpt"), &file));
    assert_true(sdi_tensor_file_find(file, "model_ema.decay") >= 0);
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

static void check_embedding(const char *a, const char *name, const char *b, const char *name_b)
{
    pair p = open_pair(a, b);
    check_same(&p, name, name_b);
    close_pair(&p);
}

static void test_textual_inversion_files_give_their_vectors(void **state)
{
    static const char golden[] = "fixtures-ldm/ti.golden.safetensors";
    check_embedding("fixtures-ldm/ti-a1111.pt", "string_to_param.*", golden, "vectors3");
    check_embedding("fixtures-ldm/ti-original.pt", "string_to_param.*", golden, "vectors3");
    check_embedding("fixtures-ldm/ti-a1111.safetensors", "emb_params", golden, "vectors3");
    check_embedding("fixtures-ldm/ti-diffusers.bin", "<tiny-cat>", golden, "vector1");
    check_embedding("fixtures-ldm/ti-diffusers-legacy.bin", "<tiny-cat>", golden, "vector1");
    check_embedding("fixtures-ldm/ti-diffusers.safetensors", "<tiny-cat>", golden, "vector1");
    check_embedding("fixtures/tiny-sd1/textual_inversion/learned_embeds.bin", "<cat-toy>",
                    "fixtures/tiny-sd1/textual_inversion/learned_embeds.safetensors", "<cat-toy>");
    check_embedding("fixtures/tiny-sd1/textual_inversion/my-style.pt", "string_to_param.*",
                    "fixtures/tiny-sd1/textual_inversion/my-style.safetensors", "emb_params");
}

static void test_the_name_of_an_embedding_is_metadata(void **state)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    test_ok(&env,
            sdi_tensor_file_open_path(
                &env, test_shared("fixtures/tiny-sd1/textual_inversion/my-style.pt"), &file));
    assert_string_equal(sdi_tensor_file_metadata(file, "name"), "my-style");
    assert_string_equal(sdi_tensor_file_metadata(file, "string_to_token.*"), "265");
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

static void check_values(const char *path, const float *expected, int64_t rows, int64_t columns)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    const void *data = NULL;
    void *owned = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, test_shared(path), &file));
    const int32_t i = sdi_tensor_file_find(file, "a");
    const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
    assert_true(info->rank == 2 && info->shape[0] == rows && info->shape[1] == columns);
    test_ok(&env, sdi_tensor_file_data(&env, file, i, &data, &owned));
    assert_memory_equal(data, expected, info->bytes);
    sdi_free(&env, owned);
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

static void test_views_are_gathered_by_their_strides(void **state)
{
    static const float plain[] = {1, 2, 3, 4, 5, 6}, transposed[] = {1, 4, 2, 5, 3, 6};
    float expanded[24];
    for (int i = 0; i < 24; i++)
        expanded[i] = plain[i % 6];
    check_values("fixtures-ldm/bad/pk-valid-baseline.ckpt", plain, 2, 3);
    check_values("fixtures-ldm/bad/pk-valid-transposed.ckpt", transposed, 3, 2);
    check_values("fixtures-ldm/bad/pk-valid-expanded.ckpt", expanded, 4, 6);
    check_values("fixtures-ldm/bad/pk-valid-deflated.ckpt", plain, 2, 3);
    check_values("fixtures-ldm/bad/pk-legacy-valid.ckpt", plain, 2, 3);
}

static void test_stored_tensors_are_not_copied(void **state)
{
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, test_shared("fixtures-ldm/vae-tiny.vae.pt"),
                                            &file));
    for (int32_t i = 0; i < sdi_tensor_file_count(file); i++) {
        const void *data = NULL;
        void *owned = NULL;
        test_ok(&env, sdi_tensor_file_data(&env, file, i, &data, &owned));
        assert_null(owned);
    }
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_malformed_pickle_is_judged_and_none_runs),
        cmocka_unit_test(test_every_malformed_zip_is_judged),
        cmocka_unit_test(test_every_file_is_safe_when_memory_runs_out),
        cmocka_unit_test(test_a_refused_name_is_told),
        cmocka_unit_test(test_checkpoints_hold_what_their_safetensors_twins_hold),
        cmocka_unit_test(test_a_bare_ordered_dict_is_a_state_dict),
        cmocka_unit_test(test_training_extras_are_kept_under_their_names),
        cmocka_unit_test(test_textual_inversion_files_give_their_vectors),
        cmocka_unit_test(test_the_name_of_an_embedding_is_metadata),
        cmocka_unit_test(test_views_are_gathered_by_their_strides),
        cmocka_unit_test(test_stored_tensors_are_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
