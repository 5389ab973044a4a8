/* SPDX-License-Identifier: MIT
 *
 * sdiff_sampler: samplers driven by the host.
 */
#include "api/handle.h"

#include "sample/random.h"

#include <string.h>

struct sdiff_sampler {
    sdiff_context *context;
    sdi_error error;
    sdi_env env;
    sdi_sampler *sampler;
    sdiff_noise_fn noise;
    void *noise_user;
    sdi_random random;
};

static const sdiff_sampler_params defaults = {.struct_size = sizeof defaults,
                                              .name = "euler",
                                              .schedule = "default",
                                              .eta = -1,
                                              .strength = 1,
                                              .beta_start = 0.00085,
                                              .beta_end = 0.012,
                                              .steps = 20,
                                              .train_timesteps = 1000,
                                              .prediction = SDIFF_PREDICTION_EPSILON,
                                              .spacing = SDIFF_SPACING_LEADING,
                                              .steps_offset = 1};

void sdiff_sampler_params_init(sdiff_sampler_params *params, size_t struct_size)
{
    sdi_params_init(params, struct_size, &defaults, sizeof defaults);
}

static sdiff_status draw(void *user, int64_t index, float *out, size_t count)
{
    sdiff_sampler *s = user;
    if (s->noise && s->noise(s->noise_user, index, out, count))
        return sdi_fail(&s->env, SDIFF_ERROR_CANCELLED, "cancelled by the noise callback");
    if (s->noise)
        return SDIFF_OK;
    sdi_random_normal(&s->random, out, count);
    return SDIFF_OK;
}

static sdiff_status read_params(const sdi_env *env, const sdiff_sampler_params *given,
                                sdiff_sampler_params *p)
{
    *p = defaults;
    SDI_TRY(sdi_params_read(env, "sampler params", p, sizeof *p, sizeof *p, given));
    if (!p->count)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "count is 0: how many latents are there?");
    if (p->prediction < SDIFF_PREDICTION_MODEL || p->prediction > SDIFF_PREDICTION_SAMPLE ||
        p->spacing < SDIFF_SPACING_MODEL || p->spacing > SDIFF_SPACING_TRAILING)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "prediction %d or spacing %d does not exist", p->prediction, p->spacing);
    return SDIFF_OK;
}

static sdi_sampler_params internal(const sdiff_sampler_params *p, sdiff_sampler *handle)
{
    sdi_sampler_params s;
    memset(&s, 0, sizeof s);
    s.name = p->name ? p->name : defaults.name;
    s.schedule = p->schedule ? p->schedule : defaults.schedule;
    sdi_schedule_config_init(&s.config);
    s.config.beta_start = p->beta_start;
    s.config.beta_end = p->beta_end;
    s.config.train_timesteps = p->train_timesteps;
    s.config.steps_offset = p->steps_offset;
    if (p->prediction != SDIFF_PREDICTION_MODEL)
        s.config.prediction = (sdi_prediction)(p->prediction - SDIFF_PREDICTION_EPSILON);
    if (p->spacing != SDIFF_SPACING_MODEL)
        s.config.spacing = (sdi_spacing)(p->spacing - SDIFF_SPACING_LEADING);
    s.steps = p->steps;
    s.strength = p->strength;
    s.eta = p->eta;
    s.sigmas = p->sigmas;
    s.sigma_count = p->sigma_count;
    s.count = p->count;
    s.noise = draw;
    s.noise_user = handle;
    return s;
}

sdiff_status sdiff_sampler_new(sdiff_context *context, const sdiff_sampler_params *params,
                               sdiff_sampler **out)
{
    SDI_OWN_FLOAT_MODE;
    if (out)
        *out = NULL;
    if (!context || !params || !out)
        return sdi_null_argument(context ? &context->error : NULL, "params or sampler");
    const sdi_env env = sdi_context_env(context);
    sdi_error_clear(&context->error);
    sdiff_sampler_params p;
    SDI_TRY(read_params(&env, params, &p));
    sdiff_sampler *handle = sdi_zalloc(&env, 1, sizeof *handle);
    if (!handle)
        return SDIFF_ERROR_NO_MEMORY;
    handle->context = sdi_context_ref(context);
    handle->env = sdi_handle_env(context, &handle->error);
    handle->noise = p.noise;
    handle->noise_user = p.noise_user;
    sdi_random_init(&handle->random, SDI_RNG_TORCH, (uint64_t)p.seed);
    const sdi_sampler_params s = internal(&p, handle);
    const sdiff_status status = sdi_sampler_new(&env, &s, &handle->sampler);
    if (status != SDIFF_OK) {
        sdiff_sampler_free(handle);
        return status;
    }
    *out = handle;
    return SDIFF_OK;
}

