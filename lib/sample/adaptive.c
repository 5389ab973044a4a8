/* SPDX-License-Identifier: MIT
 *
 * DPM-Solver-12/23 with adaptive steps (Lu et al. 2022a, appendix C), of order 3 with
 * k-diffusion's tolerances and step size control (sample_dpm_adaptive).
 */
#include "sample/adaptive.h"

#include <math.h>
#include <string.h>

/* k-diffusion's defaults. */
static const double absolute_tolerance = 0.0078, relative_tolerance = 0.05, first_length = 0.05,
                    least_factor = 0.81;

static void write_attempt(sdi_plan *plan, sdi_adaptive *a)
{
    plan->count = 0;
    if (!(a->t < a->t_end - 1e-5))
        return;
    a->way = SDI_MIN(a->h, a->t_end - a->t);
    sdi_plan_dpm_step(plan, plan->first + a->accepted, a->t, a->way, 3);
}

void sdi_adaptive_begin(sdi_plan *plan, sdi_adaptive *a, const float *x, size_t count)
{
    a->t = -log(plan->levels->sigmas[plan->first]);
    a->t_end = -log(plan->table->sigmas[0]);
    a->h = first_length;
    a->accepted = a->attempts = 0;
    memcpy(a->previous, x, count * sizeof *x);
    write_attempt(plan, a);
}

/* What the second-order solver makes of the same evaluations. */
static double lower_order(double sigma, double growth, double start, double eps, double eps1)
{
    return start - sigma * growth * (eps + 1.5 * (eps1 - eps));
}

/* Root mean square of the difference of both orders in units of the tolerance. */
static double attempt_error(const sdi_adaptive *a, float *const arrays[SDI_OPERANDS], size_t count)
{
    const double sigma = exp(-(a->t + a->way)), growth = expm1(a->way);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double low = lower_order(sigma, growth, (double)arrays[SDI_OP_ANCHOR][i],
                                       (double)arrays[SDI_OP_M2][i], (double)arrays[SDI_OP_M1][i]);
        const double size = fmax(fabs(low), fabs((double)a->previous[i]));
        const double tolerance = fmax(absolute_tolerance, relative_tolerance * size);
        const double error = (low - (double)arrays[SDI_OP_X][i]) / tolerance;
        sum += error * error;
    }
    return sqrt(sum / (double)count);
}

static void accept(sdi_adaptive *a, float *const arrays[SDI_OPERANDS], size_t count)
{
    const double sigma = exp(-(a->t + a->way)), growth = expm1(a->way);
    for (size_t i = 0; i < count; i++)
        a->previous[i] =
            (float)lower_order(sigma, growth, (double)arrays[SDI_OP_ANCHOR][i],
                               (double)arrays[SDI_OP_M2][i], (double)arrays[SDI_OP_M1][i]);
    a->t += a->way;
    a->accepted++;
}

sdiff_status sdi_adaptive_next(const sdi_env *env, sdi_plan *plan, sdi_adaptive *a,
                               float *const arrays[SDI_OPERANDS], size_t count, int *accepted)
{
    const double error = attempt_error(a, arrays, count);
    if (!isfinite(error) || ++a->attempts > SDI_MAX_STEPS)
        return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                        "the adaptive sampler found no step length after %d attempts (error %g)",
                        a->attempts, error);
    const double factor = 1 + atan(pow(1 / (error + 1e-8), 1.0 / 3) - 1);
    *accepted = factor >= least_factor;
    if (*accepted)
        accept(a, arrays, count);
    else
        memcpy(arrays[SDI_OP_X], arrays[SDI_OP_ANCHOR], count * sizeof(float));
    a->h *= factor;
    write_attempt(plan, a);
    return plan->status;
}
