/* SPDX-License-Identifier: MIT
 *
 * DPM-Solver, multistep, of orders 1 to 3 (Lu et al. 2022a; ++ and the SDE form: 2022b), as
 * diffusers' DPMSolverMultistepScheduler: in lambda = log(alpha / spread), with the last
 * predictions of x0 (++) or of the noise as history.
 */
#include "sample/plan.h"

#include <math.h>

/* What one update integrates: everything of a step but the history. */
typedef struct step_terms {
    double state;  // factor of x
    double first;  // factor of the newest prediction
    double second; // factor of the divided difference of order 1
    double third;  // … and of order 2
    double noise;
} step_terms;

static step_terms terms_data(const sdi_level *from, const sdi_level *to, int heun)
{
    const double h = to->lambda - from->lambda;
    const double e = expm1(-h);
    return (step_terms){
        .state = to->spread / from->spread,
        .first = -to->alpha * e,
        .second = heun ? to->alpha * (e / h + 1) : -0.5 * to->alpha * e,
        .third = -to->alpha * ((e + h) / (h * h) - 0.5),
    };
}

static step_terms terms_noise(const sdi_level *from, const sdi_level *to, int heun)
{
    const double h = to->lambda - from->lambda;
    const double e = expm1(h);
    const double first = to->alpha * (to->sigma - from->sigma); // -spread * e, also at sigma 0
    return (step_terms){
        .state = to->alpha / from->alpha,
        .first = first,
        .second = heun ? -to->spread * (e / h - 1) : 0.5 * first,
        .third = -to->spread * ((e - h) / (h * h) - 0.5),
    };
}

static step_terms terms_sde(const sdi_level *from, const sdi_level *to, int heun)
{
    const double h = to->lambda - from->lambda;
    const double e = -expm1(-2 * h);
    return (step_terms){
        .state = to->spread / from->spread * exp(-h),
        .first = to->alpha * e,
        .second = heun ? to->alpha * (e / (-2 * h) + 1) : 0.5 * to->alpha * e,
        .noise = to->spread * sqrt(e),
    };
}

/* Divided differences of the history over steps h (to come), h0 (the last) and h1. */
static void add_second(sdi_row *row, double factor, double r0)
{
    row->next.c[SDI_OP_M0] += factor / r0;
    row->next.c[SDI_OP_M1] -= factor / r0;
}

static void add_third(sdi_row *row, const step_terms *terms, double r0, double r1)
{
    // D1 = d0 + (d0 - d1) r0 / (r0 + r1) and D2 = (d0 - d1) / (r0 + r1)
    const double difference = (terms->second * r0 + terms->third) / (r0 + r1);
    const double d0 = (terms->second + difference) / r0, d1 = -difference / r1;
    row->next.c[SDI_OP_M0] += d0;
    row->next.c[SDI_OP_M1] += d1 - d0;
    row->next.c[SDI_OP_M2] -= d1;
}

/* Low orders at the start, where there is no history, and at the end, for stability. */
static int32_t order_of_step(const sdi_plan *plan, int32_t step)
{
    const int32_t left = plan->levels->steps - step, done = step - plan->first;
    const int few = plan->levels->steps < 15;
    const int ends_at_zero = plan->levels->sigmas[plan->levels->steps] == 0;
    int32_t order = SDI_MIN(plan->order, done + 1);
    const double *sigmas = plan->levels->sigmas + step;
    if ((left == 1 && (few || ends_at_zero)) || sigmas[0] == sigmas[1])
        order = 1;
    else if (left == 2 && few)
        order = SDI_MIN(order, 2);
    return order;
}

void sdi_plan_dpm_multistep(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level from = sdi_plan_level(plan, i), to = sdi_plan_level(plan, i + 1);
        const int32_t order = order_of_step(plan, i);
        const int heun = (plan->variant & SDI_DPM_HEUN) != 0 || order == 3;
        const step_terms terms = plan->variant & SDI_DPM_NOISE ? terms_noise(&from, &to, heun)
                                 : plan->variant & SDI_DPM_SDE ? terms_sde(&from, &to, heun)
                                                               : terms_data(&from, &to, heun);
        const double h = to.lambda - from.lambda;
        const double h0 = order > 1 ? from.lambda - sdi_plan_level(plan, i - 1).lambda : 0;

        sdi_row *row = sdi_plan_row(plan, i, &from);
        row->keeps = 1;
        if (plan->variant & SDI_DPM_NOISE)
            row->keep = sdi_plan_epsilon(plan, &from);
        else
            row->keep.c[SDI_OP_X0] = 1;
        row->next.c[SDI_OP_X] = terms.state;
        row->next.c[SDI_OP_M0] = terms.first;
        row->next.c[SDI_OP_NOISE] = terms.noise;
        if (order == 2)
            add_second(row, terms.second, h0 / h);
        if (order == 3)
            add_third(row, &terms, h0 / h,
                      (sdi_plan_level(plan, i - 1).lambda - sdi_plan_level(plan, i - 2).lambda) /
                          h);
        row->draws = (plan->variant & SDI_DPM_SDE) != 0;
        row->ends_step = 1;
    }
}
