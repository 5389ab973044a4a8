/* SPDX-License-Identifier: MIT
 *
 * DDIM (Song, Meng and Ermon 2020, eq. 12), as diffusers' DDIMScheduler: the previous timestep is a
 * fixed stride below, also where the spacing of timesteps is another.
 */
#include "sample/plan.h"

#include <math.h>

/* The level a stride below; under timestep 0 it is the configured end: 1 or the first product. */
static double signal_before(const sdi_plan *plan, int32_t timestep)
{
    const sdi_schedule_config *config = &plan->params->config;
    const int32_t before = timestep - config->train_timesteps / plan->params->steps;
    if (before >= 0)
        return plan->table->alphas_cumprod[before];
    return config->set_alpha_to_one ? 1 : plan->table->alphas_cumprod[0];
}

void sdi_plan_ddim(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const double a = level.signal;
        const double before = signal_before(plan, (int32_t)level.timestep);
        const double variance = (1 - before) / (1 - a) * (1 - a / before);
        const double noise = plan->eta * sqrt(SDI_MAX(variance, 0));
        const sdi_form epsilon = sdi_plan_epsilon(plan, &level);

        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->next.c[SDI_OP_X0] = sqrt(before);
        sdi_form_add(&row->next, sqrt(SDI_MAX(1 - before - noise * noise, 0)), &epsilon);
        row->next.c[SDI_OP_NOISE] = noise;
        row->draws = plan->eta > 0;
        row->ends_step = 1;
    }
}
