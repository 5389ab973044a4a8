/* SPDX-License-Identifier: MIT */
#include "test_io_cases.h"

#include <sys/stat.h>
#include <unistd.h>

static void test_every_malformed_file_is_judged_as_the_format_says(void **state)
{
    assert_true(for_each_bad("st-", check_case_in_every_way) >= 50);
}

static void test_every_file_is_safe_when_memory_runs_out(void **state)
{
    for_each_bad("st-", check_case_without_memory);
}

static void check_index(const bad_case *c)
{
    sdi_env env = test_env_new();
    check_expectation(c, &env, open_path_and_touch(&env, c->path));
    test_env_free(&env);
    check_case_without_memory(c);
}

static void test_every_malformed_index_is_refused(void **state)
{
    assert_int_equal(for_each_bad("index-", check_index), 2);
}

static void test_the_values_of_the_valid_file_are_read(void **state)
{
    static const float expected[] = {1, 2, 3, 4, 5, 6};
    sdi_env env = test_env_new();
    sdi_tensor_file *file = NULL;
    const char *path = test_shared("fixtures-ldm/bad/st-valid-baseline.safetensors");
    test_ok(&env, sdi_tensor_file_open_path(&env, path, &file));
    assert_int_equal(sdi_tensor_file_count(file), 2);
    const int32_t a = sdi_tensor_file_find(file, "a");
    const sdi_tensor_info *info = sdi_tensor_file_info(file, a);
    assert_int_equal(info->dtype, SDI_F32);
    assert_true(info->rank == 2 && info->shape[0] == 2 && info->shape[1] == 3);
    assert_true(info->count == 6 && info->bytes == 24);
    const void *data = NULL;
    void *owned = NULL;
    test_ok(&env, sdi_tensor_file_data(&env, file, a, &data, &owned));
    assert_null(owned);
    assert_memory_equal(data, expected, sizeof expected);
    assert_int_equal(sdi_tensor_file_find(file, "c"), -1);
    assert_null(sdi_tensor_file_metadata(file, "absent"));
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

static void test_a_failing_reader_is_told(void **state)
{
    sdi_env env = test_env_new();
    size_t size = 0;
    read_user user = {0};
    user.bytes = test_read_file(test_shared("fixtures-ldm/bad/st-valid-baseline.safetensors"),
                                &size);
    user.size = size;
    for (user.fail_at = 1;; user.fail_at++) {
        user.calls = 0;
        const sdiff_status status = open_through_reader(&env, &user);
        if (status == SDIFF_OK)
            break;
        assert_int_equal(status, SDIFF_ERROR_IO);
    }
    assert_true(user.fail_at > 4); // head, prefix, header and two tensors
    free((void *)(uintptr_t)user.bytes);
    test_env_free(&env);
}

static void expect_sentence(const char *bytes, size_t size, const char *part)
{
    sdi_env env = test_env_new();
    assert_int_equal(open_memory_and_touch(&env, bytes, size), SDIFF_ERROR_FORMAT);
    if (!strstr(test_error(&env), part))
        fail_msg("'%s' does not hold '%s'", test_error(&env), part);
    test_env_free(&env);
}

static void test_the_sentence_says_what_the_file_is_instead(void **state)
{
    expect_sentence("", 0, "is empty");
    expect_sentence("<!DOCTYPE html>", 15, "web page");
    expect_sentence("\n <html>", 8, "web page");
    expect_sentence("version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull");
    expect_sentence("{\"a\": 1}", 8, "is JSON");
    expect_sentence("GGUF\3\0\0\0", 8, "GGUF");
    expect_sentence("\x1f\x8b\x08", 3, "gzip");
    expect_sentence("\x12\x34\x56\x78", 4, "12 34 56 78");
}

static const float ones[] = {1, 2, 3, 4};
static const uint16_t halves[] = {0x3c00, 0x4000, 0x4200};

static void write_two(const sdi_env *env, const char *path)
{
    const sdi_tensor_out tensors[] = {
        {"h\"\xc3\xa9", SDI_F16, 1, {3}, halves}, {"z", SDI_F32, 2, {0, 5}, NULL},
        {"f", SDI_F32, 2, {2, 2}, ones},          {"s", SDI_F32, 0, {0}, ones + 3}};
    const char *const metadata[] = {"format", "pt", "title", "a \"b\"", NULL};
    test_ok(env, sdi_safetensors_write(env, path, tensors, 4, metadata));
}

static void test_what_is_written_reads_back(void **state)
{
    sdi_env env = test_env_new();
    char folder[] = "/tmp/sdiff-write-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out.safetensors", folder);
    write_two(&env, path);
    write_two(&env, path); // over the old one
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, path, &file));
    assert_int_equal(sdi_tensor_file_count(file), 4);
    assert_string_equal(sdi_tensor_file_info(file, 0)->name, "h\"\xc3\xa9");
    assert_string_equal(sdi_tensor_file_info(file, 3)->name, "s");
    assert_string_equal(sdi_tensor_file_metadata(file, "title"), "a \"b\"");
    const void *data = NULL;
    void *owned = NULL;
    test_ok(&env, sdi_tensor_file_data(&env, file, 0, &data, &owned));
    assert_memory_equal(data, halves, sizeof halves);
    assert_int_equal((uintptr_t)data % 8, 0);
    test_ok(&env, sdi_tensor_file_data(&env, file, 2, &data, &owned));
    assert_memory_equal(data, ones, sizeof ones);
    sdi_tensor_file_free(&env, file);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); // no temporary file is left
    test_env_free(&env);
}

