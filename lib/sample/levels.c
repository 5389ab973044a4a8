/* SPDX-License-Identifier: MIT
 *
 * Timesteps and noise levels of a run: the set_timesteps() of diffusers 0.26 (DDIM, LCM, Euler,
 * DPM-Solver) and the get_sigmas() of k-diffusion.
 */
#include "sample/levels.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

static const char *const schedule_names[SDI_SCHEDULE_KINDS] = {
    "default", "karras", "exponential", "polyexponential", "sgm_uniform",
    "simple",  "beta",   "ays",         "time_uniform"};

const char *sdi_sampler_schedule_at(int32_t index)
{
    return index >= 0 && index < SDI_SCHEDULE_KINDS ? schedule_names[index] : NULL;
}

sdi_schedule_kind sdi_schedule_find(const char *name)
{
    for (int32_t i = 0; name && i < SDI_SCHEDULE_KINDS; i++)
        if (strcmp(name, schedule_names[i]) == 0)
            return (sdi_schedule_kind)i;
    if (name && strcmp(name, "discrete") == 0)
        return SDI_SCHEDULE_DEFAULT;
    return name ? SDI_SCHEDULE_KINDS : SDI_SCHEDULE_DEFAULT;
}

static int is_integer_family(sdi_family family)
{
    return family == SDI_FAMILY_DDIM || family == SDI_FAMILY_LCM;
}

static int is_dpm_family(sdi_family family)
{
    return family == SDI_FAMILY_DPM || family == SDI_FAMILY_DPM_SINGLE;
}

/* n timesteps, highest first, chosen from `points` evenly spaced ones (DPM-Solver spaces one more
 * than it uses). Rounding is to even, as in numpy. */
static void space_timesteps(const sdi_schedule_config *config, sdi_spacing spacing, int32_t n,
                            int32_t points, int whole, double *timesteps)
{
    const int32_t train = config->train_timesteps;
    for (int32_t i = 0; i < n; i++) {
        const int32_t k = points - 1 - i; // counted from the lowest
        double t = 0;
        if (spacing == SDI_SPACING_LINSPACE) {
            t = points > 1 ? k * ((train - 1) / (double)(points - 1)) : 0;
            t = whole ? rint(t) : t;
        } else if (spacing == SDI_SPACING_LEADING) {
            t = (double)k * (train / points) + config->steps_offset;
        } else {
            t = rint(train - i * ((double)train / n)) - 1;
        }
        timesteps[i] = SDI_MIN(t, train - 1);
    }
}

/* Every k-th of the timesteps that a consistency model was distilled on, highest first. */
static sdiff_status space_lcm(const sdi_env *env, const sdi_schedule_config *config, int32_t n,
                              double *timesteps)
{
    enum { ORIGINAL_STEPS = 50 };
    const int32_t stride = config->train_timesteps / ORIGINAL_STEPS;
    if (n > ORIGINAL_STEPS || stride < 1)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d steps of %d training timesteps: this sampler takes up to %d steps and "
                        "needs as many training timesteps",
                        n, config->train_timesteps, ORIGINAL_STEPS);
    for (int32_t i = 0; i < n; i++) {
        const int32_t index = (int32_t)floor(i * ((double)ORIGINAL_STEPS / n));
        timesteps[i] = (double)(ORIGINAL_STEPS - index) * stride - 1;
    }
    return SDIFF_OK;
}

static sdiff_status check_custom(const sdi_env *env, const double *sigmas, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int last = i == count - 1;
        if (!(sigmas[i] >= 0) || sigmas[i] > 1e10 || (!last && sigmas[i] < 1e-10) ||
            (i > 0 && sigmas[i] >= sigmas[i - 1]))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "sigma %d of %d is %g: sigmas must fall from at most 1e10 to the last, "
                            "which alone may be 0",
                            i, count, sigmas[i]);
    }
    return SDIFF_OK;
}

