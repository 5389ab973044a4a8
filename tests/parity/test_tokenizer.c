/* SPDX-License-Identifier: MIT
 *
 * Token ids of the real CLIP vocabulary against the original programs.
 */
#include "io/json.h"
#include "io/source.h"
#include "json_lines.h"
#include "support.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static sdi_tokenizer *open_fixture(const sdi_env *env, const char *relative)
{
    sdi_tokenizer *t = NULL;
    test_ok(env, sdi_tokenizer_open(env, test_shared(relative), &t));
    return t;
}

static int same_ids(const json_t *want, const sdi_ids *got)
{
    if (json_array_size(want) != (size_t)got->count)
        return 0;
    for (int32_t i = 0; i < got->count; i++)
        if (json_integer_value(json_array_get(want, (size_t)i)) != got->ids[i])
            return 0;
    return 1;
}

/* Whether text encodes to the wanted ids. */
static int agrees(const sdi_env *env, const sdi_tokenizer *t, sdi_tokenizer_variant variant,
                  const json_t *text, const json_t *want)
{
    sdi_ids ids = {0};
    test_ok(env, sdi_tokenizer_encode(env, t, variant, json_string_value(text),
                                      json_string_length(text), &ids));
    const int same = same_ids(want, &ids);
    sdi_ids_free(env, &ids);
    return same;
}

static void expect_frame(const sdi_env *env, const sdi_tokenizer *t, const json_t *text,
                         const json_t *want, int32_t pad)
{
    sdi_ids ids = {0};
    int32_t framed[77];
    test_ok(env, sdi_tokenizer_encode(env, t, SDI_TOKENIZER_HF_FAST, json_string_value(text),
                                      json_string_length(text), &ids));
    (void)sdi_tokenizer_frame(t, &ids, pad, 77, framed);
    sdi_ids_free(env, &ids);
    assert_int_equal(json_array_size(want), 77);
    for (size_t i = 0; i < 77; i++)
        if (json_integer_value(json_array_get(want, i)) != framed[i])
            fail_msg("'%s': id %zu is %d", json_string_value(text), i, framed[i]);
}

static const char *const variant_names[] = {"hf_fast", "hf_slow", "openai"};

/* The hf_fast of tokens.json was written in Python, which knows the final sigma and takes U+017F
 * for an s; the Rust library, which clip-bpe.jsonl comes from, does neither. */
static int is_pythons_own(const char *text)
{
    return strstr(text, "\xce\xa3") || strstr(text, "\xc5\xbf");
}

