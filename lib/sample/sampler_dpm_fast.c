/* SPDX-License-Identifier: MIT
 *
 * DPM-Solver-fast (Lu et al. 2022a, with k-diffusion's grouping): as many evaluations as steps are
 * asked for, in steps of order 3 that end with one or two of lower order, even in t = -log sigma
 * from the run's first level to the lowest training level.
 */
#include "sample/plan.h"

#include <math.h>

/* A step from the anchor's level; predictions of the noise are M0 (newest) … */
typedef struct fast_step {
    int32_t index;
    double t, h; // start and length
} fast_step;

static sdi_row *plan_row_at(sdi_plan *plan, const fast_step *step, double fraction)
{
    const sdi_level level = sdi_plan_level_at(plan, exp(-(step->t + fraction * step->h)));
    sdi_row *row = sdi_plan_row(plan, step->index, &level);
    row->keeps = 1;
    row->keep = sdi_slope(level.sigma);
    row->anchors = fraction == 0;
    row->anchor.c[SDI_OP_X] = 1;
    return row;
}

/* next = where the solver is at that fraction of the step: the first prediction of the step is
 * `oldest`, and the newest differs from it by a slope that counts with weight `second`. */
static void go_to(sdi_row *row, const fast_step *step, double fraction, sdi_operand oldest,
                  double second)
{
    const double way = fraction * step->h;
    const double sigma = exp(-(step->t + way));
    row->next.c[SDI_OP_ANCHOR] = 1;
    row->next.c[oldest] += -sigma * expm1(way);
    row->next.c[SDI_OP_M0] -= sigma * second;
    row->next.c[oldest] += sigma * second;
}

void sdi_plan_dpm_step(sdi_plan *plan, int32_t index, double t, double h, int32_t order)
{
    const fast_step way_of_step = {index, t, h}, *step = &way_of_step;
    sdi_row *row = plan_row_at(plan, step, 0);
    if (order == 1) {
        go_to(row, step, 1, SDI_OP_M0, 0);
    } else if (order == 2) {
        go_to(row, step, 1.0 / 2, SDI_OP_M0, 0);
        row = plan_row_at(plan, step, 1.0 / 2);
        go_to(row, step, 1, SDI_OP_M1, expm1(h));
    } else {
        const double r = 2.0 / 3, way = r * h;
        go_to(row, step, 1.0 / 3, SDI_OP_M0, 0);
        row = plan_row_at(plan, step, 1.0 / 3);
        go_to(row, step, r, SDI_OP_M1, 2 * (expm1(way) / way - 1));
        row = plan_row_at(plan, step, r);
        go_to(row, step, 1, SDI_OP_M2, (expm1(h) / h - 1) / r);
    }
    row->ends_step = 1;
}

void sdi_plan_dpm_fast(sdi_plan *plan)
{
    const int32_t evaluations = plan->levels->steps - plan->first;
    if (evaluations < 1)
        return;
    const double start = -log(plan->levels->sigmas[plan->first]);
    const double end = -log(plan->table->sigmas[0]);
    const int32_t steps = evaluations / 3 + 1, rest = evaluations % 3;
    for (int32_t i = 0; i < steps; i++) {
        int32_t order = 3;
        if (i == steps - 1)
            order = rest == 0 ? 1 : rest;
        else if (i == steps - 2 && rest == 0)
            order = 2;
        const double h = (end - start) / steps;
        sdi_plan_dpm_step(plan, plan->first + i, start + i * h, h, order);
    }
}

/* A first attempt, for its shape: the run writes its own (adaptive.c). */
void sdi_plan_dpm_adaptive(sdi_plan *plan)
{
    if (plan->first < plan->levels->steps)
        sdi_plan_dpm_step(plan, plan->first, -log(plan->levels->sigmas[plan->first]), 0.05, 3);
}
