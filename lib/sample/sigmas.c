/* SPDX-License-Identifier: MIT
 *
 * Noise levels of the training timesteps and the schedules written in them.
 * Sources: Karras et al. 2022, eq. 5 (karras); k-diffusion's sampling.py and external.py (default,
 * exponential, polyexponential); ComfyUI's samplers (sgm_uniform, simple, beta after Lee et al.
 * 2024); the DPM-Solver authors' code (time_uniform); Sabour et al. 2024, "Align Your Steps" (ays).
 */
#include "sample/sigmas.h"

#include "base/memory.h"

#include <math.h>

sdiff_status sdi_sigma_table_new(const sdi_env *env, const sdi_schedule_config *config,
                                 sdi_sigma_table *table)
{
    const int32_t n = SDI_MIN(SDI_MAX(config->train_timesteps, 1), SDI_MAX_TRAIN_TIMESTEPS);
    *table = (sdi_sigma_table){.count = n};
    table->alphas_cumprod = sdi_alloc(env, 2 * (uint64_t)n, sizeof(double));
    if (!table->alphas_cumprod)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = sdi_schedule_alphas(env, config, table->alphas_cumprod);
    if (status != SDIFF_OK) {
        sdi_sigma_table_free(env, table);
        return status;
    }
    table->sigmas = table->alphas_cumprod + n;
    for (int32_t t = 0; t < n; t++) {
        // without signal the level has no number: 2^-24 stands for it, as in diffusers
        const double a = table->alphas_cumprod[t] > 0 ? table->alphas_cumprod[t] : 0x1p-24;
        table->sigmas[t] = sqrt((1 - a) / a);
    }
    return SDIFF_OK;
}

void sdi_sigma_table_free(const sdi_env *env, sdi_sigma_table *table)
{
    sdi_free(env, table->alphas_cumprod);
    *table = (sdi_sigma_table){0};
}

double sdi_sigma_at(const sdi_sigma_table *table, double t)
{
    t = SDI_MIN(SDI_MAX(t, 0), table->count - 1);
    const int32_t low = (int32_t)t;
    const int32_t high = SDI_MIN(low + 1, table->count - 1);
    return table->sigmas[low] + (t - low) * (table->sigmas[high] - table->sigmas[low]);
}

double sdi_sigma_at_log(const sdi_sigma_table *table, double t)
{
    t = SDI_MIN(SDI_MAX(t, 0), table->count - 1);
    const int32_t low = (int32_t)t;
    const int32_t high = SDI_MIN(low + 1, table->count - 1);
    if (t == low)
        return table->sigmas[low];
    return exp((1 - (t - low)) * log(table->sigmas[low]) + (t - low) * log(table->sigmas[high]));
}

double sdi_sigma_to_timestep(const sdi_sigma_table *table, double sigma)
{
    const double *sigmas = table->sigmas;
    const int32_t last = table->count - 1;
    if (sigma <= sigmas[0])
        return 0;
    if (sigma >= sigmas[last])
        return last;
    int32_t low = 0, high = last; // sigmas[low] <= sigma < sigmas[high]
    while (high - low > 1) {
        const int32_t middle = (low + high) / 2;
        if (sigmas[middle] <= sigma)
            low = middle;
        else
            high = middle;
    }
    return low + (log(sigma) - log(sigmas[low])) / (log(sigmas[high]) - log(sigmas[low]));
}

/* i of n points evenly from 0 to 1, both included; a single point is 0. */
static double ramp(int32_t i, int32_t n)
{
    return n > 1 ? (double)i / (n - 1) : 0;
}

static void fill_karras(const sdi_sigma_range *range, int32_t n, double *sigmas)
{
    const double rho = range->rho > 0 ? range->rho : 7;
    const double max = pow(range->max, 1 / rho), min = pow(range->min, 1 / rho);
    for (int32_t i = 0; i < n; i++)
        sigmas[i] = pow(max + ramp(i, n) * (min - max), rho);
}

/* With rho 1 the exponential schedule. */
static void fill_polyexponential(const sdi_sigma_range *range, double rho, int32_t n,
                                 double *sigmas)
{
    const double max = log(range->max), min = log(range->min);
    for (int32_t i = 0; i < n; i++)
        sigmas[i] = exp(min + pow(1 - ramp(i, n), rho) * (max - min));
}

/* i of `points` timesteps evenly from the last to the first; a single point is the last. Divided
 * last, so that whole timesteps come out whole. */
static double even_timestep(const sdi_sigma_table *table, int32_t i, int32_t points)
{
    const double last = table->count - 1;
    return points > 1 ? last * (points - 1 - i) / (points - 1) : last;
}

/* n of `points` timesteps evenly from the last to the first. */
static void fill_uniform(const sdi_sigma_table *table, int32_t n, int32_t points, double *sigmas)
{
    for (int32_t i = 0; i < n; i++)
        sigmas[i] = sdi_sigma_at_log(table, even_timestep(table, i, points));
}

static void fill_simple(const sdi_sigma_table *table, int32_t n, double *sigmas)
{
    const double stride = (double)table->count / n;
    for (int32_t i = 0; i < n; i++)
        sigmas[i] = table->sigmas[table->count - 1 - (int32_t)(i * stride)];
}

static void fill_beta(const sdi_sigma_table *table, int32_t n, double *sigmas)
{
    for (int32_t i = 0; i < n; i++) {
        const double p = sdi_beta_quantile(0.6, 0.6, 1 - (double)i / n);
        sigmas[i] = table->sigmas[(int32_t)rint(p * (table->count - 1))];
    }
}

/* The eleven published levels of Stable Diffusion 1, interpolated in log sigma. */
static void fill_ays(int32_t n, double *sigmas)
{
    static const double levels[] = {14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520,
                                    1.8841921177,  1.3943805092, 0.9642583904, 0.6523686016,
                                    0.3977456272,  0.1515232662, 0.0291671582};
    const int32_t last = (int32_t)SDI_COUNT(levels) - 1;
    for (int32_t i = 0; i < n; i++) {
        const double at = (double)i / n * last;
        const int32_t low = SDI_MIN((int32_t)at, last - 1);
        const double w = at - low;
        sigmas[i] = exp((1 - w) * log(levels[low]) + w * log(levels[low + 1]));
    }
}

void sdi_sigmas_fill(const sdi_sigma_table *table, sdi_schedule_kind kind,
                     const sdi_sigma_range *range, int32_t n, double *sigmas)
{
    sigmas[n] = 0;
    switch (kind) {
    case SDI_SCHEDULE_KARRAS: fill_karras(range, n, sigmas); break;
    case SDI_SCHEDULE_EXPONENTIAL: fill_polyexponential(range, 1, n, sigmas); break;
    case SDI_SCHEDULE_POLYEXPONENTIAL:
        fill_polyexponential(range, range->rho > 0 ? range->rho : 1, n, sigmas);
        break;
    case SDI_SCHEDULE_SGM_UNIFORM: fill_uniform(table, n, n + 1, sigmas); break;
    case SDI_SCHEDULE_SIMPLE: fill_simple(table, n, sigmas); break;
    case SDI_SCHEDULE_BETA: fill_beta(table, n, sigmas); break;
    case SDI_SCHEDULE_AYS: fill_ays(n, sigmas); break;
    case SDI_SCHEDULE_TIME_UNIFORM: fill_uniform(table, n + 1, n + 1, sigmas); break;
    default: fill_uniform(table, n, n, sigmas); break;
    }
}