static void test_ids_of_the_test_strings_are_exact(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = open_fixture(&env, "fixtures/clip-vocab");
    json_t *list = NULL;
    test_ok(&env, sdi_json_parse_file(&env, test_shared("fixtures/clip-vocab/tokens.json"), &list));
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach(list, i, entry)
    {
        const json_t *text = json_object_get(entry, "text");
        const int python = is_pythons_own(json_string_value(text));
        for (int v = python ? SDI_TOKENIZER_HF_SLOW : 0; v < 3; v++) {
            const json_t *want =
                json_object_get(json_object_get(entry, "variants"), variant_names[v]);
            if (!agrees(&env, t, (sdi_tokenizer_variant)v, text,
                        want ? want : json_object_get(entry, "ids")))
                fail_msg("%s: '%s'", variant_names[v], json_string_value(text));
        }
        if (!python && json_is_true(json_object_get(entry, "all_agree")))
            expect_frame(&env, t, text, json_object_get(entry, "ids77"), sdi_tokenizer_eos(t));
    }
    assert_true(i > 20);
    json_decref(list);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

typedef struct tally {
    const sdi_env *env;
    const sdi_tokenizer *tokenizer;
    int lines, agreeing, wrong[3];
} tally;

static void check_line(void *user, const json_t *line)
{
    tally *c = user;
    static const char *const keys[] = {"hf_fast", "hf_slow_noftfy", "openai"};
    const json_t *text = json_object_get(line, "text");
    const json_t *openai = json_object_get(line, "openai");
    const int agree = json_is_true(json_object_get(line, "agree"));
    c->lines++;
    c->agreeing += agree;
    for (int v = 0; v < 3; v++) {
        const json_t *want = json_object_get(line, keys[v]);
        if (agrees(c->env, c->tokenizer, (sdi_tokenizer_variant)v, text, want ? want : openai))
            continue;
        c->wrong[v]++;
        if (v == SDI_TOKENIZER_HF_FAST || agree)
            fail_msg("%s: line %d '%s'", keys[v], c->lines, json_string_value(text));
        if (v != SDI_TOKENIZER_OPENAI)
            print_message("%s: line %d '%s'\n", keys[v], c->lines, json_string_value(text));
    }
    expect_frame(c->env, c->tokenizer, text, json_object_get(line, "sd1_77"),
                 sdi_tokenizer_eos(c->tokenizer));
    if (!json_object_get(line, "open_clip") && !json_object_get(line, "hf_fast"))
        expect_frame(c->env, c->tokenizer, text, json_object_get(line, "sd2_77"), 0);
}

static void test_hf_fast_is_exact_on_every_prompt(void **state)
{
    sdi_env env = test_env_new();
    tally c = {&env, open_fixture(&env, "fixtures-ldm/tokenizer"), 0, 0, {0}};
    test_each_json_line(test_shared("fixtures-ldm/tokenizer/clip-bpe.jsonl"), check_line, &c);
    print_message("%d prompts, %d agreed by all programs; differing: hf_fast %d, hf_slow %d, "
                  "openai (which had ftfy) %d\n",
                  c.lines, c.agreeing, c.wrong[0], c.wrong[1], c.wrong[2]);
    assert_true(c.lines > 400);
    assert_int_equal(c.wrong[SDI_TOKENIZER_HF_SLOW], 0);
    sdi_tokenizer_free(&env, (sdi_tokenizer *)c.tokenizer);
    test_env_free(&env);
}

static void test_broken_utf8_becomes_replacement_characters(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = open_fixture(&env, "fixtures-ldm/tokenizer");
    FILE *file = fopen(test_shared("fixtures-ldm/tokenizer/invalid-utf8.tsv"), "r");
    assert_non_null(file);
    char line[512];
    int lines = 0;
    while (fgets(line, sizeof line, file)) {
        char hex[128], want[256];
        if (strncmp(line, "bytes_hex", 9) == 0)
            continue; // the title
        assert_int_equal(sscanf(line, "%127[0-9a-f]\t%*[^\t]\t%255s", hex, want), 2);
        char bytes[64];
        size_t length = 0;
        for (const char *h = hex; *h; h += 2) {
            unsigned value = 0;
            assert_int_equal(sscanf(h, "%2x", &value), 1);
            if (value != 0) // the list was made by a program that drops U+0000; hf_fast does not
                bytes[length++] = (char)value;
        }
        char got[256] = "";
        sdi_ids ids = {0};
        test_ok(&env, sdi_tokenizer_encode(&env, t, SDI_TOKENIZER_HF_FAST, bytes, length, &ids));
        for (int i = 0; i < ids.count; i++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", i ? "," : "", ids.ids[i]);
        sdi_ids_free(&env, &ids);
        assert_string_equal(got, want);
        lines++;
    }
    fclose(file);
    assert_true(lines >= 8);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

/* OpenAI's file as its publishers made it: a title, the rules, and many more that CLIP leaves out.
 * Written from merges.txt, whose rules are the same. */
static char *write_rules(size_t *size)
{
    static const char title[] = "\"bpe_simple_vocab_16e6.txt";
    static const char unused[] = "zz zzq\nzzq zzqz\n";
    size_t merges_size = 0;
    char *merges = test_read_file(test_shared("fixtures-ldm/tokenizer/merges.txt"), &merges_size);
    *size = strlen(title) + merges_size + strlen(unused);
    char *text = malloc(*size);
    memcpy(text, title, strlen(title));
    memcpy(text + strlen(title), merges, merges_size);
    memcpy(text + strlen(title) + merges_size, unused, strlen(unused));
    free(merges);
    return text;
}

static void *gzip(const void *bytes, size_t size, size_t *packed_size)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    *packed_size = deflateBound(&stream, size) + 64;
    unsigned char *packed = malloc(*packed_size);
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = (uInt)*packed_size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed_size = stream.total_out;
    deflateEnd(&stream);
    return packed;
}

typedef struct pair {
    const sdi_env *env;
    const sdi_tokenizer *a, *b;
} pair;

static void expect_equal_ids(void *user, const json_t *line)
{
    const pair *p = user;
    const json_t *text = json_object_get(line, "text");
    for (int v = 0; v < 3; v++) {
        sdi_ids a = {0}, b = {0};
        test_ok(p->env,
                sdi_tokenizer_encode(p->env, p->a, (sdi_tokenizer_variant)v,
                                     json_string_value(text), json_string_length(text), &a));
        test_ok(p->env,
                sdi_tokenizer_encode(p->env, p->b, (sdi_tokenizer_variant)v,
                                     json_string_value(text), json_string_length(text), &b));
        assert_int_equal(a.count, b.count);
        if (a.count)
            assert_memory_equal(a.ids, b.ids, (size_t)a.count * sizeof *a.ids);
        sdi_ids_free(p->env, &a);
        sdi_ids_free(p->env, &b);
    }
}

static void test_the_openai_file_gives_the_same_ids(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *hf = open_fixture(&env, "fixtures-ldm/tokenizer");
    size_t size = 0, packed_size = 0;
    char *text = write_rules(&size);
    void *packed = gzip(text, size, &packed_size);
    for (int form = 0; form < 2; form++) {
        sdi_tokenizer *t = NULL;
        test_ok(&env, sdi_tokenizer_new_bpe(&env, "rules", form ? packed : (void *)text,
                                            form ? packed_size : size, &t));
        assert_int_equal(sdi_tokenizer_vocab_size(t), 49408);
        assert_int_equal(sdi_tokenizer_bos(t), 49406);
        assert_int_equal(sdi_tokenizer_eos(t), 49407);
        assert_int_equal(sdi_tokenizer_comma(t), 267);
        pair p = {&env, hf, t};
        test_each_json_line(test_shared("fixtures-ldm/tokenizer/clip-bpe.jsonl"), expect_equal_ids,
                            &p);
        sdi_tokenizer_free(&env, t);
    }
    sdi_tokenizer *t = NULL;
    assert_int_equal(sdi_tokenizer_new_bpe(&env, "cut", packed, packed_size / 2, &t),
                     SDIFF_ERROR_FORMAT);
    assert_null(t);
    free(packed);
    free(text);
    sdi_tokenizer_free(&env, hf);
    test_env_free(&env);
}

static void test_small_vocabularies_work(void **state)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = open_fixture(&env, "tinysd/model"); // finds tokenizer/ in it
    sdi_ids ids = {0};
    test_ok(&env,
            sdi_tokenizer_encode(&env, t, SDI_TOKENIZER_HF_FAST, "a photo of a cat", 16, &ids));
    assert_true(ids.count >= 5 && ids.count <= 16);
    for (int i = 0; i < ids.count; i++)
        assert_true(ids.ids[i] >= 0 && ids.ids[i] < sdi_tokenizer_bos(t));
    sdi_ids_free(&env, &ids);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
}

/* --- files that must be refused --------------------------------------------------------------- */

static sdiff_status open_bad(const sdi_env *env, const char *file, sdi_tokenizer **out)
{
    static const char good[] = "fixtures-ldm/bad/vocab-small-valid";
    char vocab_path[1024], merges_path[1024];
    const char *root = test_shared("fixtures-ldm/bad");
    snprintf(vocab_path, sizeof vocab_path, "%s/vocab.json", test_shared(good));
    snprintf(merges_path, sizeof merges_path, "%s/merges.txt", test_shared(good));
    snprintf(strstr(file, "merges") ? merges_path : vocab_path, sizeof vocab_path, "%s/%s", root,
             file);
    char *vocab = NULL, *merges = NULL;
    size_t vocab_size = 0, merges_size = 0;
    *out = NULL;
    sdiff_status status = sdi_read_small_file(env, vocab_path, 1 << 26, &vocab, &vocab_size);
    if (status == SDIFF_OK)
        status = sdi_read_small_file(env, merges_path, 1 << 26, &merges, &merges_size);
    if (status == SDIFF_OK)
        status = sdi_tokenizer_new_hf(env, vocab_path, vocab, vocab_size, merges_path, merges,
                                      merges_size, out);
    sdi_free(env, vocab);
    sdi_free(env, merges);
    return status;
}

static void check_bad_file(const char *file, const char *expect)
{
    sdi_env env = test_env_new();
    sdi_tokenizer *t = NULL;
    const sdiff_status status = open_bad(&env, file, &t);
    if (strcmp(expect, "error") == 0) {
        if (status == SDIFF_OK)
            fail_msg("%s was not refused", file);
        assert_true(strlen(test_error(&env)) > 10);
    } else if (strcmp(expect, "ok") == 0) {
        test_ok(&env, status);
    }
    assert_true(sdi_mem_peak(env.mem) < 64 << 20);
    sdi_tokenizer_free(&env, t);
    test_env_free(&env);
    for (uint64_t n = 1, failed = 1; failed; n++) {
        const sdi_mem_params params = {.fail_at = n};
        env = test_env_with(&params);
        failed = open_bad(&env, file, &t) == SDIFF_ERROR_NO_MEMORY;
        sdi_tokenizer_free(&env, t);
        test_env_free(&env);
    }
}

static void test_bad_files_behave_as_listed(void **state)
{
    FILE *file = fopen(test_shared("fixtures-ldm/bad/bad.tsv"), "r");
    assert_non_null(file);
    char line[1024];
    int files = 0;
    while (fgets(line, sizeof line, file)) {
        char name[256], kind[64], expect[64];
        if (sscanf(line, "%255[^\t]\t%63[^\t]\t%63[^\t]", name, kind, expect) != 3 ||
            strcmp(kind, "vocab") != 0)
            continue;
        check_bad_file(name, expect);
        files++;
    }
    fclose(file);
    print_message("%d vocabulary files\n", files);
    assert_true(files >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_the_test_strings_are_exact),
        cmocka_unit_test(test_hf_fast_is_exact_on_every_prompt),
        cmocka_unit_test(test_broken_utf8_becomes_replacement_characters),
        cmocka_unit_test(test_the_openai_file_gives_the_same_ids),
        cmocka_unit_test(test_small_vocabularies_work),
        cmocka_unit_test(test_bad_files_behave_as_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
