/* SPDX-License-Identifier: MIT
 *
 * DPM-Solver++ for the reverse SDE with one evaluation a step, of orders 2 and 3, in Karras'
 * coordinates (k-diffusion's sample_dpmpp_2m, sample_dpmpp_2m_sde and sample_dpmpp_3m_sde).
 * With t = -log sigma and h the step in t; eta scales the noise, 0 gives the ODE.
 */
#include "sample/plan.h"

#include <math.h>

static double t_of_step(const sdi_plan *plan, int32_t step)
{
    return -log(plan->levels->sigmas[step]);
}

/* The part that both orders share; false for the last step, to sigma 0, which lands on x0. */
static int plan_first_order(sdi_plan *plan, int32_t i, sdi_row **out, double *h)
{
    const sdi_level level = sdi_plan_level(plan, i);
    const double to = plan->levels->sigmas[i + 1];
    sdi_row *row = *out = sdi_plan_row(plan, i, &level);
    row->keeps = row->ends_step = 1;
    row->keep.c[SDI_OP_X0] = 1;
    if (to == 0) {
        row->next.c[SDI_OP_M0] = 1;
        return 0;
    }
    *h = t_of_step(plan, i + 1) - t_of_step(plan, i);
    const double eta = plan->eta;
    row->next.c[SDI_OP_X] = exp(-*h * (1 + eta));
    row->next.c[SDI_OP_M0] = -expm1(-*h * (1 + eta));
    row->next.c[SDI_OP_NOISE] = to * sqrt(-expm1(-2 * *h * eta)) * plan->s_noise;
    row->draws = eta > 0;
    row->noise_from = level.sigma;
    row->noise_to = to;
    return 1;
}

/* Adds factor * (newest - previous prediction) / r. */
static void add_difference(sdi_row *row, double factor, double r)
{
    row->next.c[SDI_OP_M0] += factor / r;
    row->next.c[SDI_OP_M1] -= factor / r;
}

void sdi_plan_dpmpp_2m_sde(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        sdi_row *row;
        double h;
        if (!plan_first_order(plan, i, &row, &h) || i == plan->first)
            continue;
        const double r = (t_of_step(plan, i) - t_of_step(plan, i - 1)) / h;
        const double k = h * (1 + plan->eta);
        const double factor = plan->variant & SDI_DPM_HEUN ? expm1(-k) / k + 1 : -0.5 * expm1(-k);
        add_difference(row, factor, r);
    }
}

void sdi_plan_dpmpp_3m_sde(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        sdi_row *row;
        double h;
        if (!plan_first_order(plan, i, &row, &h) || i == plan->first)
            continue;
        const double k = h * (1 + plan->eta);
        const double phi2 = expm1(-k) / k + 1, phi3 = phi2 / k - 0.5;
        const double r0 = (t_of_step(plan, i) - t_of_step(plan, i - 1)) / h;
        if (i == plan->first + 1) {
            add_difference(row, phi2, r0);
            continue;
        }
        // d0, d1: divided differences of the predictions; added are
        // phi2 (d0 + (d0 - d1) r0 / (r0 + r1)) - phi3 (d0 - d1) / (r0 + r1)
        const double r1 = (t_of_step(plan, i - 1) - t_of_step(plan, i - 2)) / h;
        const double bend = (phi2 * r0 - phi3) / (r0 + r1);
        const double d0 = (phi2 + bend) / r0, d1 = -bend / r1;
        row->next.c[SDI_OP_M0] += d0;
        row->next.c[SDI_OP_M1] += d1 - d0;
        row->next.c[SDI_OP_M2] -= d1;
    }
}
