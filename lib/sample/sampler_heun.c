/* SPDX-License-Identifier: MIT
 *
 * Heun's second-order method on dx/dsigma = (x - x0) / sigma (Karras et al. 2022, algorithm 2;
 * k-diffusion's sample_heun, diffusers' HeunDiscreteScheduler), and the restart sampler built on it
 * (Xu et al. 2023, with the constants that AUTOMATIC1111's web UI uses).
 */
#include "base/memory.h"
#include "sample/plan.h"

#include <math.h>

/* One step as two rows, or one to sigma 0, where the second slope has no value. */
static void plan_heun_step(sdi_plan *plan, int32_t step, const sdi_level *from, const sdi_level *to,
                           double before)
{
    const double dt = to->sigma - from->sigma;
    sdi_form slope = sdi_slope(from->sigma);
    sdi_row *row = sdi_plan_row(plan, step, from);
    row->before = before;
    row->next.c[SDI_OP_X] = 1;
    sdi_form_add(&row->next, dt, &slope);
    row->ends_step = to->sigma == 0;
    if (to->sigma == 0)
        return;
    row->keeps = row->anchors = 1;
    row->keep = slope;
    row->anchor.c[SDI_OP_X] = 1;

    slope = sdi_slope(to->sigma);
    row = sdi_plan_row(plan, step, to);
    row->next.c[SDI_OP_ANCHOR] = 1;
    row->next.c[SDI_OP_M0] = dt / 2;
    sdi_form_add(&row->next, dt / 2, &slope);
    row->ends_step = 1;
}

void sdi_plan_heun(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        double before = 0;
        const sdi_level from = sdi_plan_churned(plan, i, &before);
        const sdi_level to = sdi_plan_level(plan, i + 1);
        plan_heun_step(plan, i, &from, &to, before);
    }
}

/* ---- restart --------------------------------------------------------------------------------- */

/* The levels of one descent, karras spaced, and what a restart goes through again. */
typedef struct descent {
    double *sigmas;
    int32_t steps;
} descent;

static int32_t nearest(const descent *d, double sigma)
{
    int32_t best = 0;
    for (int32_t i = 1; i <= d->steps; i++)
        if (fabs(d->sigmas[i] - sigma) < fabs(d->sigmas[best] - sigma))
            best = i;
    return best;
}

static void plan_descent(sdi_plan *plan, const descent *d, int32_t from, int32_t to, double noise,
                         int32_t *step)
{
    for (int32_t i = from; i < to; i++) {
        const sdi_level a = sdi_plan_level_at(plan, d->sigmas[i]);
        const sdi_level b = sdi_plan_level_at(plan, d->sigmas[i + 1]);
        plan_heun_step(plan, (*step)++, &a, &b, i == from ? noise : 0);
    }
}

/* Down to about sigma 0.1, `times` times up to 2 by noise and down again, then to the end. */
static void plan_restarts(sdi_plan *plan, const descent *whole, const descent *part, int32_t times)
{
    int32_t step = plan->first;
    const int32_t low = nearest(whole, 0.1), high = nearest(whole, 2);
    plan_descent(plan, whole, 0, low, 0, &step);
    if (low > high && low < whole->steps) {
        const sdi_sigma_range range = {whole->sigmas[low], whole->sigmas[high], 0};
        const double noise = plan->s_noise * sqrt(range.max * range.max - range.min * range.min);
        sdi_sigmas_fill(plan->table, SDI_SCHEDULE_KARRAS, &range, part->steps + 1, part->sigmas);
        for (int32_t k = 0; k < times; k++)
            plan_descent(plan, part, 0, part->steps, noise, &step);
    }
    plan_descent(plan, whole, low, whole->steps, 0, &step);
}

void sdi_plan_restart(sdi_plan *plan)
{
    const sdi_levels *levels = plan->levels;
    const double *sigmas = levels->sigmas + plan->first;
    const int32_t steps = levels->steps - plan->first;
    if (steps < 20 || sigmas[steps] != 0) { // too few to spend on a restart
        sdi_plan_heun(plan);
        return;
    }
    const int32_t again = steps >= 36 ? steps / 4 : 9, times = steps >= 36 ? 2 : 1;
    const int32_t rest = steps - again * times;
    double *memory = sdi_alloc(plan->env, (uint64_t)steps + 4, sizeof *memory);
    if (!memory) {
        plan->status = SDIFF_ERROR_NO_MEMORY;
        return;
    }
    const sdi_sigma_range range = {sigmas[steps - 1], sigmas[0], plan->params->rho};
    const descent whole = {memory, rest}, part = {memory + rest + 1, again};
    sdi_sigmas_fill(plan->table, SDI_SCHEDULE_KARRAS, &range, rest, whole.sigmas);
    plan_restarts(plan, &whole, &part, times);
    sdi_free(plan->env, memory);
}
