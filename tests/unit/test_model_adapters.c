/* SPDX-License-Identifier: MIT
 *
 * Files of textual inversion and LoRA: all forms, all spellings of a layer's name, what is refused
 * and with which numbers, memory that runs out, malformed files. Numbers of whole networks are
 * compared in tests/parity.
 */
#include "test_io_cases.h"

#include "model/embedding.h"
#include "model/lora_match.h"

#include <math.h>
#include <unistd.h>

#define LDM "fixtures-ldm/"
#define SD1 "fixtures/tiny-sd1"
#define KOHYA SD1 "/lora/kohya_locon.safetensors"

/* ---- textual inversion ----------------------------------------------------------------------- */

static void check_inversion(const char *file, const char *golden, const char *name, int32_t count)
{
    sdi_env env = test_env_new();
    sdi_embedding e;
    sdi_tensor_file *vectors = NULL;
    const void *data = NULL;
    void *owned = NULL;
    test_ok(&env, sdi_embedding_read(&env, test_shared(file), NULL, 48, &e));
    assert_string_equal(e.name, name);
    assert_int_equal(e.count, count);
    assert_int_equal(e.width, 48);
    test_ok(&env, sdi_tensor_file_open_path(&env, test_shared(LDM "ti.golden.safetensors"),
                                            &vectors));
    test_ok(&env, sdi_tensor_file_data(&env, vectors, sdi_tensor_file_find(vectors, golden), &data,
                                       &owned));
    assert_memory_equal(e.vectors, data, (size_t)count * 48 * sizeof(float));
    sdi_free(&env, owned);
    sdi_tensor_file_free(&env, vectors);
    sdi_embedding_free(&env, &e);
    test_env_free(&env);
}

static void test_inversion_of_every_form_is_read(void **state)
{
    (void)state;
    check_inversion(LDM "ti-a1111.pt", "vectors3", "tiny-style", 3);
    check_inversion(LDM "ti-original.pt", "vectors3", "ti-original", 3);
    check_inversion(LDM "ti-a1111.safetensors", "vectors3", "ti-a1111", 3);
    check_inversion(LDM "ti-diffusers.safetensors", "vector1", "<tiny-cat>", 1);
    check_inversion(LDM "ti-diffusers.bin", "vector1", "<tiny-cat>", 1);
    check_inversion(LDM "ti-diffusers-legacy.bin", "vector1", "<tiny-cat>", 1);
}

static void refuse(const char *file, int32_t width, sdiff_status expected, const char *words)
{
    sdi_env env = test_env_new();
    sdi_embedding e;
    assert_int_equal(sdi_embedding_read(&env, test_shared(file), NULL, width, &e), expected);
    if (!strstr(test_error(&env), words))
        fail_msg("'%s' does not say '%s'", test_error(&env), words);
    assert_null(e.vectors);
    test_env_free(&env);
}

static void test_inversion_that_does_not_fit_is_refused_with_both_numbers(void **state)
{
    (void)state;
    refuse(LDM "ti-a1111.pt", 768, SDIFF_ERROR_MISMATCH, "48 wide, the text encoder needs 768");
    refuse(LDM "ti-diffusers.bin", 32, SDIFF_ERROR_MISMATCH, "48 wide, the text encoder needs 32");
    refuse(LDM "bad/ti-wrong-width.safetensors", 48, SDIFF_ERROR_MISMATCH, "7 wide");
    refuse(LDM "bad/ti-rank-3.safetensors", 6, SDIFF_ERROR_MISMATCH, "[1, 1, 6]");
    refuse(LDM "bad/ti-zero-vectors.safetensors", 48, SDIFF_ERROR_FORMAT, "0 vectors");
    refuse(LDM "vae-tiny.fp16.safetensors", 48, SDIFF_ERROR_FORMAT, "holds one");
}

