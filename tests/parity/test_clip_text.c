/* SPDX-License-Identifier: MIT
 *
 * The text encoder against hidden states of the original, both activations.
 */
#include "net/clip_text.h"
#include "parity.h"

#include <stdlib.h>
#include <string.h>

static sdi_clip_config read_config(const char *file)
{
    sdi_clip_config config;
    sdi_clip_config_init(&config);
    json_t *json = parity_config(file);
    parity_config_ints(json, "vocab_size", &config.vocab_size, 1);
    parity_config_ints(json, "hidden_size", &config.hidden_size, 1);
    parity_config_ints(json, "intermediate_size", &config.intermediate_size, 1);
    parity_config_ints(json, "num_hidden_layers", &config.layers, 1);
    parity_config_ints(json, "num_attention_heads", &config.heads, 1);
    const char *act = json_string_value(json_object_get(json, "hidden_act"));
    config.act = act && strcmp(act, "gelu") == 0 ? SDI_ACT_GELU : SDI_ACT_QUICK_GELU;
    json_decref(json);
    return config;
}

static const double tolerance = 2e-5;

static void run_states(parity *p, sdi_weights *weights, const sdi_clip_args *args,
                       const int32_t *ids)
{
    parity_run r;
    char last[32];
    snprintf(last, sizeof last, "hidden_states.%d", (int)args->config->layers);
    parity_plan(p, &r, weights, sdi_clip_text_net, args);
    parity_set(p, &r, "input_ids", ids);
    parity_go(p, &r);
    parity_compare(p, &r, "hidden_states.0", "hidden_states.0", tolerance, 0);
    parity_compare(p, &r, "hidden_states.1", "hidden_states.1", tolerance, 0);
    parity_compare(p, &r, last, last, tolerance, 0);
    parity_compare(p, &r, "last_hidden_state", "last_hidden_state", tolerance, 0);
    parity_compare(p, &r, "context",
                   args->clip_skip == 2 ? "clip_skip_a1111_2" : "last_hidden_state", tolerance, 0);
    parity_end(p, &r);
}

/* As a pipeline plans it: no intermediate values, no layers that nothing reads. */
static void run_context(parity *p, sdi_weights *weights, const sdi_clip_args *args,
                        const int32_t *ids, const char *golden)
{
    parity_run r;
    parity_plan(p, &r, weights, sdi_clip_text_net, args);
    parity_set(p, &r, "input_ids", ids);
    parity_go(p, &r);
    parity_compare(p, &r, "context", golden, tolerance, 0);
    parity_end(p, &r);
}

/* Token embeddings from outside, as textual inversion gives them. */
static void run_from_embeddings(parity *p, sdi_weights *weights, const sdi_clip_args *args,
                                const int32_t *ids)
{
    const int32_t param = sdi_weights_find(weights, "text_model.embeddings.token_embedding.weight");
    const int64_t d = args->config->hidden_size, rows = args->b * args->t;
    float *embeddings = malloc((size_t)(rows * d) * sizeof *embeddings);
    parity_run r;
    assert_true(param >= 0);
    for (int64_t i = 0; i < rows; i++)
        sdi_weights_row(weights, param, ids[i], embeddings + i * d);
    parity_plan(p, &r, weights, sdi_clip_text_net, args);
    assert_false(sdi_plan_has_input(r.plan, "input_ids"));
    parity_set(p, &r, "embeddings", embeddings);
    parity_go(p, &r);
    parity_compare(p, &r, "context", "last_hidden_state", tolerance, 0);
    parity_end(p, &r);
    free(embeddings);
}

static void check_model(const char *golden, const char *config_file, const char *weights_file)
{
    parity p;
    sdi_weights weights;
    int64_t shape[4];
    parity_open(&p, golden);
    sdi_clip_config config = read_config(config_file);
    int32_t *ids = parity_golden_ids(&p, "input_ids", shape);
    sdi_clip_args args = {.config = &config, .b = shape[0], .t = shape[1]};
    parity_load(&p, &weights, weights_file, sdi_clip_text_net, &args);

    run_context(&p, &weights, &args, ids, "last_hidden_state");
    args.clip_skip = 1;
    run_context(&p, &weights, &args, ids, "last_hidden_state");
    args.clip_skip = 2;
    run_context(&p, &weights, &args, ids, "clip_skip_a1111_2");
    args.clip_skip = 0;
    config.penultimate = 1;
    run_context(&p, &weights, &args, ids, "clip_skip_a1111_2");
    config.penultimate = 0;
    args.from_embeddings = 1;
    run_from_embeddings(&p, &weights, &args, ids);
    args.from_embeddings = 0;
    args.all_states = 1;
    run_states(&p, &weights, &args, ids);
    args.clip_skip = 2;
    run_states(&p, &weights, &args, ids);

    free(ids);
    sdi_weights_free(&weights);
    parity_close(&p);
}

static void test_text_encoder_of_sd1_agrees(void **state)
{
    (void)state;
    check_model("fixtures/tiny-sd1/golden/text_encoder.safetensors",
                "fixtures/tiny-sd1/text_encoder/config.json",
                "fixtures/tiny-sd1/text_encoder/model.safetensors");
}

static void test_text_encoder_of_sd2_agrees(void **state)
{
    (void)state;
    check_model("fixtures/tiny-sd2/golden/text_encoder.safetensors",
                "fixtures/tiny-sd2/text_encoder/config.json",
                "fixtures/tiny-sd2/text_encoder/model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_encoder_of_sd1_agrees),
        cmocka_unit_test(test_text_encoder_of_sd2_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
