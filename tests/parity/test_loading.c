/* SPDX-License-Identifier: MIT
 *
 * Whole files through sdi_model_open against the goldens of the original code, so that a wrong
 * name, slice, head count or configuration shows as wrong numbers: each single file of every
 * container, by path, memory and reader. Tolerance: relative L2 of 5e-5 for one forward pass.
 */
#include "parity.h"

#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "fixtures-ldm/"

typedef struct load_case {
    const char *file, *config; // config NULL: the one beside the file
    const char *golden, *text_golden;
    const char *unet;        // prefix of the U-Net's golden tensors, NULL: none
    const char *text_output; // golden of the context, NULL: no text
    int32_t vae, ema;
    sdi_family family;
    sdi_task task;
    sdi_prediction prediction;
} load_case;

#define LAST "text.last_hidden_state"
#define MICRO FOLDER "sd1-micro.config.json"

static const load_case cases[] = {
    {"sd1-micro.fp32.safetensors", NULL, "sd1-micro.fp32", NULL, "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-micro.bf16.safetensors", NULL, "sd1-micro.bf16", NULL, "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-micro.ckpt", NULL, "sd1-micro.fp16", "sd1-micro.fp32", "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-micro-ema.fp16.ckpt", MICRO, "sd1-micro.fp16", NULL, "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-micro-ema.fp16.ckpt", MICRO, "sd1-micro-ema.fp16", NULL, "unet_ema", NULL, 0, 1,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-micro-legacy.fp16.ckpt", MICRO, "sd1-micro.fp16", NULL, "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-tiny.fp16.safetensors", NULL, "sd1-tiny.fp16", NULL, "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-full-structure.fp16.safetensors", NULL, "sd1-full-structure.fp16", NULL, "unet", LAST, 1,
     0, SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-eps-probe.fp16.safetensors", NULL, "sd1-eps-probe.fp16", NULL, "unet", LAST, 1, 0,
     SDI_FAMILY_SD1, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"sd1-inpaint.fp16.safetensors", NULL, "sd1-inpaint.fp16", NULL, "unet", NULL, 0, 0,
     SDI_FAMILY_SD1, SDI_TASK_INPAINT, SDI_PREDICT_EPSILON},
    {"sd2-v.fp16.safetensors", NULL, "sd2-v.fp16", NULL, "unet", "text.penultimate_ln", 1, 0,
     SDI_FAMILY_SD2, SDI_TASK_TEXT, SDI_PREDICT_V},
    {"sd2-depth.fp16.safetensors", NULL, "sd2-depth.fp16", NULL, "unet", "text.penultimate_ln", 0,
     0, SDI_FAMILY_SD2, SDI_TASK_DEPTH, SDI_PREDICT_EPSILON},
    {"vae-tiny.fp16.safetensors", NULL, "vae-tiny.fp16", NULL, NULL, NULL, 1, 0, SDI_FAMILY_VAE,
     SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"vae-tiny-prefixed.fp16.safetensors", NULL, "vae-tiny.fp16", NULL, NULL, NULL, 1, 0,
     SDI_FAMILY_VAE, SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"vae-tiny.vae.pt", NULL, "vae-tiny.fp16", NULL, NULL, NULL, 1, 0, SDI_FAMILY_VAE,
     SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"vae-tiny-prefixed.vae.pt", NULL, "vae-tiny.fp16", NULL, NULL, NULL, 1, 0, SDI_FAMILY_VAE,
     SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
    {"vae-tiny-tricky.vae.pt", NULL, "vae-tiny.fp16", NULL, NULL, NULL, 1, 0, SDI_FAMILY_VAE,
     SDI_TASK_TEXT, SDI_PREDICT_EPSILON},
};

/* ---- comparing ------------------------------------------------------------------------------- */

static void compare(parity *p, parity_run *r, const char *output, const char *golden)
{
    int64_t shape[4], golden_shape[4];
    float *got = parity_output(p, r, output, shape);
    float *want = parity_golden(p, golden, golden_shape);
    double difference = 0, norm = 0;
    const int64_t count = shape[0] * shape[1] * shape[2] * shape[3];
    assert_memory_equal(shape, golden_shape, sizeof shape);
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    const double error = sqrt(difference / norm) / 5e-5;
    if (!(error <= 1))
        fail_msg("%s: '%s' is off by %g of its tolerance", p->name, golden, error);
    if (error > p->worst) {
        p->worst = error;
        snprintf(p->worst_name, sizeof p->worst_name, "%s", golden);
    }
    free(got);
    free(want);
}

static void set_golden(parity *p, parity_run *r, const char *input, const char *golden)
{
    float *values = parity_golden(p, golden, NULL);
    parity_set(p, r, input, values);
    free(values);
}

static void run_unet(parity *p, const sdi_model *model, const char *prefix)
{
    char x[32], t[32], context[32], out[32];
    int64_t shape[4], context_shape[4];
    parity_run r;
    snprintf(x, sizeof x, "%s.x", prefix);
    snprintf(t, sizeof t, "%s.t", prefix);
    snprintf(context, sizeof context, "%s.context", prefix);
    snprintf(out, sizeof out, "%s.out", prefix);
    free(parity_golden(p, x, shape));
    free(parity_golden(p, context, context_shape));
    const sdi_unet_args args = {.config = &sdi_model_get_config(model)->unet, .b = shape[0],
                                .h = shape[2], .w = shape[3],
                                .context_tokens = context_shape[1]};
    parity_plan(p, &r, sdi_model_weights(model, SDI_PART_UNET), sdi_unet_net, &args);
    set_golden(p, &r, "sample", x);
    set_golden(p, &r, "timestep", t);
    set_golden(p, &r, "context", context);
    parity_go(p, &r);
    compare(p, &r, "out", out);
    parity_end(p, &r);
}

static void run_text(parity *p, const sdi_model *model, const char *output)
{
    int64_t shape[4];
    parity_run r;
    int32_t *ids = parity_golden_ids(p, "text.input_ids", shape);
    const sdi_clip_args args = {.config = &sdi_model_get_config(model)->clip, .b = shape[0],
                                .t = shape[1]};
    parity_plan(p, &r, sdi_model_weights(model, SDI_PART_TEXT), sdi_clip_text_net, &args);
    parity_set(p, &r, "input_ids", ids);
    parity_go(p, &r);
    compare(p, &r, "context", output);
    parity_end(p, &r);
    free(ids);
}

static void run_encoder(parity *p, const sdi_model *model)
{
    int64_t shape[4];
    parity_run r;
    free(parity_golden(p, "vae.image", shape));
    const sdi_vae_args args = {.config = &sdi_model_get_config(model)->vae, .b = shape[0],
                               .h = shape[2], .w = shape[3]};
    parity_plan(p, &r, sdi_model_weights(model, SDI_PART_VAE_ENCODER), sdi_vae_encoder_net, &args);
    set_golden(p, &r, "image", "vae.image");
    parity_go(p, &r);
    compare(p, &r, "moments", "vae.moments");
    parity_end(p, &r);
}

static void run_decoder(parity *p, const sdi_model *model)
{
    const sdi_vae_config *config = &sdi_model_get_config(model)->vae;
    int64_t shape[4];
    parity_run r;
    float *z = parity_golden(p, "vae.z_scaled", shape);
    for (int64_t i = 0; i < shape[0] * shape[1] * shape[2] * shape[3]; i++)
        z[i] /= (float)config->scaling_factor;
    const sdi_vae_args args = {.config = config, .b = shape[0], .h = shape[2], .w = shape[3]};
    parity_plan(p, &r, sdi_model_weights(model, SDI_PART_VAE_DECODER), sdi_vae_decoder_net, &args);
    parity_set(p, &r, "z", z);
    parity_go(p, &r);
    compare(p, &r, "image", "vae.decoded");
    parity_end(p, &r);
    free(z);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void open_golden(parity *p, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s.golden.safetensors", name);
    parity_open(p, path);
}

static sdi_model *open_case(parity *p, const load_case *c)
{
    char path[128];
    sdi_model *model = NULL;
    snprintf(path, sizeof path, FOLDER "%s", c->file);
    const sdi_model_source source = {.path = test_shared(path)};
    const sdi_model_options options = {.kernels[SDI_PART_UNET] = &p->kernels,
                                       .pool = p->pool,
                                       .config = c->config ? test_shared(c->config) : NULL,
                                       .ema = c->ema};
    test_ok(&p->env, sdi_model_open(&p->env, &source, &options, &model));
    return model;
}

static void check_config(const load_case *c, const sdi_model *model)
{
    const sdi_model_config *config = sdi_model_get_config(model);
    assert_int_equal(config->family, c->family);
    assert_int_equal(config->task, c->task);
    assert_int_equal(config->schedule.prediction, c->prediction);
    assert_int_equal(sdi_model_surplus_count(model), 0);
    if (config->has[SDI_PART_UNET])
        assert_int_equal(config->heads_from, SDI_FROM_CONFIG);
    // a whole vocabulary lies beside the files, and fits only one of them
    const int fits = config->has[SDI_PART_TEXT] && config->clip.vocab_size == 49408;
    assert_int_equal(sdi_model_tokenizer(model) != NULL, fits);
    if (config->has[SDI_PART_TEXT] && !fits)
        assert_non_null(strstr(sdi_model_tokenizer_reason(model), "no CLIP vocabulary"));
}

static void check_case(const load_case *c)
{
    parity p;
    open_golden(&p, c->golden);
    print_message("%s: ", c->file);
    sdi_model *model = open_case(&p, c);
    check_config(c, model);
    if (c->unet)
        run_unet(&p, model, c->unet);
    if (c->vae) {
        run_encoder(&p, model);
        run_decoder(&p, model);
    }
    if (c->text_output && !c->text_golden)
        run_text(&p, model, c->text_output);
    sdi_model_unref(model);
    parity_close(&p);
    if (!c->text_golden)
        return;
    open_golden(&p, c->text_golden);
    model = open_case(&p, c);
    run_text(&p, model, c->text_output);
    sdi_model_unref(model);
    parity_close(&p);
}

static void test_single_files_compute_the_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < SDI_COUNT(cases); i++)
        check_case(&cases[i]);
}

