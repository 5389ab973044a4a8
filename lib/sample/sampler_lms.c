/* SPDX-License-Identifier: MIT
 *
 * Linear multistep of order 4 on dx/dsigma = (x - x0) / sigma (k-diffusion's sample_lms, diffusers'
 * LMSDiscreteScheduler): the polynomial through the last slopes, integrated over the step.
 */
#include "sample/plan.h"

#include <math.h>

/* Lagrange's polynomial that is 1 at level `which` steps back and 0 at the others. */
static double basis(const double *sigmas, int32_t order, int32_t which, double sigma)
{
    double product = 1;
    for (int32_t k = 0; k < order; k++)
        if (k != which)
            product *= (sigma - sigmas[-k]) / (sigmas[-which] - sigmas[-k]);
    return product;
}

/* Its integral from sigmas[0] to sigmas[1]: two Gauss points are exact up to degree 3. */
static double coefficient(const double *sigmas, int32_t order, int32_t which)
{
    const double centre = (sigmas[0] + sigmas[1]) / 2, half = (sigmas[1] - sigmas[0]) / 2;
    const double point = half / sqrt(3);
    return half * (basis(sigmas, order, which, centre - point) +
                   basis(sigmas, order, which, centre + point));
}

void sdi_plan_lms(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const int32_t order = SDI_MIN(i - plan->first + 1, SDI_HISTORY);
        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->keeps = 1;
        row->keep = sdi_slope(level.sigma);
        row->next.c[SDI_OP_X] = 1;
        for (int32_t k = 0; k < order; k++)
            row->next.c[SDI_OP_M0 + k] = coefficient(plan->levels->sigmas + i, order, k);
        row->ends_step = 1;
    }
}
