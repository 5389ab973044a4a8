/* SPDX-License-Identifier: MIT
 *
 * Saving when memory runs out, when a type cannot hold the values, and writers that are given too
 * much or too little. What is saved is compared in tests/parity.
 */
#include "unit/test_model_support.h"

#include "model/save.h"

#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sdi-saving-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    test_sweep(folder);
    return rmdir(folder);
}

static sdi_model *open_model(const sdi_env *env, const char *file)
{
    const sdi_model_source source = {.path = test_shared(file)};
    sdi_model *model = NULL;
    test_ok(env, sdi_model_open(env, &source, NULL, &model));
    return model;
}

static const char *place(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

typedef sdiff_status (*save_fn)(const sdi_env *env, const sdi_model *model, const char *path,
                                const sdi_save_options *options);

/* Each allocation fails once, with all behind it; nothing leaks. */
static void starve(const sdi_model *model, save_fn save, const char *path, int leaves_nothing)
{
    const sdi_save_options options = {.type = SDI_SAVE_F32};
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    uint64_t n = 1;
    for (; status != SDIFF_OK; n += n < 60 ? 1 : 37) {
        const sdi_mem_params params = {.fail_at = n};
        sdi_env env = test_env_with(&params);
        status = save(&env, model, path, &options);
        if (status != SDIFF_OK) {
            assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
            const int left = test_sweep(folder);
            if (leaves_nothing)
                assert_int_equal(left, 0);
        }
        test_env_free(&env);
    }
    assert_true(n > 60);
    test_sweep(folder);
}

static void test_saving_without_memory_leaves_nothing(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = open_model(&env, "fixtures-ldm/sd1-micro.bf16.safetensors");
    starve(model, sdi_save_ldm, place("m.safetensors"), 1);
    starve(model, sdi_save_diffusers, place("m"), 0);
    sdi_model_unref(model);
    test_env_free(&env);
}

/* 1e5 is beyond half precision: a saved infinity would be found out only in pictures. */
static void test_values_that_half_cannot_hold_are_refused(void **state)
{
    static const char name[] = "first_stage_model.encoder.conv_in.bias";
    const sdi_save_options half = {.type = SDI_SAVE_F16}, brain = {.type = SDI_SAVE_BF16};
    (void)state;
    sdi_env env = test_env_new();
    sdi_model *model = open_model(&env, "fixtures-ldm/vae-tiny-prefixed.fp16.safetensors");
    const sdi_save_options plain = {.type = SDI_SAVE_F32};
    test_ok(&env, sdi_save_ldm(&env, model, place("a.safetensors"), &plain));
    sdi_model_unref(model);

    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, place("a.safetensors"), &file));
    const int32_t count = sdi_tensor_file_count(file);
    sdi_tensor_out *tensors = calloc((size_t)count, sizeof *tensors);
    float *changed = NULL;
    for (int32_t i = 0; i < count; i++) {
        const sdi_tensor_info *info = sdi_tensor_file_info(file, i);
        void *owned = NULL;
        tensors[i] = (sdi_tensor_out){.name = info->name, .dtype = info->dtype, .rank = info->rank};
        memcpy(tensors[i].shape, info->shape, sizeof info->shape);
        test_ok(&env, sdi_tensor_file_data(&env, file, i, &tensors[i].data, &owned));
        if (strcmp(info->name, name + strlen("first_stage_model.")) == 0) {
            changed = malloc(info->bytes);
            memcpy(changed, tensors[i].data, info->bytes);
            changed[1] = 1e5f;
            tensors[i].data = changed;
        }
    }
    assert_non_null(changed);
    test_ok(&env, sdi_safetensors_write(&env, place("b.safetensors"), tensors, count, NULL));
    free(changed);
    free(tensors);
    sdi_tensor_file_free(&env, file);

    const sdi_model_source source = {.path = place("b.safetensors")};
    test_ok(&env, sdi_model_open(&env, &source, NULL, &model));
    assert_int_equal(sdi_save_ldm(&env, model, place("c.safetensors"), &half),
                     SDIFF_ERROR_MISMATCH);
    assert_non_null(strstr(test_error(&env), "encoder.conv_in.bias"));
    assert_int_not_equal(access(place("c.safetensors"), F_OK), 0);
    test_ok(&env, sdi_save_ldm(&env, model, place("c.safetensors"), &brain));
    sdi_model_unref(model);
    test_env_free(&env);
}

static void test_writer_takes_just_what_was_announced(void **state)
{
    const float values[4] = {1, 2, 3, 4};
    const sdi_tensor_out tensor = {.name = "x", .dtype = SDI_F32, .rank = 1, .shape = {4}};
    sdi_safetensors_writer *writer = NULL;
    sdi_tensor_file *file = NULL;
    const void *data = NULL;
    void *owned = NULL;
    (void)state;
    sdi_env env = test_env_new();
    test_sweep(folder);
    test_ok(&env, sdi_safetensors_begin(&env, place("w"), &tensor, 1, NULL, &writer));
    test_ok(&env, sdi_safetensors_append(&env, writer, values, 12));
    assert_int_equal(sdi_safetensors_append(&env, writer, values, 8), SDIFF_ERROR_INTERNAL);
    assert_int_equal(sdi_safetensors_end(&env, writer), SDIFF_ERROR_INTERNAL);
    assert_int_equal(test_sweep(folder), 0);
    test_ok(&env, sdi_safetensors_begin(&env, place("w"), &tensor, 1, NULL, &writer));
    test_ok(&env, sdi_safetensors_append(&env, writer, values, 12));
    test_ok(&env, sdi_safetensors_append(&env, writer, values + 3, 4));
    test_ok(&env, sdi_safetensors_end(&env, writer));
    test_ok(&env, sdi_tensor_file_open_path(&env, place("w"), &file));
    test_ok(&env, sdi_tensor_file_data(&env, file, 0, &data, &owned));
    assert_memory_equal(data, values, sizeof values);
    sdi_free(&env, owned);
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saving_without_memory_leaves_nothing),
        cmocka_unit_test(test_values_that_half_cannot_hold_are_refused),
        cmocka_unit_test(test_writer_takes_just_what_was_announced),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
