/* SPDX-License-Identifier: MIT
 *
 * DPM-Solver-2 in the coordinates of Karras et al.: the slope at the geometric mean of two levels,
 * deterministic and ancestral (k-diffusion's sample_dpm_2 and sample_dpm_2_ancestral, diffusers'
 * KDPM2Discrete and KDPM2AncestralDiscrete).
 */
#include "sample/plan.h"

#include <math.h>

/* diffusers rounds the timesteps of levels that did not come from timesteps, but for exponential.
 */
static sdi_level rounded(const sdi_plan *plan, sdi_level level)
{
    const sdi_schedule_kind kind = sdi_schedule_find(plan->params->schedule);
    if (plan->diffusers && kind != SDI_SCHEDULE_DEFAULT && kind != SDI_SCHEDULE_EXPONENTIAL)
        level.timestep = rint(level.timestep);
    return level;
}

static sdi_row *plan_slope_row(sdi_plan *plan, int32_t step, const sdi_level *level, double dt,
                               sdi_operand from)
{
    const sdi_form slope = sdi_slope(level->sigma);
    sdi_row *row = sdi_plan_row(plan, step, level);
    row->next.c[from] += 1;
    sdi_form_add(&row->next, dt, &slope);
    return row;
}

void sdi_plan_dpm2(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        double before = 0;
        const sdi_level from = rounded(plan, sdi_plan_churned(plan, i, &before));
        const double to = plan->levels->sigmas[i + 1];
        const double middle = sqrt(from.sigma * to);
        sdi_row *row = plan_slope_row(plan, i, &from, middle - from.sigma, SDI_OP_X);
        row->before = before;
        row->ends_step = to == 0;
        if (to == 0)
            continue;
        row->anchors = 1;
        row->anchor.c[SDI_OP_X] = 1;
        const sdi_level level = sdi_plan_level_at(plan, middle);
        row = plan_slope_row(plan, i, &level, to - from.sigma, SDI_OP_ANCHOR);
        row->ends_step = 1;
    }
}

void sdi_plan_dpm2_a(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        double down, up;
        const sdi_level from = rounded(plan, sdi_plan_level(plan, i));
        sdi_ancestral_step(from.sigma, plan->levels->sigmas[i + 1], plan->eta, &down, &up);
        const double middle = sqrt(from.sigma * down);
        sdi_row *row = plan_slope_row(plan, i, &from, middle - from.sigma, SDI_OP_X);
        row->draws = (uint8_t)plan->diffusers; // at each evaluation; the second one is used
        if (middle > 0) {
            row->anchors = 1;
            row->anchor.c[SDI_OP_X] = 1;
            const sdi_level level = sdi_plan_level_at(plan, middle);
            row = plan_slope_row(plan, i, &level, down - from.sigma, SDI_OP_ANCHOR);
            row->draws = (uint8_t)plan->diffusers;
        }
        row->next.c[SDI_OP_NOISE] = up * plan->s_noise;
        row->draws |= up > 0;
        row->ends_step = 1;
    }
}