void sdiff_sampler_free(sdiff_sampler *sampler)
{
    if (!sampler)
        return;
    sdiff_context *context = sampler->context;
    sdi_sampler_free(&sampler->env, sampler->sampler);
    sdi_free(&sampler->env, sampler);
    sdiff_context_free(context);
}

int32_t sdiff_sampler_steps(const sdiff_sampler *sampler)
{
    return sampler ? sdi_sampler_steps(sampler->sampler) : 0;
}

int32_t sdiff_sampler_evaluations(const sdiff_sampler *sampler)
{
    return sampler ? sdi_sampler_evaluations(sampler->sampler) : 0;
}

double sdiff_sampler_init_sigma(const sdiff_sampler *sampler)
{
    return sampler ? sdi_sampler_init_sigma(sampler->sampler) : 0;
}

sdiff_status sdiff_sampler_add_noise(sdiff_sampler *sampler, int32_t step, const float *clean,
                                     const float *noise, float *out)
{
    SDI_OWN_FLOAT_MODE;
    if (!sampler || !clean || !noise || !out)
        return sdi_null_argument(sampler ? &sampler->error : NULL, "clean, noise or out");
    const int32_t steps = sdi_sampler_steps(sampler->sampler);
    if (step < 0 || step > steps)
        return sdi_fail(&sampler->env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "there is no step %d: 0 to %d are possible", step, steps);
    sdi_sampler_add_noise(sampler->sampler, step, clean, noise, out);
    return SDIFF_OK;
}

sdiff_status sdiff_sampler_begin(sdiff_sampler *sampler, const float *x)
{
    SDI_OWN_FLOAT_MODE;
    if (!sampler || !x)
        return sdi_null_argument(sampler ? &sampler->error : NULL, "x");
    return sdi_sampler_begin(&sampler->env, sampler->sampler, x);
}

int sdiff_sampler_request(sdiff_sampler *sampler, float *input, double *timestep, double *sigma)
{
    SDI_OWN_FLOAT_MODE;
    sdi_ask ask;
    if (!sampler || !input || !timestep || !sdi_sampler_request(sampler->sampler, input, &ask))
        return 0;
    *timestep = ask.timestep;
    if (sigma)
        *sigma = ask.sigma;
    return 1;
}

sdiff_status sdiff_sampler_supply(sdiff_sampler *sampler, const float *model_output)
{
    SDI_OWN_FLOAT_MODE;
    if (!sampler || !model_output)
        return sdi_null_argument(sampler ? &sampler->error : NULL, "model_output");
    return sdi_sampler_supply(&sampler->env, sampler->sampler, model_output);
}

int sdiff_sampler_stepped(const sdiff_sampler *sampler)
{
    return sampler ? sdi_sampler_stepped(sampler->sampler) : 0;
}

float *sdiff_sampler_latents(sdiff_sampler *sampler)
{
    return sampler ? sdi_sampler_latents(sampler->sampler) : NULL;
}

const float *sdiff_sampler_predicted_x0(const sdiff_sampler *sampler)
{
    return sampler ? sdi_sampler_predicted_x0(sampler->sampler) : NULL;
}

const char *sdiff_sampler_name(int32_t index)
{
    return sdi_sampler_name_at(index);
}

const char *sdiff_schedule_name(int32_t index)
{
    return sdi_sampler_schedule_at(index);
}

const char *sdiff_sampler_error(const sdiff_sampler *sampler)
{
    return sampler ? sampler->error.text : "";
}

sdiff_status sdiff_randn(int32_t rng, int64_t seed, float *out, size_t count)
{
    SDI_OWN_FLOAT_MODE;
    if ((count && !out) || rng < SDIFF_RNG_TORCH || rng > SDIFF_RNG_PHILOX)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    sdi_random random;
    sdi_random_init(&random, rng == SDIFF_RNG_PHILOX ? SDI_RNG_PHILOX : SDI_RNG_TORCH,
                    (uint64_t)seed);
    sdi_random_normal(&random, out, count);
    return SDIFF_OK;
}