/* Packed and unpacked again, every parameter is what the file holds, whatever the layout. */
static void check_values(parity *p, const sdi_model *model)
{
    for (int part = 0; part < SDI_PART_COUNT; part++) {
        const sdi_weights *weights = sdi_model_weights(model, (sdi_part)part);
        for (int32_t i = 0; weights && i < weights->count; i++) {
            const size_t bytes = (size_t)weights->params[i].count * sizeof(float);
            float *packed = malloc(bytes), *file = malloc(bytes);
            assert_non_null(packed);
            assert_non_null(file);
            sdi_weights_read(weights, i, packed);
            test_ok(&p->env, sdi_model_source_values(&p->env, model, (sdi_part)part, i, file));
            if (memcmp(packed, file, bytes) != 0)
                fail_msg("'%s' changed on its way", weights->params[i].name);
            free(packed);
            free(file);
        }
    }
}

static void test_packed_values_are_those_of_the_file(void **state)
{
    (void)state;
    static const int chosen[] = {1, 6, 10, 16};
    for (size_t i = 0; i < SDI_COUNT(chosen); i++) {
        parity p;
        open_golden(&p, cases[chosen[i]].golden);
        sdi_model *model = open_case(&p, &cases[chosen[i]]);
        check_values(&p, model);
        sdi_model_unref(model);
        p.worst = 1e-9;
        parity_close(&p);
    }
}

