/* SPDX-License-Identifier: MIT
 *
 * Small hand-made pickles, in the legacy form because it needs no archive around them.
 */
#include "test_io_cases.h"

#define FRONT                                                                                      \
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."                                    \
    "\x80\x02M\xe9\x03."                                                                           \
    "\x80\x02}."
#define STORAGE(view) "(U\7storagectorch\nFloatStorage\nU\1kU\3cpuK\6" view "tQ"
#define ARGUMENTS(storage, offset, size, stride) "(" storage offset size stride "\x89)t"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define WHOLE ARGUMENTS(STORAGE("N"), "K\0", "(K\2K\3t", "(K\3K\1t")
#define TENSOR REBUILD WHOLE "R"
#define KEYS "\x80\x02]U\1ka."
#define DATA                                                                                       \
    "\6\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40\0\0\xc0\x40"
#define FILE_OF(object) FRONT "\x80\x02" object "." KEYS DATA, sizeof(FRONT object KEYS DATA) + 2

static const float numbers[] = {1, 2, 3, 4, 5, 6};

/* The values of one tensor, which begins at the storage's element `first` and is contiguous. */
static void expect_tensor(const char *bytes, size_t size, const char *name, int first, size_t count)
{
    sdi_env env = test_env_new();
    sdi_source *source = NULL;
    sdi_tensor_file *file = NULL;
    test_ok(&env, sdi_source_open_memory(&env, bytes, size, &source));
    test_ok(&env, sdi_tensor_file_open(&env, source, &file));
    sdi_source_unref(&env, source);
    const int32_t index = sdi_tensor_file_find(file, name);
    if (index < 0)
        fail_msg("'%s' is missing", name);
    const void *data = NULL;
    void *owned = NULL;
    test_ok(&env, sdi_tensor_file_data(&env, file, index, &data, &owned));
    assert_int_equal(sdi_tensor_file_info(file, index)->count, count);
    assert_memory_equal(data, numbers + first, count * sizeof *numbers);
    sdi_free(&env, owned);
    sdi_tensor_file_free(&env, file);
    test_env_free(&env);
}

static void expect_sentence(const char *bytes, size_t size, const char *part)
{
    sdi_env env = test_env_new();
    assert_int_not_equal(open_memory_and_touch(&env, bytes, size), SDIFF_OK);
    if (!strstr(test_error(&env), part))
        fail_msg("'%s' is not in: %s", part, test_error(&env));
    test_env_free(&env);
}

static void test_names_are_joined_through_what_holds_them(void **state)
{
    expect_tensor(FILE_OF(TENSOR), "tensor", 0, 6);
    expect_tensor(FILE_OF("}U\1a" TENSOR "s"), "a", 0, 6);
    expect_tensor(FILE_OF("}U\1a}U\1b" TENSOR "ss"), "a.b", 0, 6);
    expect_tensor(FILE_OF("}U\1a(N" TENSOR "ls"), "a.1", 0, 6);
    expect_tensor(FILE_OF("}U\1a}K\7" TENSOR "ss"), "a.7", 0, 6);
    expect_tensor(FILE_OF("}U\12state_dict}U\1b" TENSOR "ss"), "b", 0, 6);
    expect_tensor(FILE_OF("}U\1a}U\12state_dict}U\1b" TENSOR "sss"), "a.state_dict.b", 0, 6);
}

static void test_other_ways_to_write_the_same_are_read(void **state)
{
    expect_tensor(FILE_OF("ccollections\nOrderedDict\n(((U\1a" TENSOR "lltR"), "a", 0, 6);
    expect_tensor(FILE_OF("(S'a'\n" TENSOR "d"), "a", 0, 6);
    expect_tensor(FILE_OF("}Va\np0\n0g0\n" TENSOR "s"), "a", 0, 6);
    expect_tensor(FILE_OF("}U\1actorch._tensor\n_rebuild_from_type_v2\n(" REBUILD
                          "ctorch\nTensor\n" WHOLE "}tRs"), "a", 0, 6);
    expect_tensor(FILE_OF("}(U\1i" "I-12\nU\1l" "L34L\nU\1f" "F1.5e3\nU\1b" "I01\nU\1a" TENSOR
                          "u"), "a", 0, 6);
}