static void test_a_failed_write_leaves_nothing(void **state)
{
    sdi_env env = test_env_new();
    const sdi_tensor_out tensors[] = {{"f", SDI_F32, 1, {4}, ones}, {"f", SDI_F32, 1, {4}, ones}};
    const sdi_tensor_out bad_name = {"\xff", SDI_F32, 1, {4}, ones};
    char folder[] = "/tmp/sdiff-write-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out", folder);
    assert_int_equal(sdi_safetensors_write(&env, path, tensors, 2, NULL),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_safetensors_write(&env, path, &bad_name, 1, NULL),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_safetensors_write(&env, folder, tensors, 1, NULL), SDIFF_ERROR_IO);
    assert_int_equal(sdi_safetensors_write(&env, "/dev/full", tensors, 1, NULL), SDIFF_ERROR_IO);
    assert_non_null(strstr(test_error(&env), "No space left"));
    assert_int_equal(sdi_safetensors_write(&env, "/tmp/no/such/x", tensors, 1, NULL),
                     SDIFF_ERROR_IO);
    assert_int_equal(rmdir(folder), 0);
    test_env_free(&env);
}

/* Two shards and their index, the second name as given. */
static void write_shards(const sdi_env *env, const char *folder, const char *second, char *index)
{
    const sdi_tensor_out a = {"a", SDI_F32, 1, {4}, ones}, b = {"b", SDI_F16, 1, {3}, halves};
    char path[300];
    snprintf(path, sizeof path, "%s/1.safetensors", folder);
    test_ok(env, sdi_safetensors_write(env, path, &a, 1, NULL));
    snprintf(path, sizeof path, "%s/2.safetensors", folder);
    test_ok(env, sdi_safetensors_write(env, path, &b, 1, NULL));
    sprintf(index, "%s/model.safetensors.index.json", folder);
    FILE *file = fopen(index, "w");
    assert_non_null(file);
    fprintf(file, "{\"metadata\": {}, \"weight_map\": {\"b\": \"%s\", \"a\": \"1.safetensors\"}}",
            second);
    fclose(file);
}

static void test_shards_are_opened_through_their_index(void **state)
{
    static const char *const refused[] = {"1.safetensors", "3.safetensors", "../1.safetensors",
                                          "/dev/zero",     "..",            ""};
    sdi_env env = test_env_new();
    char folder[] = "/tmp/sdiff-shards-XXXXXX", index[300], command[300];
    assert_non_null(mkdtemp(folder));
    write_shards(&env, folder, "2.safetensors", index);
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_tensor_file_open_path(&env, index, &file));
    assert_int_equal(sdi_tensor_file_count(file), 2);
    test_ok(&env, touch_all(&env, file));
    sdi_tensor_file_free(&env, file);
    for (size_t i = 0; i < SDI_COUNT(refused); i++) {
        write_shards(&env, folder, refused[i], index);
        assert_int_not_equal(sdi_tensor_file_open_path(&env, index, &file), SDIFF_OK);
        print_message("%s\n", test_error(&env));
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_malformed_file_is_judged_as_the_format_says),
        cmocka_unit_test(test_every_file_is_safe_when_memory_runs_out),
        cmocka_unit_test(test_every_malformed_index_is_refused),
        cmocka_unit_test(test_the_values_of_the_valid_file_are_read),
        cmocka_unit_test(test_a_failing_reader_is_told),
        cmocka_unit_test(test_the_sentence_says_what_the_file_is_instead),
        cmocka_unit_test(test_what_is_written_reads_back),
        cmocka_unit_test(test_a_failed_write_leaves_nothing),
        cmocka_unit_test(test_shards_are_opened_through_their_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