/* ---- memory and readers ---------------------------------------------------------------------- */

typedef struct bytes {
    unsigned char *data;
    size_t size;
} bytes;

static int read_bytes(void *user, uint64_t offset, void *buffer, uint64_t size)
{
    const bytes *b = user;
    if (offset > b->size || size > b->size - offset)
        return 1;
    memcpy(buffer, b->data + offset, (size_t)size);
    return 0;
}

static void test_memory_and_readers_compute_the_goldens(void **state)
{
    (void)state;
    static const char *const files[] = {"sd2-v.fp16.safetensors", "sd1-micro.ckpt"};
    static const char *const configs[] = {"sd2-v.fp16.yaml", "sd1-micro.config.json"};
    static const char *const goldens[] = {"sd2-v.fp16", "sd1-micro.fp16"};
    for (int i = 0; i < 4; i++) {
        parity p;
        char path[128];
        bytes b, config;
        sdi_model *model = NULL;
        open_golden(&p, goldens[i / 2]);
        snprintf(path, sizeof path, FOLDER "%s", files[i / 2]);
        b.data = test_read_file(test_shared(path), &b.size);
        snprintf(path, sizeof path, FOLDER "%s", configs[i / 2]);
        config.data = test_read_file(test_shared(path), &config.size);
        const sdi_model_source memory = {.bytes = b.data, .size = b.size};
        const sdi_model_source reader = {.read = read_bytes, .user = &b, .size = b.size};
        const sdi_model_options options = {.kernels[SDI_PART_UNET] = &p.kernels,
                                           .pool = p.pool,
                                           .config_text = (char *)config.data,
                                           .config_size = config.size};
        test_ok(&p.env, sdi_model_open(&p.env, i % 2 ? &reader : &memory, &options, &model));
        assert_string_equal(sdi_model_name(model), i % 2 ? "reader" : "memory");
        run_unet(&p, model, "unet");
        run_decoder(&p, model);
        sdi_model_unref(model);
        parity_close(&p);
        free(b.data);
        free(config.data);
    }
}

/* A stand-alone autoencoder in the place of the model's own. */
static void test_other_autoencoder_computes_its_goldens(void **state)
{
    (void)state;
    static const char *const vaes[] = {"vae-tiny.fp16.safetensors", "vae-tiny-tricky.vae.pt"};
    for (size_t i = 0; i < SDI_COUNT(vaes); i++) {
        parity p;
        char path[128];
        sdi_model *model = NULL;
        open_golden(&p, "vae-tiny.fp16");
        snprintf(path, sizeof path, FOLDER "%s", vaes[i]);
        const sdi_model_source source = {.path = test_shared(FOLDER "sd1-tiny.fp16.safetensors")};
        const sdi_model_options options = {.kernels[SDI_PART_UNET] = &p.kernels,
                                           .pool = p.pool,
                                           .vae = test_shared(path)};
        test_ok(&p.env, sdi_model_open(&p.env, &source, &options, &model));
        assert_int_equal(sdi_model_surplus_count(model), 0);
        run_encoder(&p, model);
        run_decoder(&p, model);
        sdi_model_unref(model);
        parity_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_files_compute_the_goldens),
        cmocka_unit_test(test_packed_values_are_those_of_the_file),
        cmocka_unit_test(test_memory_and_readers_compute_the_goldens),
        cmocka_unit_test(test_other_autoencoder_computes_its_goldens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
