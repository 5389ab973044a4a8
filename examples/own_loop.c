/* SPDX-License-Identifier: MIT
 *
 * The reverse diffusion as a loop of one's own: the sampler says where to evaluate, the U-Net is
 * run as a component, guidance is two lines, and the autoencoder turns latents into pixels.
 *
 *     ./own_loop models/tinysd "a red apple" apple.png
 */
#include <stablediff/stablediff.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 77, STEPS = 20 };
static const float scale = 7.5f; // of guidance

static const char *last_error = "out of memory";

static int check(sdiff_status status, const char *sentence)
{
    if (status != SDIFF_OK)
        last_error = *sentence ? sentence : sdiff_status_string(status);
    return status == SDIFF_OK;
}

/* Ids of [negative, prompt], framed and padded. */
static int make_ids(sdiff_model *model, const char *prompt, int64_t *ids)
{
    sdiff_tokenizer *tokenizer = NULL;
    int32_t text[TOKENS - 2], count = 0;
    if (!check(sdiff_tokenizer_of_model(model, &tokenizer), sdiff_model_error(model)))
        return 0;
    for (int row = 0; row < 2; row++) {
        const char *sentence = row ? prompt : "";
        sdiff_tokenizer_encode(tokenizer, sentence, strlen(sentence), 0, text, TOKENS - 2, &count);
        count = count < TOKENS - 2 ? count : TOKENS - 2;
        for (int i = 0; i < TOKENS; i++)
            ids[row * TOKENS + i] = sdiff_tokenizer_pad(tokenizer);
        ids[row * TOKENS] = sdiff_tokenizer_bos(tokenizer);
        for (int32_t i = 0; i < count; i++)
            ids[row * TOKENS + 1 + i] = text[i];
        ids[row * TOKENS + 1 + count] = sdiff_tokenizer_eos(tokenizer);
    }
    sdiff_tokenizer_free(tokenizer);
    return 1;
}

/* Puts "context" [2, 77, d] into `in` as the U-Net is given it. */
static int encode_text(sdiff_model *model, const char *prompt, sdiff_tensors *in)
{
    int64_t ids[2 * TOKENS], shape[8] = {2, TOKENS};
    if (!make_ids(model, prompt, ids))
        return 0;
    sdiff_tensors_set(in, "input_ids", SDIFF_DTYPE_I64, 2, shape, ids);
    return check(sdiff_model_run(model, "text", in, NULL, in), sdiff_model_error(model));
}

/* The guided prediction for one x [c, h, w] at a time. */
static int predict(sdiff_model *model, sdiff_tensors *in, const int64_t shape[4], const float *x,
                   double timestep, float *both)
{
    const size_t count = (size_t)(shape[1] * shape[2] * shape[3]);
    const float time = (float)timestep;
    memcpy(both, x, count * sizeof *x);
    memcpy(both + count, x, count * sizeof *x);
    sdiff_tensors_set(in, "sample", SDIFF_DTYPE_F32, 4, shape, both);
    sdiff_tensors_set(in, "timestep", SDIFF_DTYPE_F32, 0, NULL, &time);
    if (!check(sdiff_model_run(model, "unet", in, NULL, in), sdiff_model_error(model)) ||
        !check(sdiff_tensors_get_f32(in, "out", both, 2 * count), sdiff_tensors_error(in)))
        return 0;
    for (size_t i = 0; i < count; i++)
        both[i] += scale * (both[count + i] - both[i]);
    return 1;
}

