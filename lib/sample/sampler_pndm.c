/* SPDX-License-Identifier: MIT
 *
 * PLMS: pseudo linear multistep (Liu et al. 2022, eq. 11 and 12), as diffusers' PNDMScheduler with
 * skip_prk_steps. The first step is taken twice, the second time with the mean of both slopes; each
 * evaluation counts as a step, so there is one more than asked for.
 *
 * A run that starts late (strength) keeps diffusers' habit of repeating its first step although the
 * list of timesteps repeats only the second of all: the third evaluation is then one step ahead of
 * its state.
 */
#include "sample/plan.h"

#include <math.h>

/* Weights of the newest outputs, which differ in order: 1/24 (55, -59, 37, -9) and its starts. */
static void multistep_output(int32_t outputs, sdi_form *form)
{
    static const double weights[SDI_HISTORY][SDI_HISTORY] = {
        {1},
        {3.0 / 2, -1.0 / 2},
        {23.0 / 12, -16.0 / 12, 5.0 / 12},
        {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24},
    };
    for (int32_t k = 0; k < outputs; k++)
        form->c[SDI_OP_M0 + k] = weights[outputs - 1][k];
}

/* next = the transfer (eq. 11) of `state` from level a to level b along the averaged output. */
static void transfer(const sdi_plan *plan, double a, double b, sdi_operand state,
                     const sdi_form *output, sdi_form *next)
{
    const double factor =
        -(b - a) / (a * sqrt(1 - b) + sqrt(a * (1 - a) * b)); // of the predicted noise
    double of_state = 0, of_output = 1;
    if (plan->params->config.prediction == SDI_PREDICT_V) {
        of_state = sqrt(1 - a);
        of_output = sqrt(a);
    } else if (plan->params->config.prediction == SDI_PREDICT_SAMPLE) {
        of_state = 1 / sqrt(1 - a);
        of_output = -sqrt(a) / sqrt(1 - a);
    }
    next->c[state] = sqrt(b / a) + factor * of_state;
    sdi_form_add(next, factor * of_output, output);
}

static double signal_at(const sdi_plan *plan, int32_t t)
{
    const sdi_sigma_table *table = plan->table;
    if (t >= 0)
        return table->alphas_cumprod[SDI_MIN(t, table->count - 1)];
    return plan->params->config.set_alpha_to_one ? 1 : table->alphas_cumprod[0];
}

static void plan_evaluation(sdi_plan *plan, int32_t listed, int32_t counter)
{
    const int32_t stride = plan->params->config.train_timesteps / plan->params->steps;
    const sdi_level level = sdi_plan_level(plan, listed > 0 ? listed - 1 : 0);
    const int32_t t = (int32_t)level.timestep;
    sdi_form output = {{0}};
    sdi_row *row = sdi_plan_row(plan, plan->first + counter, &level);
    row->ends_step = 1;
    if (counter == 1) { // the first step once more
        output.c[SDI_OP_OUT] = output.c[SDI_OP_M0] = 0.5;
        transfer(plan, signal_at(plan, t + stride), signal_at(plan, t), SDI_OP_ANCHOR, &output,
                 &row->next);
        return;
    }
    row->keeps = 1;
    row->keep.c[SDI_OP_OUT] = 1;
    row->anchors = counter == 0;
    row->anchor.c[SDI_OP_X] = 1;
    multistep_output(SDI_MIN(counter > 1 ? counter : 1, SDI_HISTORY), &output);
    transfer(plan, signal_at(plan, t), signal_at(plan, t - stride), SDI_OP_X, &output, &row->next);
}

void sdi_plan_pndm(sdi_plan *plan)
{
    const int32_t steps = plan->levels->steps;
    if (plan->first >= steps)
        return;
    // the list of timesteps: t0, t1, t1, t2 … of which entry 0 is t0 and entry k > 0 is t(k - 1),
    // but for entry 1, which is t1 too
    const int32_t entries = steps > 1 ? steps + 1 : 1;
    for (int32_t k = plan->first; k < entries; k++)
        plan_evaluation(plan, k == 1 ? 2 : k, k - plan->first);
}