static void test_a_view_of_a_storage_is_its_part(void **state)
{
    expect_tensor(FILE_OF(REBUILD ARGUMENTS(STORAGE("(U\1vK\2K\4t"), "K\0", "K\4\x85", "K\1\x85")
                          "R"), "tensor", 2, 4);
    expect_sentence(FILE_OF(REBUILD ARGUMENTS(STORAGE("(U\1vK\2K\4t"), "K\1", "K\4\x85",
                                              "K\1\x85") "R"), "element 4 of a storage of 4");
    expect_sentence(FILE_OF(REBUILD ARGUMENTS(STORAGE("(U\1vK\3K\4t"), "K\0", "K\1\x85",
                                              "K\1\x85") "R"), "outside");
}

/* From protocol 4 on a frame's length follows: numbers that a safetensors header may begin with. */
static void test_framed_pickles_are_no_safetensors(void **state)
{
    static const char framed[] =
        "\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
        "\x80\x04\x95\x04\0\0\0\0\0\0\0M\xe9\x03."
        "\x80\x05}." // what is small has no frame
        "\x80\x04}U\1a" TENSOR "s."
        "\x80\x04\x95\x07\0\0\0\0\0\0\0]\x94\x8c\1k\x61." DATA;
    expect_tensor(framed, sizeof framed - 1, "a", 0, 6);
}

static void test_two_tensors_of_one_name_are_refused(void **state)
{
    expect_sentence(FILE_OF("}(U\3a.b" TENSOR "U\1a}U\1b" TENSOR "su"), "two tensors named 'a.b'");
}

static void test_values_that_only_look_like_calls_are_refused(void **state)
{
    expect_sentence(FILE_OF("}U\1actorch\nFloatStorage\n)Rs"), "torch.FloatStorage");
    expect_sentence(FILE_OF("ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN(U\1xtNtR"),
                    "os.system");
    expect_sentence(FILE_OF("ctorch._tensor\n_rebuild_from_type_v2\n("
                            "ctorch._tensor\n_rebuild_from_type_v2\nN)NtR"), "calls");
    expect_sentence(FILE_OF("cos\nsystem\n}b"), "os.system");
    expect_sentence(FILE_OF("(cos\nsystem\no"), "os.system");
    expect_sentence("\x80\x02(e", 4, "empty stack"); // a mark before any value
    expect_sentence(FILE_OF("cos\nsystem\n)}\x92"), "os.system");
}

static void test_a_name_without_end_is_refused(void **state)
{
    /* One key of 5000 bytes, used again and again. */
    enum { LENGTH = 5000 };
    static const char front[] = FRONT "\x80\x02}T\x88\x13\0\0", back[] = "Ns." KEYS;
    char *bytes = malloc(sizeof front + LENGTH + sizeof back);
    memcpy(bytes, front, sizeof front - 1);
    memset(bytes + sizeof front - 1, 'a', LENGTH);
    memcpy(bytes + sizeof front - 1 + LENGTH, back, sizeof back - 1);
    /* Storage keys that no tensor uses are refused first, so the list is made empty. */
    char *keys = bytes + sizeof front - 1 + LENGTH + 3;
    memcpy(keys, "\x80\x02].", 4);
    expect_sentence(bytes, (size_t)(keys + 4 - bytes), "4096");
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_joined_through_what_holds_them),
        cmocka_unit_test(test_other_ways_to_write_the_same_are_read),
        cmocka_unit_test(test_a_view_of_a_storage_is_its_part),
        cmocka_unit_test(test_framed_pickles_are_no_safetensors),
        cmocka_unit_test(test_two_tensors_of_one_name_are_refused),
        cmocka_unit_test(test_values_that_only_look_like_calls_are_refused),
        cmocka_unit_test(test_a_name_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
