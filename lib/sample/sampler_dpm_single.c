/* SPDX-License-Identifier: MIT
 *
 * DPM-Solver++ singlestep of orders 2 and 3 (Lu et al. 2022b), as diffusers'
 * DPMSolverSinglestepScheduler: evaluations come in groups of 1, 2 or 3, and each later one of a
 * group starts again from the group's first state.
 */
#include "sample/plan.h"

#include <math.h>

/* Place of a step in its group: 1, 2, 1, 2 … or 1, 2, 3, 1, 2, 3 … The last step of all is of order
 * 1, but for the second of a group of three that ends above 0. */
static int32_t listed_order(const sdi_plan *plan, int32_t step)
{
    const int32_t steps = plan->levels->steps, place = step % plan->order + 1;
    const int ends_at_zero = plan->levels->sigmas[steps] == 0;
    if (step < steps - 1 || (plan->order == 3 && place == 2 && !ends_at_zero))
        return place;
    return 1;
}

/* next for the state `anchor` at level `start` and newest prediction at level `now`. */
static void plan_update(sdi_row *row, int32_t order, const sdi_level *start, const sdi_level *now,
                        const sdi_level *to)
{
    const double h = to->lambda - start->lambda;
    const double e = expm1(-h);
    const sdi_operand first = (sdi_operand)(SDI_OP_M0 + order - 1);
    row->next.c[SDI_OP_ANCHOR] = to->spread / start->spread;
    row->next.c[first] += -to->alpha * e;
    if (order == 1)
        return;
    // times the difference to the group's first prediction, over the way to this one
    const double r = (now->lambda - start->lambda) / h;
    const double factor = order == 2 ? -0.5 * to->alpha * e : to->alpha * (e / h + 1);
    row->next.c[SDI_OP_M0] += factor / r;
    row->next.c[first] -= factor / r;
}

void sdi_plan_dpm_single(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const int32_t order = SDI_MIN(listed_order(plan, i), i - plan->first + 1);
        const sdi_level now = sdi_plan_level(plan, i), to = sdi_plan_level(plan, i + 1);
        const sdi_level start = sdi_plan_level(plan, i - order + 1);
        sdi_row *row = sdi_plan_row(plan, i, &now);
        row->keeps = 1;
        row->keep.c[SDI_OP_X0] = 1;
        row->anchors = order == 1;
        row->anchor.c[SDI_OP_X] = 1;
        plan_update(row, order, &start, &now, &to);
        row->ends_step = 1;
    }
}
