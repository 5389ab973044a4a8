/* SPDX-License-Identifier: MIT
 *
 * DDPM, ancestral sampling with the posterior's variance (Ho et al. 2020, eq. 6 and 7), as
 * diffusers' DDPMScheduler with "fixed_small".
 */
#include "sample/plan.h"

#include <math.h>

void sdi_plan_ddpm(sdi_plan *plan)
{
    const int32_t stride = plan->params->config.train_timesteps / plan->params->steps;
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const int32_t t = (int32_t)level.timestep;
        const double a = level.signal;
        const double before = t >= stride ? plan->table->alphas_cumprod[t - stride] : 1;
        const double alpha = a / before, beta = 1 - alpha;
        const double variance = SDI_MAX((1 - before) / (1 - a) * beta, 1e-20);

        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->next.c[SDI_OP_X0] = sqrt(before) * beta / (1 - a);
        row->next.c[SDI_OP_X] = sqrt(alpha) * (1 - before) / (1 - a);
        row->draws = t > 0;
        row->next.c[SDI_OP_NOISE] = t > 0 ? sqrt(variance) : 0;
        row->ends_step = 1;
    }
}
