/* SPDX-License-Identifier: MIT
 *
 * DEIS of orders 2 and 3 (Zhang and Chen 2022), as diffusers' DEISMultistepScheduler: predictions
 * of the noise, interpolated by polynomials in log rho and integrated over rho = sigma.
 */
#include "sample/plan.h"

#include <math.h>

/* Integrals over rho of the Lagrange basis in log rho that is 1 at b and 0 at c (and d). */
static double integral2(double rho, double b, double c)
{
    return rho * (log(rho) - log(c) - 1) / (log(b) - log(c));
}

static double integral3(double rho, double b, double c, double d)
{
    const double t = log(rho), lc = log(c), ld = log(d), lb = log(b);
    const double numerator = lc * (ld - t + 1) - ld * t + ld + t * t - 2 * t + 2;
    return rho * numerator / ((lb - lc) * (lb - ld));
}

static int32_t order_of_step(const sdi_plan *plan, int32_t step)
{
    const int32_t steps = plan->levels->steps, left = steps - step;
    int32_t order = SDI_MIN(plan->order, step - plan->first + 1);
    if (left == 1 && (steps < 15 || plan->levels->sigmas[steps] == 0))
        order = 1;
    else if (left == 2 && steps < 15)
        order = SDI_MIN(order, 2);
    return order;
}

/* Weights of the newest predictions over the step from sigmas[0] to sigmas[1]. */
static void weights(const double *sigmas, int32_t order, double *w)
{
    const double to = sigmas[1], s0 = sigmas[0];
    if (order == 1) {
        w[0] = to - s0;
    } else if (order == 2) {
        const double s1 = sigmas[-1];
        w[0] = integral2(to, s0, s1) - integral2(s0, s0, s1);
        w[1] = integral2(to, s1, s0) - integral2(s0, s1, s0);
    } else {
        const double s1 = sigmas[-1], s2 = sigmas[-2];
        w[0] = integral3(to, s0, s1, s2) - integral3(s0, s0, s1, s2);
        w[1] = integral3(to, s1, s2, s0) - integral3(s0, s1, s2, s0);
        w[2] = integral3(to, s2, s0, s1) - integral3(s0, s2, s0, s1);
    }
}

void sdi_plan_deis(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level from = sdi_plan_level(plan, i), to = sdi_plan_level(plan, i + 1);
        const int32_t order = order_of_step(plan, i);
        double w[3];
        weights(plan->levels->sigmas + i, order, w);
        sdi_row *row = sdi_plan_row(plan, i, &from);
        row->keeps = row->ends_step = 1;
        row->keep = sdi_plan_epsilon(plan, &from);
        row->next.c[SDI_OP_X] = to.alpha / from.alpha;
        for (int32_t k = 0; k < order; k++)
            row->next.c[SDI_OP_M0 + k] = to.alpha * w[k];
    }
}