static sdiff_status check_steps(const sdi_env *env, const sdi_sampler_params *params,
                                sdi_family family)
{
    const int32_t train = params->config.train_timesteps;
    int32_t most = SDI_MAX_STEPS;
    if (is_dpm_family(family))
        most = SDI_MIN(most, SDI_MAX(train - 1, 1));
    else if (family != SDI_FAMILY_K)
        most = SDI_MIN(most, train);
    if (params->steps < 1 || params->steps > most)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d steps: 1 to %d are possible with this sampler and %d training "
                        "timesteps",
                        params->steps, most, train);
    return SDIFF_OK;
}

/* Levels that do not fall (a coarse table asked for many) are left out: solvers divide by steps. */
static int32_t drop_repeated(double *sigmas, int32_t n)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (kept == 0 || sigmas[i] < sigmas[kept - 1])
            sigmas[kept++] = sigmas[i];
    sigmas[kept] = sigmas[n];
    return kept;
}

/* diffusers' DPM-Solvers tell the network whole timesteps: rounded for karras, cut off for
 * exponential. */
static double told_timestep(sdi_family family, sdi_schedule_kind kind, double t)
{
    if (!is_dpm_family(family) || kind == SDI_SCHEDULE_TIME_UNIFORM)
        return t;
    return kind == SDI_SCHEDULE_EXPONENTIAL ? floor(t) : rint(t);
}

/* Levels first, then the timesteps that belong to them. */
static void fill_from_sigmas(const sdi_sampler_params *params, const sdi_sigma_table *table,
                             sdi_family family, sdi_schedule_kind kind, sdi_levels *levels)
{
    const int32_t n = levels->steps;
    sdi_sigma_range range = {table->sigmas[0], table->sigmas[table->count - 1], params->rho};
    if (params->sigmas) {
        memcpy(levels->sigmas, params->sigmas, (size_t)(n + 1) * sizeof(double));
    } else {
        if (family == SDI_FAMILY_EULER) { // diffusers' schedulers span the spaced timesteps only
            range.max = sdi_sigma_at(table, levels->timesteps[0]);
            range.min = sdi_sigma_at(table, levels->timesteps[n - 1]);
        }
        sdi_sigmas_fill(table, kind, &range, n, levels->sigmas);
        levels->steps = drop_repeated(levels->sigmas, n);
    }
    for (int32_t i = 0; i < levels->steps; i++)
        levels->timesteps[i] =
            told_timestep(family, kind, sdi_sigma_to_timestep(table, levels->sigmas[i]));
}

/* The offset of leading spacing can push timesteps over the last one, where they coincide:
 * DPM-Solver divides by the steps between them. */
static int32_t drop_repeated_timesteps(double *timesteps, int32_t n)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (kept == 0 || timesteps[i] < timesteps[kept - 1])
            timesteps[kept++] = timesteps[i];
    return kept;
}

static void fill_from_timesteps(const sdi_sigma_table *table, sdi_family family, sdi_levels *levels)
{
    if (is_dpm_family(family))
        levels->steps = drop_repeated_timesteps(levels->timesteps, levels->steps);
    for (int32_t i = 0; i < levels->steps; i++)
        levels->sigmas[i] = sdi_sigma_at(table, levels->timesteps[i]);
    levels->sigmas[levels->steps] = 0;
}

/* A schedule that ends at the lowest training level may miss it by rounding: that is no step. */
static void set_sigma_min(const sdi_sigma_table *table, sdi_levels *levels)
{
    double *last = &levels->sigmas[levels->steps];
    *last = last[-1] > table->sigmas[0] * (1 + 1e-9) ? table->sigmas[0] : last[-1];
}

