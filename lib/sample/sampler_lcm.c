/* SPDX-License-Identifier: MIT
 *
 * Sampling from consistency models: LCM (Luo et al. 2023, algorithm 1; diffusers' LCMScheduler) and
 * TCD, whose eta (gamma in the paper) trades determinism for noise (Zheng et al. 2024, algorithm 2;
 * diffusers' TCDScheduler).
 */
#include "sample/plan.h"

#include <math.h>

void sdi_plan_lcm(sdi_plan *plan)
{
    const double data = 0.5, scaling = 10; // boundary conditions of the distilled models
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const int last = i == plan->levels->steps - 1;
        const double t = level.timestep * scaling;
        const double skip = data * data / (t * t + data * data);
        const double out = t / sqrt(t * t + data * data);
        const sdi_level to = sdi_plan_level(plan, i + 1);

        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->next.c[SDI_OP_X0] = to.alpha * out;
        row->next.c[SDI_OP_X] = to.alpha * skip;
        row->next.c[SDI_OP_NOISE] = last ? 0 : to.spread;
        row->draws = !last;
        row->ends_step = 1;
    }
}

/* LCM as k-diffusion's users write it: the prediction, noised to the next level. */
void sdi_plan_k_lcm(sdi_plan *plan)
{
    for (int32_t i = plan->first; i < plan->levels->steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const double to = plan->levels->sigmas[i + 1];
        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->next.c[SDI_OP_X0] = 1;
        row->next.c[SDI_OP_NOISE] = to * plan->s_noise;
        row->draws = to > 0;
        row->ends_step = 1;
    }
}

void sdi_plan_tcd(sdi_plan *plan)
{
    const double eta = SDI_MIN(plan->eta, 1);
    const int32_t steps = plan->levels->steps;
    for (int32_t i = plan->first; i < steps; i++) {
        const sdi_level level = sdi_plan_level(plan, i);
        const int last = i == steps - 1;
        const double t_next = last ? 0 : plan->levels->timesteps[i + 1];
        const double a = plan->table->alphas_cumprod[(int32_t)t_next];
        const double t_middle = floor((1 - eta) * t_next); // where the consistency function leads
        const double middle = plan->table->alphas_cumprod[(int32_t)t_middle];
        const int noisy = eta > 0 && !last;
        const double scale = noisy ? sqrt(a / middle) : 1;
        const sdi_form epsilon = sdi_plan_epsilon(plan, &level);

        sdi_row *row = sdi_plan_row(plan, i, &level);
        row->next.c[SDI_OP_X0] = scale * sqrt(middle);
        sdi_form_add(&row->next, scale * sqrt(1 - middle), &epsilon);
        row->next.c[SDI_OP_NOISE] = noisy ? sqrt(1 - a / middle) : 0;
        row->draws = (uint8_t)noisy;
        row->ends_step = 1;
    }
}