static sdi_embedding made_up(const sdi_env *env, const char *name, int32_t count)
{
    sdi_embedding e = {.name = sdi_strdup(env, name), .count = count, .width = 2};
    e.vectors = sdi_zalloc(env, (uint64_t)count, 2 * sizeof(float));
    return e;
}

static void test_embeddings_number_their_vectors_in_order(void **state)
{
    (void)state;
    sdi_env env = test_env_new();
    sdi_embeddings list = {0};
    sdi_embedding a = made_up(&env, "a", 1), b = made_up(&env, "b", 3);
    sdi_embedding again = made_up(&env, "a", 2);
    test_ok(&env, sdi_embeddings_add(&env, &list, &a));
    test_ok(&env, sdi_embeddings_add(&env, &list, &b));
    assert_int_equal(sdi_embeddings_add(&env, &list, &again), SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_embeddings_find(&list, "b"), 1);
    assert_int_equal(sdi_embeddings_find(&list, "c"), -1);
    assert_int_equal(sdi_embeddings_first_id(&list, 49408, 0), 49408);
    assert_int_equal(sdi_embeddings_first_id(&list, 49408, 1), 49409);
    assert_int_equal(sdi_embeddings_first_id(&list, 49408, 2), 49412);
    sdi_embeddings_free(&env, &list);
    test_env_free(&env);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_keys_of_every_trainer_are_understood(void **state)
{
    enum { TEXT = 1 << SDI_PART_TEXT, UNET = 1 << SDI_PART_UNET };
    static const struct {
        const char *key;
        sdi_lora_kind kind;
        uint32_t parts;
        const char *stem;
    } keys[] = {
        {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", SDI_LORA_DOWN, UNET,
         "mid_block_attentions_0_proj_in"},
        {"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha", SDI_LORA_ALPHA, TEXT,
         "text_model_encoder_layers_0_mlp_fc1"},
        {"lora_unet_input_blocks_1_0_in_layers_2.lora_mid.weight", SDI_LORA_MID, UNET,
         "input_blocks_1_0_in_layers_2"},
        {"unet.mid_block.attentions.0.proj_in.lora_A.weight", SDI_LORA_DOWN, UNET,
         "mid_block_attentions_0_proj_in"},
        {"base_model.model.unet.conv_in.lora_B.weight", SDI_LORA_UP, UNET, "conv_in"},
        {"base_model.model.conv_in.lora_B.default.weight", SDI_LORA_UP, TEXT | UNET, "conv_in"},
        {"unet.a.attn1.processor.to_q_lora.down.weight", SDI_LORA_DOWN, UNET, "a_attn1_to_q"},
        {"unet.a.attn1.processor.to_out_lora.up.weight", SDI_LORA_UP, UNET, "a_attn1_to_out_0"},
        {"a.attn2.processor.to_k_lora.up.weight", SDI_LORA_UP, TEXT | UNET, "a_attn2_to_k"},
        {"unet.a.attn1.to_out.0.lora.up.weight", SDI_LORA_UP, UNET, "a_attn1_to_out_0"},
        {"text_encoder.l.self_attn.to_out_lora.up.weight", SDI_LORA_UP, TEXT,
         "l_self_attn_out_proj"},
        {"text_encoder.l.self_attn.q_proj.lora_linear_layer.down.weight", SDI_LORA_DOWN, TEXT,
         "l_self_attn_q_proj"},
        {"diffusion_model.input_blocks.1.1.proj_in.lora_up.weight", SDI_LORA_UP, UNET,
         "input_blocks_1_1_proj_in"},
        {"lora_unet_conv_in.dora_scale", SDI_LORA_FOREIGN, UNET, "conv_in"},
        {"lora_unet_conv_in.hada_w1_a", SDI_LORA_FOREIGN, UNET, "conv_in"},
        {"something.else", SDI_LORA_OTHER, TEXT | UNET, "something_else"},
    };
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(keys); i++) {
        sdi_lora_key key;
        sdi_lora_parse_key(keys[i].key, 0, &key);
        assert_string_equal(key.stem, keys[i].stem);
        assert_int_equal(key.kind, keys[i].kind);
        assert_int_equal(key.parts, keys[i].parts);
    }
}

