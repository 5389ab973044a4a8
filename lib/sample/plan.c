/* SPDX-License-Identifier: MIT
 *
 * What the samplers' tables are written with: rows, levels and conversions between the network's
 * three kinds of output.
 */
#include "sample/plan.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

sdi_level sdi_level_of_signal(double timestep, double signal)
{
    sdi_level level = {.timestep = timestep, .signal = signal};
    level.alpha = sqrt(signal);
    level.spread = sqrt(1 - signal);
    level.sigma = level.spread / level.alpha;
    level.lambda = -log(level.sigma);
    return level;
}

static sdi_level level_of_sigma(double timestep, double sigma)
{
    sdi_level level = {.timestep = timestep, .sigma = sigma};
    level.signal = 1 / (sigma * sigma + 1);
    level.alpha = sqrt(level.signal);
    level.spread = sigma * level.alpha;
    level.lambda = -log(sigma);
    return level;
}

sdi_level sdi_plan_level_at(const sdi_plan *plan, double sigma)
{
    return level_of_sigma(sdi_sigma_to_timestep(plan->table, sigma), sigma);
}

sdi_level sdi_plan_level(const sdi_plan *plan, int32_t step)
{
    const sdi_levels *levels = plan->levels;
    if (levels->sigmas)
        return level_of_sigma(step < levels->steps ? levels->timesteps[step] : 0,
                              levels->sigmas[step]);
    if (step >= levels->steps)
        return sdi_level_of_signal(0, 1);
    const double t = levels->timesteps[step];
    return sdi_level_of_signal(t, plan->table->alphas_cumprod[(int32_t)t]);
}

sdi_level sdi_plan_churned(const sdi_plan *plan, int32_t step, double *before)
{
    const sdi_sampler_params *p = plan->params;
    const double sigma = plan->levels->sigmas[step];
    *before = 0;
    if (!(p->s_churn > 0) || sigma < p->s_tmin || (p->s_tmax > 0 && sigma > p->s_tmax))
        return sdi_plan_level(plan, step);
    const double gamma = SDI_MIN(p->s_churn / (plan->levels->steps - plan->first), sqrt(2) - 1);
    const double lifted = sigma * (1 + gamma);
    *before = plan->s_noise * sqrt(lifted * lifted - sigma * sigma);
    return sdi_plan_level_at(plan, lifted);
}

/* x0 from x and out; x is divided by the factor between the two notations of a state. */
static sdi_form predict_x0(const sdi_plan *plan, const sdi_level *level, double input)
{
    sdi_form form = {{0}};
    switch (plan->params->config.prediction) {
    case SDI_PREDICT_V:
        form.c[SDI_OP_X] = level->alpha * input;
        form.c[SDI_OP_OUT] = -level->spread;
        break;
    case SDI_PREDICT_SAMPLE: form.c[SDI_OP_OUT] = 1; break;
    default:
        form.c[SDI_OP_X] = input / level->alpha;
        form.c[SDI_OP_OUT] = -level->sigma;
        break;
    }
    return form;
}

/* What makes the network's input of unit variance from the state. */
static double input_scale(const sdi_plan *plan, const sdi_level *level)
{
    return plan->levels->from_zero ? level->alpha : 1;
}

sdi_form sdi_plan_epsilon(const sdi_plan *plan, const sdi_level *level)
{
    const double input = input_scale(plan, level);
    sdi_form form = {{0}};
    switch (plan->params->config.prediction) {
    case SDI_PREDICT_V:
        form.c[SDI_OP_X] = level->spread * input;
        form.c[SDI_OP_OUT] = level->alpha;
        break;
    case SDI_PREDICT_SAMPLE:
        form.c[SDI_OP_X] = input / level->spread;
        form.c[SDI_OP_OUT] = -1 / level->sigma;
        break;
    default: form.c[SDI_OP_OUT] = 1; break;
    }
    return form;
}

sdi_form sdi_slope(double sigma)
{
    sdi_form form = {{0}};
    form.c[SDI_OP_X] = 1 / sigma;
    form.c[SDI_OP_X0] = -1 / sigma;
    return form;
}

void sdi_form_add(sdi_form *form, double factor, const sdi_form *other)
{
    for (int32_t k = 0; k < SDI_OPERANDS; k++)
        form->c[k] += factor * other->c[k];
}

void sdi_ancestral_step(double sigma, double sigma_next, double eta, double *down, double *up)
{
    const double fresh =
        eta * sqrt(sigma_next * sigma_next * (sigma * sigma - sigma_next * sigma_next)) / sigma;
    *up = SDI_MIN(sigma_next, fresh);
    *down = sqrt(sigma_next * sigma_next - *up * *up);
}

static sdiff_status grow(sdi_plan *plan)
{
    if (plan->count < plan->capacity)
        return SDIFF_OK;
    const int32_t capacity = SDI_MAX(2 * plan->capacity, plan->levels->steps + 1);
    sdi_row *rows = sdi_realloc(plan->env, plan->rows, (uint64_t)capacity, sizeof *rows);
    if (!rows)
        return SDIFF_ERROR_NO_MEMORY;
    plan->rows = rows;
    plan->capacity = capacity;
    return SDIFF_OK;
}

sdi_row *sdi_plan_row(sdi_plan *plan, int32_t step, const sdi_level *level)
{
    if (plan->status == SDIFF_OK)
        plan->status = grow(plan);
    sdi_row *row = plan->status == SDIFF_OK ? &plan->rows[plan->count++] : &plan->spare;
    memset(row, 0, sizeof *row);
    row->step = step - plan->first;
    row->timestep = level->timestep;
    row->sigma = level->sigma;
    row->input = input_scale(plan, level);
    row->x0 = predict_x0(plan, level, row->input);
    return row;
}