static sdiff_status fill(const sdi_env *env, const sdi_sampler_params *params,
                         const sdi_sigma_table *table, sdi_family family, sdi_final final,
                         sdi_levels *levels)
{
    const sdi_schedule_kind kind = sdi_schedule_find(params->schedule);
    const int from_sigmas =
        params->sigmas || kind != SDI_SCHEDULE_DEFAULT || family == SDI_FAMILY_K;
    const int32_t n = levels->steps;
    if (family == SDI_FAMILY_LCM)
        return space_lcm(env, &params->config, n, levels->timesteps);
    if (family != SDI_FAMILY_K)
        space_timesteps(
            &params->config,
            family == SDI_FAMILY_DPM_SINGLE ? SDI_SPACING_LINSPACE : params->config.spacing, n,
            is_dpm_family(family) ? n + 1 : n, family != SDI_FAMILY_EULER, levels->timesteps);
    if (family == SDI_FAMILY_DDIM)
        return SDIFF_OK;
    if (from_sigmas)
        fill_from_sigmas(params, table, family, kind, levels);
    else
        fill_from_timesteps(table, family, levels);
    if (final == SDI_FINAL_SIGMA_MIN && !params->sigmas)
        set_sigma_min(table, levels);
    return SDIFF_OK;
}

/* Start noise: one for states of constant variance; else the first level, to which diffusers'
 * leading spacing adds the unit variance of the picture. */
static double init_sigma(const sdi_sampler_params *params, sdi_family family,
                         const sdi_levels *levels)
{
    if (!levels->from_zero)
        return 1;
    const double max = levels->sigmas[0];
    if (family == SDI_FAMILY_EULER && params->config.spacing == SDI_SPACING_LEADING)
        return sqrt(max * max + 1);
    return max;
}

static sdiff_status check(const sdi_env *env, const sdi_sampler_params *params, sdi_family family)
{
    const sdi_schedule_kind kind = sdi_schedule_find(params->schedule);
    if (kind == SDI_SCHEDULE_KINDS)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "there is no schedule \"%s\"",
                        params->schedule);
    if (is_integer_family(family) && (kind != SDI_SCHEDULE_DEFAULT || params->sigmas))
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "the sampler \"%s\" works on training timesteps and takes neither the "
                        "schedule \"%s\" nor sigmas: only the default",
                        params->name, params->schedule ? params->schedule : "default");
    if (!(params->rho >= 0 && params->rho <= 1000))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a rho of %g: it must be 0 (the default) to 1000", params->rho);
    if (!params->sigmas)
        return check_steps(env, params, family);
    if (params->sigma_count < 2 || params->sigma_count > SDI_MAX_STEPS + 1)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d sigmas: 2 to %d are possible, one more than steps", params->sigma_count,
                        SDI_MAX_STEPS + 1);
    return check_custom(env, params->sigmas, params->sigma_count);
}

sdiff_status sdi_levels_new(const sdi_env *env, const sdi_sampler_params *params,
                            const sdi_sigma_table *table, sdi_family family, sdi_final final,
                            sdi_levels *levels)
{
    *levels = (sdi_levels){0};
    SDI_TRY(check(env, params, family));
    levels->steps = params->sigmas ? params->sigma_count - 1 : params->steps;
    levels->from_zero = family == SDI_FAMILY_EULER || family == SDI_FAMILY_K;
    const uint64_t n = (uint64_t)levels->steps;
    levels->timesteps = sdi_alloc(env, 2 * n + 1, sizeof(double));
    if (!levels->timesteps)
        return SDIFF_ERROR_NO_MEMORY;
    levels->sigmas = is_integer_family(family) ? NULL : levels->timesteps + n;
    const sdiff_status status = fill(env, params, table, family, final, levels);
    if (status != SDIFF_OK) {
        sdi_levels_free(env, levels);
        return status;
    }
    levels->init_sigma = init_sigma(params, family, levels);
    return SDIFF_OK;
}

void sdi_levels_free(const sdi_env *env, sdi_levels *levels)
{
    sdi_free(env, levels->timesteps);
    *levels = (sdi_levels){0};
}