/* ---- a model and files made for it ----------------------------------------------------------- */

typedef struct bench {
    sdi_env env;
    sdi_kernels kernels;
    sdi_model *model;
    sdi_loras list;
} bench;

static void open_bench(bench *b, const char *model)
{
    const sdi_model_source source = {.path = test_shared(model)};
    sdi_model_options options = {.components = 1 << SDI_PART_UNET | 1 << SDI_PART_TEXT};
    memset(b, 0, sizeof *b);
    b->env = test_env_new();
    sdi_kernels_init(&b->kernels, SDI_SET_ALL, SDI_F32);
    options.kernels[SDI_PART_UNET] = &b->kernels;
    test_ok(&b->env, sdi_model_open(&b->env, &source, &options, &b->model));
}

static void close_bench(bench *b)
{
    sdi_loras_free(&b->env, &b->list);
    sdi_model_unref(b->model);
    test_env_free(&b->env);
}

/* All packed weights of a part, as one block (free()). */
static float *snapshot(const bench *b, sdi_part part, size_t *bytes)
{
    const sdi_weights *w = sdi_model_weights(b->model, part);
    float *all = malloc(sdi_weights_elements(w) * sizeof *all), *at = all;
    assert_non_null(all);
    for (int32_t i = 0; i < w->count; at += w->params[i++].count)
        sdi_weights_read(w, i, at);
    *bytes = (size_t)(at - all) * sizeof *all;
    return all;
}

static char made[64];

static int make_file(void **state)
{
    (void)state;
    strcpy(made, "/tmp/sdi-lora-XXXXXX");
    const int file = mkstemp(made);
    return file < 0 || close(file) != 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(made);
}

typedef struct entry {
    char name[300];
    int64_t shape[4];
    int32_t rank;
} entry;

/* A file of these tensors with values that depend on place and seed. */
static void write_made(const bench *b, const entry *entries, int32_t count, int seed)
{
    sdi_tensor_out *tensors = calloc((size_t)count, sizeof *tensors);
    for (int32_t i = 0; i < count; i++) {
        int64_t n = 1;
        for (int32_t d = 0; d < entries[i].rank; d++)
            n *= entries[i].shape[d];
        float *values = malloc((size_t)n * sizeof *values + 1);
        for (int64_t k = 0; k < n; k++)
            values[k] = sinf((float)(k * 7 + i % 3 + seed));
        tensors[i] = (sdi_tensor_out){entries[i].name, SDI_F32, entries[i].rank, {0}, values};
        memcpy(tensors[i].shape, entries[i].shape, sizeof entries[i].shape);
    }
    test_ok(&b->env, sdi_safetensors_write(&b->env, made, tensors, count, NULL));
    for (int32_t i = 0; i < count; i++)
        free((void *)tensors[i].data);
    free(tensors);
}

static entry tensor(const char *stem, const char *ending, int64_t a, int64_t b)
{
    entry e = {.shape = {a, b, 1, 1}, .rank = 2};
    snprintf(e.name, sizeof e.name, "%s%s", stem, ending);
    return e;
}

/* The packed U-Net with the file merged (free()). */
static float *merged(bench *b, const char *file, double scale, sdi_part part, size_t *bytes)
{
    test_ok(&b->env, sdi_loras_add(&b->env, b->model, NULL, &b->list, file, scale));
    float *all = snapshot(b, part, bytes);
    test_ok(&b->env, sdi_loras_clear(&b->env, b->model, NULL, &b->list));
    return all;
}

/* ---- merging --------------------------------------------------------------------------------- */

