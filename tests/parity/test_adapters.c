/* SPDX-License-Identifier: MIT
 *
 * LoRA and textual inversion against diffusers' numbers, in every form of file. Tolerances of the
 * fixtures' READMEs: 2e-4 for LoRA, 2e-5 for textual inversion, both absolute.
 */
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SD1 "fixtures/tiny-sd1"
#define LORA SD1 "/lora/"
#define INVERSION SD1 "/textual_inversion/"

static const double LORA_TOLERANCE = 2e-4, INVERSION_TOLERANCE = 2e-5;

static const struct {
    const char *file, *golden;
    int text;
} loras[] = {
    {LORA "pytorch_lora_weights_peft.safetensors", "peft", 1},
    {LORA "pytorch_lora_weights_old.safetensors", "old", 0},
    {LORA "kohya_locon.safetensors", "kohya", 1},
};

typedef struct bench {
    sdiff_context *context;
    sdiff_model *model;
    sdiff_tensors *golden;
} bench;

static bench open_bench(const char *golden)
{
    bench b = {.context = models_context()};
    b.golden = models_golden(b.context, golden);
    b.model = models_open(b.context, test_shared(SD1));
    return b;
}

static void close_bench(bench *b)
{
    sdiff_tensors_free(b->golden);
    sdiff_model_free(b->model);
    sdiff_context_free(b->context);
}

static sdiff_tensors *run_text(bench *b, const char *ids)
{
    sdiff_tensors *in = models_tensors(b->context);
    models_copy(in, "input_ids", b->golden, ids);
    sdiff_tensors *out = models_run(b->context, b->model, "text", in);
    sdiff_tensors_free(in);
    return out;
}

static sdiff_tensors *run_unet(bench *b, const char *context)
{
    sdiff_tensors *in = models_tensors(b->context);
    models_copy(in, "sample", b->golden, "sample");
    models_copy(in, "timestep", b->golden, "timestep");
    models_copy(in, "context", b->golden, context);
    sdiff_tensors *out = models_run(b->context, b->model, "unet", in);
    sdiff_tensors_free(in);
    return out;
}

static void add(bench *b, const char *file, double scale)
{
    models_ok(b->model, sdiff_model_add_lora(b->model, test_shared(file), scale));
    assert_string_equal(sdiff_model_lora_report(b->model), "");
}

/* ---- LoRA ------------------------------------------------------------------------------------ */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The text encoder and the U-Net, alone and after each other. */
static double compare_lora(bench *b, const char *name, int text)
{
    char golden[64];
    double worst = 0;
    snprintf(golden, sizeof golden, "%s.unet_out_ctx_base", name);
    sdiff_tensors *out = run_unet(b, "ctx_base");
    worst = models_compare(out, "out", b->golden, golden, LORA_TOLERANCE);
    sdiff_tensors_free(out);
    if (!text)
        return worst;
    snprintf(golden, sizeof golden, "%s.text", name);
    out = run_text(b, "ids");
    worst = larger(worst, models_compare(out, "context", b->golden, golden, LORA_TOLERANCE));
    sdiff_tensors_free(out);
    out = run_unet(b, golden);
    snprintf(golden, sizeof golden, "%s.unet_out", name);
    worst = larger(worst, models_compare(out, "out", b->golden, golden, LORA_TOLERANCE));
    sdiff_tensors_free(out);
    return worst;
}

static void test_lora_of_every_form_matches_diffusers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof loras / sizeof loras[0]; i++) {
        bench b = open_bench(LORA "golden.safetensors");
        add(&b, loras[i].file, 0.8);
        printf("lora %s: worst error / tolerance %.3f\n", loras[i].golden,
               compare_lora(&b, loras[i].golden, loras[i].text));
        close_bench(&b);
    }
}

