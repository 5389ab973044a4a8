/* SPDX-License-Identifier: MIT
 *
 * Two-evaluation DPM-Solver++ in Karras' coordinates: 2S ancestral (k-diffusion's
 * sample_dpmpp_2s_ancestral) and SDE, which adds noise at both evaluations (sample_dpmpp_sde with
 * r = 1/2; diffusers' DPMSolverSDEScheduler).
 *
 * From sigma to sigma' both move by x' = q x + (1 - q) x0 with q = sigma' / sigma.
 */
#include "sample/plan.h"

#include <math.h>

static sdi_row *plan_move(sdi_plan *plan, int32_t step, const sdi_level *level, sdi_operand from,
                          double ratio, double noise)
{
    sdi_row *row = sdi_plan_row(plan, step, level);
    row->next.c[from] = ratio;
    row->next.c[SDI_OP_X0] = 1 - ratio;
    row->next.c[SDI_OP_NOISE] = noise * plan->s_noise;
    row->draws = noise > 0;
    return row;
}

void sdi_plan_dpmpp_2s_a(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level from = sdi_plan_level(plan, i);
        double down, up;
        sdi_ancestral_step(from.sigma, plan->levels->sigmas[i + 1], plan->eta, &down, &up);
        if (down == 0) {
            plan_move(plan, i, &from, SDI_OP_X, 0, up)->ends_step = 1;
            continue;
        }
        const sdi_level middle = sdi_plan_level_at(plan, sqrt(from.sigma * down));
        sdi_row *row = plan_move(plan, i, &from, SDI_OP_X, middle.sigma / from.sigma, 0);
        row->anchors = 1;
        row->anchor.c[SDI_OP_X] = 1;
        plan_move(plan, i, &middle, SDI_OP_ANCHOR, down / from.sigma, up)->ends_step = 1;
    }
}

void sdi_plan_dpmpp_sde(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level from = sdi_plan_level(plan, i);
        const double to = plan->levels->sigmas[i + 1];
        if (to == 0) {
            plan_move(plan, i, &from, SDI_OP_X, 0, 0)->ends_step = 1;
            continue;
        }
        double down, up;
        const sdi_level middle = sdi_plan_level_at(plan, sqrt(from.sigma * to));
        sdi_ancestral_step(from.sigma, middle.sigma, plan->eta, &down, &up);
        sdi_row *row = plan_move(plan, i, &from, SDI_OP_X, down / from.sigma, up);
        row->anchors = 1;
        row->anchor.c[SDI_OP_X] = 1;
        row->noise_from = from.sigma;
        row->noise_to = middle.sigma;
        sdi_ancestral_step(from.sigma, to, plan->eta, &down, &up);
        row = plan_move(plan, i, &middle, SDI_OP_ANCHOR, down / from.sigma, up);
        row->noise_from = from.sigma;
        row->noise_to = to;
        row->ends_step = 1;
    }
}
