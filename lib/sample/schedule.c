/* SPDX-License-Identifier: MIT
 *
 * The forward process: betas and the cumulative products of alpha = 1 - beta, in double precision
 * (Ho et al. 2020; cosine schedule: Nichol and Dhariwal 2021; zero terminal SNR: Lin et al. 2023).
 */
#include "sample/schedule.h"

#include <math.h>

void sdi_schedule_config_init(sdi_schedule_config *config)
{
    *config = (sdi_schedule_config){
        .train_timesteps = 1000,
        .beta_start = 0.00085,
        .beta_end = 0.012,
        .beta_schedule = SDI_BETA_SCALED_LINEAR,
        .prediction = SDI_PREDICT_EPSILON,
        .spacing = SDI_SPACING_LEADING,
        .steps_offset = 1,
        .clip_sample_range = 1.0,
    };
}

static sdiff_status check_config(const sdi_env *env, const sdi_schedule_config *config)
{
    if (config->train_timesteps < 1 || config->train_timesteps > SDI_MAX_TRAIN_TIMESTEPS)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d training timesteps: 1 to %d are possible", config->train_timesteps,
                        SDI_MAX_TRAIN_TIMESTEPS);
    if ((uint32_t)config->beta_schedule > SDI_BETA_COSINE ||
        (uint32_t)config->prediction > SDI_PREDICT_SAMPLE ||
        (uint32_t)config->spacing > SDI_SPACING_TRAILING)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "beta schedule %d, prediction %d or timestep spacing %d is not known",
                        (int)config->beta_schedule, (int)config->prediction, (int)config->spacing);
    if (config->steps_offset < 0 || config->steps_offset >= SDI_MAX_TRAIN_TIMESTEPS)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a steps_offset of %d: it must be 0 to %d", config->steps_offset,
                        SDI_MAX_TRAIN_TIMESTEPS - 1);
    if (config->beta_schedule != SDI_BETA_COSINE &&
        !(config->beta_start > 0 && config->beta_start < 1 && config->beta_end > 0 &&
          config->beta_end < 1))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "betas from %g to %g: both must lie between 0 and 1", config->beta_start,
                        config->beta_end);
    if (config->clip_sample && !(config->clip_sample_range > 0))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a clip_sample_range of %g: it must be above 0", config->clip_sample_range);
    return SDIFF_OK;
}

/* The share of signal power that the cosine schedule leaves at time t of 0..1. */
static double cosine_signal(double t)
{
    const double half_pi = 1.57079632679489661923;
    const double c = cos((t + 0.008) / 1.008 * half_pi);
    return c * c;
}

static double beta_at(const sdi_schedule_config *config, int32_t t)
{
    const int32_t n = config->train_timesteps;
    const double w = n > 1 ? (double)t / (n - 1) : 0;
    switch (config->beta_schedule) {
    case SDI_BETA_LINEAR: return config->beta_start + w * (config->beta_end - config->beta_start);
    case SDI_BETA_COSINE: {
        const double beta = 1 - cosine_signal((double)(t + 1) / n) / cosine_signal((double)t / n);
        return SDI_MIN(beta, 0.999);
    }
    default: {
        const double first = sqrt(config->beta_start), last = sqrt(config->beta_end);
        const double root = first + w * (last - first);
        return root * root;
    }
    }
}

/* Shifts and scales sqrt(alphas_cumprod) so that the last is 0 and the first stays. */
static void remove_terminal_signal(double *alphas_cumprod, int32_t n)
{
    const double first = sqrt(alphas_cumprod[0]), last = sqrt(alphas_cumprod[n - 1]);
    for (int32_t t = 0; t < n; t++) {
        const double root = (sqrt(alphas_cumprod[t]) - last) * (first / (first - last));
        alphas_cumprod[t] = root * root;
    }
    alphas_cumprod[n - 1] = 0;
}

sdiff_status sdi_schedule_alphas(const sdi_env *env, const sdi_schedule_config *config,
                                 double *alphas_cumprod)
{
    SDI_TRY(check_config(env, config));
    const double least = 1e-20; // a noise level of 1e10: beyond it nothing can be computed
    double product = 1;
    for (int32_t t = 0; t < config->train_timesteps; t++) {
        const double before = product;
        product *= 1 - beta_at(config, t);
        if (!(product >= least && product < before))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the betas from %g to %g leave no signal, or add no noise, at timestep "
                            "%d of %d",
                            config->beta_start, config->beta_end, t, config->train_timesteps);
        alphas_cumprod[t] = product;
    }
    if (config->zero_terminal_snr && config->train_timesteps < 2)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "zero terminal SNR needs at least 2 training timesteps");
    if (config->zero_terminal_snr)
        remove_terminal_signal(alphas_cumprod, config->train_timesteps);
    return SDIFF_OK;
}