static void test_lora_scales_add_up(void **state)
{
    (void)state;
    bench b = open_bench(LORA "golden.safetensors");
    add(&b, loras[2].file, 1.5);
    add(&b, loras[0].file, 0.25);
    add(&b, loras[2].file, -0.7);
    add(&b, loras[0].file, -0.25);
    assert_int_equal(sdiff_model_lora_count(b.model), 4);
    printf("lora in parts: worst error / tolerance %.3f\n", compare_lora(&b, "kohya", 1));
    close_bench(&b);
}

static void test_lora_removed_is_never_applied(void **state)
{
    (void)state;
    bench b = open_bench(LORA "golden.safetensors");
    sdiff_tensors *text = run_text(&b, "ids"), *unet = run_unet(&b, "ctx_base");
    models_compare(text, "context", b.golden, "ctx_base", LORA_TOLERANCE);
    models_compare(unet, "out", b.golden, "unet_base", LORA_TOLERANCE);
    for (size_t i = 0; i < sizeof loras / sizeof loras[0]; i++)
        add(&b, loras[i].file, 3.7 - (double)i);
    sdiff_tensors *changed = run_unet(&b, "ctx_base");
    size_t n = 0;
    float *x = models_values(unet, "out", &n), *y = models_values(changed, "out", &n);
    assert_memory_not_equal(x, y, n * sizeof *x);
    free(x);
    free(y);
    models_ok(b.model, sdiff_model_clear_loras(b.model));
    assert_int_equal(sdiff_model_lora_count(b.model), 0);
    sdiff_tensors *text_after = run_text(&b, "ids"), *unet_after = run_unet(&b, "ctx_base");
    models_same(text, text_after, "context");
    models_same(unet, unet_after, "out");
    sdiff_tensors_free(text);
    sdiff_tensors_free(unet);
    sdiff_tensors_free(changed);
    sdiff_tensors_free(text_after);
    sdiff_tensors_free(unet_after);
    close_bench(&b);
}

/* ---- textual inversion ----------------------------------------------------------------------- */

static void compare_inversion(const char *one, const char *multi)
{
    static const char *const texts[] = {"a", "b", "c", "long"};
    bench b = open_bench(INVERSION "golden.safetensors");
    char ids[32], golden[64];
    double worst = 0;
    models_ok(b.model, sdiff_model_add_embedding(b.model, test_shared(one), NULL));
    models_ok(b.model, sdiff_model_add_embedding(b.model, test_shared(multi), NULL));
    assert_int_equal(sdiff_model_embedding_count(b.model), 2);
    assert_string_equal(sdiff_model_embedding_name(b.model, 0), "<cat-toy>");
    assert_string_equal(sdiff_model_embedding_name(b.model, 1), "my-style");
    assert_int_equal(sdiff_model_embedding_vectors(b.model, 1), 3);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        snprintf(ids, sizeof ids, "%s.ids", texts[i]);
        snprintf(golden, sizeof golden, "%s.last_hidden_state", texts[i]);
        sdiff_tensors *out = run_text(&b, ids);
        worst = larger(worst, models_compare(out, "last_hidden_state", b.golden, golden,
                                             INVERSION_TOLERANCE));
        sdiff_tensors_free(out);
    }
    printf("%s: worst error / tolerance %.3f\n", strrchr(multi, '/') + 1, worst);
    close_bench(&b);
}

static void test_inversions_match_diffusers(void **state)
{
    (void)state;
    compare_inversion(INVERSION "learned_embeds.safetensors", INVERSION "my-style.safetensors");
    compare_inversion(INVERSION "learned_embeds.bin", INVERSION "my-style.pt");
}

static void test_embeddings_leave_other_ids_as_they_were(void **state)
{
    (void)state;
    bench b = open_bench(LORA "golden.safetensors");
    sdiff_tensors *before = run_text(&b, "ids");
    models_ok(b.model, sdiff_model_add_embedding(
                           b.model, test_shared(INVERSION "learned_embeds.bin"), "other"));
    assert_string_equal(sdiff_model_embedding_name(b.model, 0), "other");
    sdiff_tensors *after = run_text(&b, "ids");
    models_same(before, after, "last_hidden_state");
    sdiff_tensors_free(before);
    sdiff_tensors_free(after);
    close_bench(&b);
}