static void check_spelling(bench *b, const char *stem, const char *const endings[2],
                           const float *want, size_t bytes)
{
    size_t got_bytes = 0;
    const entry entries[] = {tensor(stem, endings[0], 3, 32), tensor(stem, endings[1], 32, 3)};
    write_made(b, entries, 2, 0);
    float *got = merged(b, made, 0.5, SDI_PART_UNET, &got_bytes);
    assert_int_equal(got_bytes, bytes);
    assert_memory_equal(got, want, bytes);
    assert_null(b->list.report);
    free(got);
}

/* One layer under all its names. */
static void test_spellings_of_a_layer_change_the_same_weights(void **state)
{
    static const char *const kohya[] = {".lora_down.weight", ".lora_up.weight"};
    static const char *const peft[] = {".lora_A.weight", ".lora_B.weight"};
    static const char *const old[] = {"_lora.down.weight", "_lora.up.weight"};
    static const char diffusers[] =
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0";
    (void)state;
    bench b;
    size_t bytes = 0, plain_bytes = 0;
    open_bench(&b, SD1);
    float *plain = snapshot(&b, SDI_PART_UNET, &plain_bytes);
    const entry entries[] = {tensor(diffusers, kohya[0], 3, 32),
                             tensor(diffusers, kohya[1], 32, 3)};
    write_made(&b, entries, 2, 0);
    float *want = merged(&b, made, 0.5, SDI_PART_UNET, &bytes);
    assert_memory_not_equal(want, plain, bytes);
    check_spelling(&b, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_out_0", kohya,
                   want, bytes);
    check_spelling(&b, "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0", peft,
                   want, bytes);
    check_spelling(
        &b, "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0", peft,
        want, bytes);
    check_spelling(
        &b, "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out", old,
        want, bytes);
    check_spelling(&b, "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_out.0",
                   kohya, want, bytes);
    float *after = snapshot(&b, SDI_PART_UNET, &bytes);
    assert_memory_equal(after, plain, bytes);
    free(plain);
    free(want);
    free(after);
    close_bench(&b);
}

/* A fused in_proj of OpenCLIP is q, k and v of this library's encoder. */
static void test_rows_of_fused_layers_find_their_parts(void **state)
{
    static const char *const parts[] = {"q", "k", "v"};
    (void)state;
    bench b;
    size_t bytes = 0;
    open_bench(&b, LDM "sd2-v.fp16.safetensors");
    const int64_t d = sdi_model_get_config(b.model)->clip.hidden_size;
    entry entries[6] = {
        tensor("lora_te_transformer_resblocks_0_attn_in_proj", ".lora_down.weight", 2, d),
        tensor("lora_te_transformer_resblocks_0_attn_in_proj", ".lora_up.weight", 3 * d, 2)};
    write_made(&b, entries, 2, 0);
    float *fused = merged(&b, made, 1, SDI_PART_TEXT, &bytes);
    sdi_tensor_out tensors[6];
    float *down = malloc((size_t)(2 * d) * sizeof *down);
    float *up = malloc((size_t)(6 * d) * sizeof *up);
    for (int64_t i = 0; i < 6 * d; i++) {
        up[i] = sinf((float)(i * 7 + 1)); // as write_made fills its second tensor
        if (i < 2 * d)
            down[i] = sinf((float)(i * 7));
    }
    for (int i = 0; i < 3; i++) {
        char stem[200];
        snprintf(stem, sizeof stem,
                 "text_encoder.text_model.encoder.layers.0.self_attn.%s_proj", parts[i]);
        entries[2 * i] = tensor(stem, ".lora_A.weight", 2, d);
        entries[2 * i + 1] = tensor(stem, ".lora_B.weight", d, 2);
        tensors[2 * i] = (sdi_tensor_out){entries[2 * i].name, SDI_F32, 2, {2, d}, down};
        tensors[2 * i + 1] =
            (sdi_tensor_out){entries[2 * i + 1].name, SDI_F32, 2, {d, 2}, up + i * 2 * d};
    }
    test_ok(&b.env, sdi_safetensors_write(&b.env, made, tensors, 6, NULL));
    float *apart = merged(&b, made, 1, SDI_PART_TEXT, &bytes);
    assert_memory_equal(fused, apart, bytes);
    free(fused);
    free(apart);
    free(down);
    free(up);
    close_bench(&b);
}

