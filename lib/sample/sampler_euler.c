/* SPDX-License-Identifier: MIT
 *
 * Euler's method on the probability flow ODE dx/dsigma = (x - x0) / sigma (Karras et al. 2022,
 * algorithm 2 without the second half) and its ancestral form (k-diffusion's sample_euler and
 * sample_euler_ancestral; diffusers' EulerDiscrete and EulerAncestralDiscrete).
 */
#include "sample/plan.h"

#include <math.h>

void sdi_plan_euler(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        double before = 0;
        const sdi_level level = sdi_plan_churned(plan, i, &before);
        const sdi_form slope = sdi_slope(level.sigma);
        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->before = before;
        row->next.c[SDI_OP_X] = 1;
        sdi_form_add(&row->next, plan->levels->sigmas[i + 1] - level.sigma, &slope);
        row->draws = plan->diffusers && before == 0; // its scheduler draws and multiplies by zero
        row->ends_step = 1;
    }
}

void sdi_plan_euler_a(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const sdi_form slope = sdi_slope(level.sigma);
        double down, up;
        sdi_ancestral_step(level.sigma, plan->levels->sigmas[i + 1], plan->eta, &down, &up);
        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->next.c[SDI_OP_X] = 1;
        sdi_form_add(&row->next, down - level.sigma, &slope);
        row->next.c[SDI_OP_NOISE] = up * plan->s_noise;
        row->draws = plan->diffusers || up > 0;
        row->ends_step = 1;
    }
}