/* The vector that a table holds for a word, written as an embedding of another name. */
static void write_word(bench *b, const char *word, const char *path)
{
    sdiff_tokenizer *tokenizer = NULL;
    int32_t id = 0, count = 0;
    size_t size = 0;
    models_ok(b->model, sdiff_tokenizer_of_model(b->model, &tokenizer));
    assert_int_equal(sdiff_tokenizer_encode(tokenizer, word, strlen(word), 0, &id, 1, &count),
                     SDIFF_OK);
    assert_int_equal(count, 1);
    sdiff_tokenizer_free(tokenizer);
    sdiff_tensors *table = models_golden(b->context, SD1 "/text_encoder/model.safetensors");
    sdiff_tensors *file = models_tensors(b->context);
    float *rows = models_values(table, "text_model.embeddings.token_embedding.weight", &size);
    const int64_t width = 32;
    assert_int_equal(sdiff_tensors_set(file, "emb_params", SDIFF_DTYPE_F32, 1, &width,
                                       rows + id * width),
                     SDIFF_OK);
    assert_int_equal(sdiff_tensors_save(file, path), SDIFF_OK);
    free(rows);
    sdiff_tensors_free(table);
    sdiff_tensors_free(file);
}

static void generate(bench *b, const char *prompt, const char *negative, float latents[4 * 8 * 8])
{
    sdiff_pipeline *pipeline = NULL;
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    request.prompt = prompt;
    request.negative_prompt = negative;
    request.steps = 2;
    request.width = request.height = 64;
    models_ok(b->model, sdiff_pipeline_new(b->model, &pipeline));
    if (sdiff_pipeline_generate(pipeline, &request) != SDIFF_OK)
        fail_msg("%s", sdiff_pipeline_error(pipeline));
    assert_int_equal(sdiff_pipeline_result(pipeline, 0, latents, NULL), SDIFF_OK);
    sdiff_pipeline_free(pipeline);
}

/* An embedding with the vector of "castle" is the word, in the prompt and in the negative. */
static void test_prompts_use_embeddings_by_name(void **state)
{
    enum { BYTES = 4 * 8 * 8 * sizeof(float) };
    float words[4 * 8 * 8], plain[4 * 8 * 8], named[4 * 8 * 8];
    char path[] = "/tmp/sdi-word-XXXXXX";
    (void)state;
    const int file = mkstemp(path);
    assert_true(file >= 0 && close(file) == 0);
    bench b = open_bench(LORA "golden.safetensors");
    generate(&b, "a (castle:1.3) on a hill", "red castle", words);
    generate(&b, "a (my-word:1.3) on a hill", "red my-word", plain);
    assert_memory_not_equal(words, plain, BYTES);
    write_word(&b, "castle", path);
    models_ok(b.model, sdiff_model_add_embedding(b.model, path, "my-word"));
    generate(&b, "a (my-word:1.3) on a hill", "red my-word", named);
    assert_memory_equal(words, named, BYTES);
    models_ok(b.model, sdiff_model_clear_embeddings(b.model));
    generate(&b, "a (my-word:1.3) on a hill", "red my-word", named);
    assert_memory_equal(plain, named, BYTES);
    unlink(path);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lora_of_every_form_matches_diffusers),
        cmocka_unit_test(test_lora_scales_add_up),
        cmocka_unit_test(test_lora_removed_is_never_applied),
        cmocka_unit_test(test_inversions_match_diffusers),
        cmocka_unit_test(test_embeddings_leave_other_ids_as_they_were),
        cmocka_unit_test(test_prompts_use_embeddings_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
