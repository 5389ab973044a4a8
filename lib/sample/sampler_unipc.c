/* SPDX-License-Identifier: MIT
 *
 * UniPC of orders 2 and 3 (Zhao et al. 2023) on predictions of x0, with B(h) = h ("bh1") or
 * expm1(h) ("bh2"), as diffusers' UniPCMultistepScheduler. The corrector improves the state that
 * was evaluated with the output that came back for it; the predictor goes on from there.
 */
#include "sample/plan.h"

#include <math.h>

enum { MOST = 3 };

typedef struct unified {
    double ratio, first; // factors of the state and of the prediction at its level
    double scale;        // factor of the sum over differences
    double r[MOST];      // where the older predictions are, in steps
    double rhos[MOST];   // weights of the differences
} unified;

/* Gaussian elimination; the matrix is a small Vandermonde one of distinct points. */
static void solve(int32_t n, double m[MOST][MOST], double *b)
{
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = i + 1; j < n; j++) {
            const double factor = m[j][i] / m[i][i];
            for (int32_t k = i; k < n; k++)
                m[j][k] -= factor * m[i][k];
            b[j] -= factor * b[i];
        }
    for (int32_t i = n - 1; i >= 0; i--) {
        for (int32_t k = i + 1; k < n; k++)
            b[i] -= m[i][k] * b[k];
        b[i] /= m[i][i];
    }
}

/* The step from level `at` to the next with `order - 1` older predictions; the corrector's last
 * point is the step's end. Solves for `unknowns` weights. */
static unified unified_step(const sdi_plan *plan, int32_t at, int32_t order, int32_t unknowns)
{
    const sdi_level from = sdi_plan_level(plan, at), to = sdi_plan_level(plan, at + 1);
    const double h = to.lambda - from.lambda;
    const double e = expm1(-h);
    const double b_h = plan->variant == 1 ? -h : e;
    unified u = {
        .ratio = to.spread / from.spread, .first = -to.alpha * e, .scale = -to.alpha * b_h};
    for (int32_t k = 0; k < order - 1; k++)
        u.r[k] = (sdi_plan_level(plan, at - 1 - k).lambda - from.lambda) / h;
    u.r[order - 1] = 1;
    if (unknowns < 2) { // one difference always weighs a half
        u.rhos[0] = 0.5;
        return u;
    }
    double m[MOST][MOST];
    double phi = e / -h - 1, factorial = 1;
    for (int32_t i = 0; i < unknowns; i++) {
        for (int32_t k = 0; k < unknowns; k++)
            m[i][k] = pow(u.r[k], i);
        u.rhos[i] = phi * factorial / b_h;
        factorial *= i + 2;
        phi = phi / -h - 1 / factorial;
    }
    solve(unknowns, m, u.rhos);
    return u;
}

/* form += factor * (prediction `newer` - prediction `older`). */
static void add_difference(sdi_form *form, double factor, int32_t newer, int32_t older)
{
    form->c[SDI_OP_M0 + newer] += factor;
    form->c[SDI_OP_M0 + older] -= factor;
}

/* anchor = the evaluated state, made anew from the last anchor. M0 is what was just predicted. */
static void correct(sdi_plan *plan, int32_t step, int32_t order, sdi_row *row)
{
    const unified u = unified_step(plan, step - 1, order, order);
    row->anchor.c[SDI_OP_ANCHOR] = u.ratio;
    row->anchor.c[SDI_OP_M1] = u.first;
    for (int32_t k = 0; k < order - 1; k++)
        add_difference(&row->anchor, u.scale * u.rhos[k] / u.r[k], k + 2, 1);
    add_difference(&row->anchor, u.scale * u.rhos[order - 1], 0, 1);
}

static void predict(sdi_plan *plan, int32_t step, int32_t order, sdi_row *row)
{
    const unified u = unified_step(plan, step, order, order - 1);
    row->next.c[SDI_OP_ANCHOR] = u.ratio;
    row->next.c[SDI_OP_M0] = u.first;
    for (int32_t k = 0; k < order - 1; k++)
        add_difference(&row->next, u.scale * u.rhos[k] / u.r[k], k + 1, 0);
}

void sdi_plan_unipc(sdi_plan *plan)
{
    int32_t last_order = 0;
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const int32_t left = plan->levels->steps - i;
        const int32_t order = SDI_MIN(SDI_MIN(plan->order, left), i - plan->first + 1);
        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->keeps = row->anchors = row->ends_step = 1;
        row->keep.c[SDI_OP_X0] = 1;
        if (last_order > 0)
            correct(plan, i, last_order, row);
        else
            row->anchor.c[SDI_OP_X] = 1;
        predict(plan, i, order, row);
        last_order = order;
    }
}