static int denoise(sdiff_model *model, sdiff_sampler *sampler, sdiff_tensors *in,
                   const int64_t shape[4], float *x, float *both)
{
    const size_t count = (size_t)(shape[1] * shape[2] * shape[3]);
    double timestep = 0, sigma = 0;
    sdiff_randn(SDIFF_RNG_TORCH, 42, x, count);
    for (size_t i = 0; i < count; i++)
        x[i] *= (float)sdiff_sampler_init_sigma(sampler);
    sdiff_sampler_begin(sampler, x);
    while (sdiff_sampler_request(sampler, x, &timestep, &sigma)) {
        printf("timestep %5.1f, sigma %7.4f\n", timestep, sigma);
        if (!predict(model, in, shape, x, timestep, both) ||
            !check(sdiff_sampler_supply(sampler, both), sdiff_sampler_error(sampler)))
            return 0;
    }
    memcpy(x, sdiff_sampler_latents(sampler), count * sizeof *x);
    return 1;
}

static int decode(sdiff_context *context, sdiff_model *model, const int64_t shape[4], float *x,
                  const char *path)
{
    const int32_t height = (int32_t)shape[2] * sdiff_model_latent_scale(model);
    const int32_t width = (int32_t)shape[3] * sdiff_model_latent_scale(model);
    const size_t pixels = (size_t)width * (size_t)height;
    float *planes = malloc(3 * pixels * sizeof *planes);
    sdiff_vae *vae = NULL;
    sdiff_image *image = NULL;
    int ok = planes && check(sdiff_vae_of_model(model, &vae), sdiff_model_error(model));
    for (int64_t i = 0; ok && i < shape[1] * shape[2] * shape[3]; i++)
        x[i] /= (float)sdiff_vae_scaling_factor(vae);
    ok = ok &&
         check(sdiff_vae_decode(vae, x, 1, (int32_t)shape[2], (int32_t)shape[3], planes),
               sdiff_vae_error(vae)) &&
         check(sdiff_image_new(context, width, height, 3, NULL, &image),
               sdiff_context_error(context));
    for (size_t i = 0; ok && i < 3 * pixels; i++) {
        const float byte = planes[i % 3 * pixels + i / 3] * 127.5f + 127.5f;
        sdiff_image_pixels(image)[i] = (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte + 0.5f);
    }
    ok = ok && check(sdiff_image_save_png(context, image, path, NULL),
                     sdiff_context_error(context));
    sdiff_image_free(image);
    sdiff_vae_free(vae);
    free(planes);
    return ok;
}

static int draw(sdiff_context *context, sdiff_model *model, const char *prompt, const char *path)
{
    const int64_t side = sdiff_model_default_size(model) / sdiff_model_latent_scale(model);
    const int64_t shape[4] = {2, sdiff_model_latent_channels(model), side, side};
    sdiff_sampler_params params;
    sdiff_sampler *sampler = NULL;
    sdiff_tensors *in = NULL;
    sdiff_sampler_params_init(&params, sizeof params);
    params.name = "euler";
    params.steps = STEPS;
    params.count = (size_t)(shape[1] * side * side);
    float *x = malloc(params.count * sizeof *x), *both = malloc(2 * params.count * sizeof *both);
    const int ok = x && both &&
                   check(sdiff_sampler_new(context, &params, &sampler),
                         sdiff_context_error(context)) &&
                   check(sdiff_tensors_new(context, &in), sdiff_context_error(context)) &&
                   encode_text(model, prompt, in) &&
                   denoise(model, sampler, in, shape, x, both) &&
                   decode(context, model, shape, x, path);
    sdiff_tensors_free(in);
    sdiff_sampler_free(sampler);
    free(x);
    free(both);
    return ok;
}

int main(int argc, char **argv)
{
    sdiff_context *context = NULL;
    sdiff_model *model = NULL;
    if (argc != 4 || sdiff_context_new(NULL, &context) != SDIFF_OK) {
        fprintf(stderr, "usage: %s MODEL SENTENCE PICTURE.png\n", argv[0]);
        return 2;
    }
    const int ok = check(sdiff_model_open(context, argv[1], NULL, &model),
                         sdiff_context_error(context)) &&
                   draw(context, model, argv[2], argv[3]);
    if (!ok)
        fprintf(stderr, "%s\n", last_error);
    sdiff_model_free(model);
    sdiff_context_free(context);
    return !ok;
}