/* LoCon with a middle matrix: up[o,p] mid[p,q,y,x] down[q,i], summed in double precision here. */
static void test_twice_decomposed_convolutions_are_multiplied_out(void **state)
{
    static const char stem[] = "lora_unet_down_blocks_0_resnets_0_conv1";
    (void)state;
    enum { R = 2, C = 32 };
    bench b;
    open_bench(&b, SD1);
    const entry entries[] = {
        {"", {R, C, 1, 1}, 4}, {"", {C, R, 1, 1}, 4}, {"", {R, R, 3, 3}, 4}, {"", {1}, 0}};
    entry named[4];
    memcpy(named, entries, sizeof named);
    static const char *const endings[] = {".lora_down.weight", ".lora_up.weight",
                                          ".lora_mid.weight", ".alpha"};
    for (int i = 0; i < 4; i++)
        snprintf(named[i].name, sizeof named[i].name, "%s%s", stem, endings[i]);
    write_made(&b, named, 4, 1);
    const double alpha = sinf(1); // the fourth tensor: i % 3 == 0
    const sdi_weights *w = sdi_model_weights(b.model, SDI_PART_UNET);
    const int32_t param = sdi_weights_find(w, "down_blocks.0.resnets.0.conv1.weight");
    float before[C * C * 9], after[C * C * 9];
    sdi_weights_read(w, param, before);
    test_ok(&b.env, sdi_loras_add(&b.env, b.model, NULL, &b.list, made, -2));
    sdi_weights_read(w, param, after);
    for (int o = 0; o < C; o++)
        for (int i = 0; i < C; i++)
            for (int t = 0; t < 9; t++) {
                double sum = 0;
                for (int p = 0; p < R; p++)
                    for (int q = 0; q < R; q++)
                        sum += (double)sinf((float)((o * R + p) * 7 + 1 + 1)) *
                               (double)sinf((float)(((p * R + q) * 9 + t) * 7 + 2 + 1)) *
                               (double)sinf((float)((q * C + i) * 7 + 1));
                const int at = (o * C + i) * 9 + t;
                const double want = before[at] - 2 * alpha / R * sum;
                assert_true(fabs(want - (double)after[at]) < 1e-5);
            }
    close_bench(&b);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse_lora(bench *b, const entry *entries, int32_t count, sdiff_status expected,
                        const char *words)
{
    write_made(b, entries, count, 0);
    const sdiff_status status = sdi_loras_add(&b->env, b->model, NULL, &b->list, made, 1);
    if (status != expected || !strstr(test_error(&b->env), words))
        fail_msg("status %d, '%s' does not say '%s'", (int)status, test_error(&b->env), words);
    assert_int_equal(b->list.count, 0);
}

static void test_files_that_do_not_fit_are_refused_with_a_reason(void **state)
{
    static const char q[] = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    (void)state;
    bench b;
    open_bench(&b, SD1);
    const entry down = tensor(q, ".lora_A.weight", 4, 64), up = tensor(q, ".lora_B.weight", 64, 4);
    entry e[3] = {tensor("unet.other", ".lora_A.weight", 4, 64),
                  tensor("unet.other", ".lora_B.weight", 64, 4)};
    refuse_lora(&b, e, 2, SDIFF_ERROR_MISMATCH, "none of its 2 keys fits");
    e[0] = tensor(q, ".lora_A.weight", 4, 320);
    e[1] = up;
    refuse_lora(&b, e, 2, SDIFF_ERROR_MISMATCH, "[4, 320], [4, 64] was needed");
    e[0] = down;
    e[1] = tensor(q, ".lora_B.weight", 64, 5);
    refuse_lora(&b, e, 2, SDIFF_ERROR_MISMATCH, "[64, 5], [64, 4] was needed");
    e[1] = tensor(q, ".lora_B.weight", 320, 4);
    refuse_lora(&b, e, 2, SDIFF_ERROR_MISMATCH, "[320, 4], [64, 4] was needed");
    refuse_lora(&b, &up, 1, SDIFF_ERROR_FORMAT, "stands alone");
    refuse_lora(&b, &down, 1, SDIFF_ERROR_FORMAT, "stands alone");
    e[0] = tensor(q, ".lora_A.weight", 0, 64);
    e[1] = tensor(q, ".lora_B.weight", 64, 0);
    refuse_lora(&b, e, 2, SDIFF_ERROR_MISMATCH, "[rank, inputs]");
    e[0] = down;
    e[1] = up;
    e[2] = tensor(q, ".alpha", 2, 1);
    refuse_lora(&b, e, 3, SDIFF_ERROR_MISMATCH, "holds 2 numbers");
    e[2] = tensor(q, ".dora_scale", 64, 1);
    refuse_lora(&b, e, 3, SDIFF_ERROR_UNSUPPORTED, "DoRA");
    e[2] = tensor(q, ".lora_down.weight", 4, 64);
    refuse_lora(&b, e, 3, SDIFF_ERROR_FORMAT, "same matrix");
    assert_int_equal(sdi_loras_add(&b.env, b.model, NULL, &b.list, made, (double)NAN),
                     SDIFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(sdi_loras_add(&b.env, b.model, NULL, &b.list, "/nowhere", 1), SDIFF_ERROR_IO);
    close_bench(&b);
}

static void test_keys_without_a_place_are_reported(void **state)
{
    static const char q[] = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    (void)state;
    bench b;
    open_bench(&b, SD1);
    const entry e[] = {tensor(q, ".lora_A.weight", 4, 64), tensor(q, ".lora_B.weight", 64, 4),
                       tensor(q, ".something", 1, 1), tensor("unet.x", ".lora_A.weight", 4, 64),
                       tensor("unet.x", ".lora_B.weight", 64, 4),
                       tensor("text_encoder.mid_block.attentions.0.proj_in", ".alpha", 1, 1)};
    write_made(&b, e, 6, 0);
    test_ok(&b.env, sdi_loras_add(&b.env, b.model, NULL, &b.list, made, 1));
    assert_non_null(b.list.report);
    assert_non_null(strstr(b.list.report, made));
    for (int i = 0; i < 6; i++)
        assert_int_equal(strstr(b.list.report, e[i].name) != NULL, i > 1);
    test_ok(&b.env, sdi_loras_clear(&b.env, b.model, NULL, &b.list));
    assert_null(b.list.report);
    close_bench(&b);
}

/* ---- hostile files, no memory ---------------------------------------------------------------- */

static bench *shared_bench;

static void open_as_adapter(const bad_case *c)
{
    sdi_embedding e;
    sdi_env env = test_env_new();
    if (sdi_embedding_read(&env, c->path, NULL, 48, &e) == SDIFF_OK)
        sdi_embedding_free(&env, &e);
    else
        assert_true(test_error(&env)[0] != '\0');
    assert_true(sdi_loras_add(&env, shared_bench->model, NULL, &shared_bench->list, c->path, 1) !=
                SDIFF_OK);
    assert_true(test_error(&env)[0] != '\0');
    sdi_loras_free(&env, &shared_bench->list);
    test_env_free(&env);
}

static void test_malformed_files_are_refused(void **state)
{
    (void)state;
    bench b;
    open_bench(&b, SD1);
    shared_bench = &b;
    assert_int_equal(for_each_bad("ti-", open_as_adapter), 3);
    for_each_bad("st-", open_as_adapter);
    for_each_bad("pk-", open_as_adapter);
    for_each_bad("zip-", open_as_adapter);
    close_bench(&b);
}

static void test_inversion_without_memory_leaves_nothing(void **state)
{
    static const char *const files[] = {LDM "ti-a1111.pt", LDM "ti-diffusers.safetensors",
                                        LDM "ti-diffusers-legacy.bin"};
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(files); i++) {
        sdiff_status status = SDIFF_ERROR_NO_MEMORY;
        for (uint64_t n = 1; status != SDIFF_OK; n++) {
            const sdi_mem_params params = {.fail_at = n};
            sdi_env env = test_env_with(&params);
            sdi_embeddings list = {0};
            sdi_embedding e;
            status = sdi_embedding_read(&env, test_shared(files[i]), NULL, 48, &e);
            if (status == SDIFF_OK)
                status = sdi_embeddings_add(&env, &list, &e);
            if (status != SDIFF_OK)
                assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
            sdi_embeddings_free(&env, &list);
            test_env_free(&env);
        }
    }
}

static void test_lora_without_memory_leaves_the_weights(void **state)
{
    (void)state;
    bench b;
    size_t bytes = 0;
    open_bench(&b, SD1);
    float *plain = snapshot(&b, SDI_PART_UNET, &bytes);
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    uint64_t n = 1;
    for (; status != SDIFF_OK; n += n < 40 ? 1 : 13) {
        const sdi_mem_params params = {.fail_at = n};
        sdi_env env = test_env_with(&params);
        sdi_loras list = {0};
        status = sdi_loras_add(&env, b.model, NULL, &list, test_shared(KOHYA), 1);
        if (status != SDIFF_OK) {
            assert_int_equal(status, SDIFF_ERROR_NO_MEMORY);
            float *now = snapshot(&b, SDI_PART_UNET, &bytes);
            assert_memory_equal(now, plain, bytes);
            free(now);
        }
        sdi_loras_free(&env, &list);
        test_env_free(&env);
    }
    assert_true(n > 20);
    free(plain);
    close_bench(&b);
}

/* Threads divide rows only: the bits are the same. */
static void test_lora_does_not_depend_on_threads(void **state)
{
    (void)state;
    bench b;
    size_t bytes = 0;
    sdi_pool *pool = NULL;
    open_bench(&b, SD1);
    test_ok(&b.env, sdi_pool_new(&b.env, 3, NULL, NULL, &pool));
    float *alone = merged(&b, test_shared(KOHYA), 0.7, SDI_PART_UNET, &bytes);
    test_ok(&b.env, sdi_loras_add(&b.env, b.model, pool, &b.list, test_shared(KOHYA), 0.7));
    float *together = snapshot(&b, SDI_PART_UNET, &bytes);
    assert_memory_equal(alone, together, bytes);
    test_ok(&b.env, sdi_loras_clear(&b.env, b.model, pool, &b.list));
    sdi_pool_free(&b.env, pool);
    free(alone);
    free(together);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inversion_of_every_form_is_read),
        cmocka_unit_test(test_inversion_that_does_not_fit_is_refused_with_both_numbers),
        cmocka_unit_test(test_embeddings_number_their_vectors_in_order),
        cmocka_unit_test(test_keys_of_every_trainer_are_understood),
        cmocka_unit_test(test_spellings_of_a_layer_change_the_same_weights),
        cmocka_unit_test(test_rows_of_fused_layers_find_their_parts),
        cmocka_unit_test(test_twice_decomposed_convolutions_are_multiplied_out),
        cmocka_unit_test(test_files_that_do_not_fit_are_refused_with_a_reason),
        cmocka_unit_test(test_keys_without_a_place_are_reported),
        cmocka_unit_test(test_malformed_files_are_refused),
        cmocka_unit_test(test_inversion_without_memory_leaves_nothing),
        cmocka_unit_test(test_lora_without_memory_leaves_the_weights),
        cmocka_unit_test(test_lora_does_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
