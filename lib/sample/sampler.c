/* SPDX-License-Identifier: MIT
 *
 * The loop that carries out a sampler's table of rows (plan.h), and the life of a sampler.
 */
#include "sample/sampler.h"

#include "base/memory.h"
#include "sample/adaptive.h"
#include "sample/brownian.h"
#include "sample/registry.h"

#include <math.h>
#include <string.h>

struct sdi_sampler {
    sdi_sampler_params params; // what `plan` points to; strings and sigmas are not kept
    sdi_sigma_table table;
    sdi_levels levels;
    sdi_plan plan;
    int32_t steps;
    double start_sigma; // noise level at which the run starts, before any s_churn
    int is_adaptive;
    sdi_adaptive adaptive;
    uint64_t *path_seeds; // copy, NULL without paths
    sdi_brownian paths;

    size_t count;
    float *arrays[SDI_OPERANDS]; // by operand; those that no row uses, and OUT, are NULL
    float *memory;

    int32_t at;    // row that is evaluated next
    int64_t draws; // made so far in this run
    int begun, asked, stepped;
};

/* ---- construction ---------------------------------------------------------------------------- */

static int uses_operand(const sdi_row *row, sdi_operand operand)
{
    return row->x0.c[operand] != 0 || row->keep.c[operand] != 0 || row->anchor.c[operand] != 0 ||
           row->next.c[operand] != 0;
}

/* A schedule can be legal and still be impossible for a sampler: no coefficient may be infinite. */
static sdiff_status check_rows(const sdi_env *env, const sdi_sampler_params *params,
                               const sdi_plan *plan)
{
    for (int32_t r = 0; r < plan->count; r++) {
        const sdi_row *row = &plan->rows[r];
        double sum = row->input + row->before;
        for (int32_t k = 0; k < SDI_OPERANDS; k++)
            sum += row->x0.c[k] + row->keep.c[k] + row->anchor.c[k] + row->next.c[k];
        if (!isfinite(sum))
            return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                            "the sampler \"%s\" cannot step from sigma %g (timestep %g) of this "
                            "schedule with this prediction type",
                            params->name, row->sigma, row->timestep);
        const int from_path = row->noise_to > 0 && params->path_seeds;
        if (!params->noise && (row->before != 0 || (row->next.c[SDI_OP_NOISE] != 0 && !from_path)))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "the sampler \"%s\" adds noise and was given no noise function",
                            params->name);
    }
    return SDIFF_OK;
}

static sdiff_status allocate_arrays(const sdi_env *env, sdi_sampler *s)
{
    int used[SDI_OPERANDS] = {[SDI_OP_X] = 1, [SDI_OP_X0] = 1};
    for (int32_t r = 0; r < s->plan.count; r++) {
        const sdi_row *row = &s->plan.rows[r];
        for (int32_t k = 0; k < SDI_OPERANDS; k++)
            used[k] |= uses_operand(row, (sdi_operand)k);
        used[SDI_OP_M0] |= row->keeps;
        used[SDI_OP_ANCHOR] |= row->anchors;
        used[SDI_OP_NOISE] |= row->draws || row->before != 0;
    }
    used[SDI_OP_OUT] = 0;
    uint64_t arrays = s->is_adaptive ? 1 : 0;
    for (int32_t k = 0; k < SDI_OPERANDS; k++)
        arrays += (uint64_t)used[k];
    s->memory = sdi_zalloc(env, arrays * s->count, sizeof(float));
    if (!s->memory)
        return SDIFF_ERROR_NO_MEMORY;
    float *next = s->memory;
    for (int32_t k = 0; k < SDI_OPERANDS; k++)
        if (used[k]) {
            s->arrays[k] = next;
            next += s->count;
        }
    s->adaptive.previous = s->is_adaptive ? next : NULL;
    return SDIFF_OK;
}

/* The levels are rounded to float as k-diffusion's are: the tree's shape depends on its ends. */
static sdiff_status make_paths(const sdi_env *env, const sdi_sampler_params *params, sdi_sampler *s)
{
    const sdi_levels *levels = &s->levels;
    const int32_t items = params->path_count, first = s->plan.first;
    if (!params->path_seeds || !levels->sigmas || first >= levels->steps)
        return SDIFF_OK;
    if (items < 1 || s->count % (size_t)items != 0)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "%d Brownian paths for latents of %zu numbers: they must divide evenly",
                        items, s->count);
    s->path_seeds = sdi_alloc(env, (uint64_t)items, sizeof *s->path_seeds);
    if (!s->path_seeds)
        return SDIFF_ERROR_NO_MEMORY;
    memcpy(s->path_seeds, params->path_seeds, (size_t)items * sizeof *s->path_seeds);
    const double *last = &levels->sigmas[levels->steps];
    const double low = *last > 0 ? *last : last[-1];
    return sdi_brownian_init(env, &s->paths, s->path_seeds, items, s->count / (size_t)items,
                             (double)(float)low, (double)(float)levels->sigmas[first]);
}

static sdiff_status check_params(const sdi_env *env, const sdi_sampler_params *params)
{
    if (params->count < 1 || params->count > SIZE_MAX / (SDI_OPERANDS * sizeof(float)))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "latents of %zu numbers are not possible", params->count);
    if (!(params->strength >= 0 && params->strength <= 1))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "a strength of %g: it must be 0 to 1",
                        params->strength);
    if (!(params->eta <= 100))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "an eta of %g: it must be a number up to 100, or negative for the default",
                        params->eta);
    if (!(params->s_churn >= 0) || !(params->s_tmin >= 0) || !(params->s_tmax >= 0) ||
        !(params->s_noise >= 0 && params->s_noise <= 100))
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "s_churn %g, s_tmin %g, s_tmax %g, s_noise %g: none may be negative, "
                        "s_noise at most 100",
                        params->s_churn, params->s_tmin, params->s_tmax, params->s_noise);
    return SDIFF_OK;
}

/* diffusers' get_timesteps: the last int(steps * strength) steps are run. */
static int32_t first_step(double strength, int32_t steps)
{
    return steps - SDI_MIN((int32_t)(steps * strength), steps);
}

static sdiff_status plan_rows(const sdi_env *env, const sdi_sampler_entry *entry, sdi_sampler *s)
{
    const sdi_sampler_params *params = &s->params;
    sdi_plan *plan = &s->plan;
    *plan = (sdi_plan){
        .env = env,
        .params = params,
        .table = &s->table,
        .levels = &s->levels,
        .first = first_step(params->strength, s->levels.steps),
        .eta = params->eta < 0 ? entry->eta : params->eta,
        .diffusers = entry->family != SDI_FAMILY_K,
        .s_noise = params->s_noise > 0 ? params->s_noise : 1,
        .order = entry->order,
        .variant = entry->variant,
    };
    entry->plan(plan);
    SDI_TRY(plan->status);
    SDI_TRY(check_rows(env, params, plan));
    s->is_adaptive = entry->plan == sdi_plan_dpm_adaptive;
    if (plan->count > 0 && !s->is_adaptive)
        s->steps = plan->rows[plan->count - 1].step + 1;
    if (plan->count > 0) // s_churn lifts the first row above the level that the run starts from
        s->start_sigma = plan->rows[0].before > 0 ? sdi_plan_level(plan, plan->first).sigma
                                                  : plan->rows[0].sigma;
    return SDIFF_OK;
}

/* diffusers' final_sigmas_type. DEIS and the DPM-Solver that predicts noise have no way to 0. */
static sdi_final final_of(const sdi_sampler_params *params, const sdi_sampler_entry *entry)
{
    const int is_dpm = entry->family == SDI_FAMILY_DPM || entry->family == SDI_FAMILY_DPM_SINGLE;
    if (is_dpm && params->final_sigma_min == 1)
        return SDI_FINAL_SIGMA_MIN;
    if (entry->plan == sdi_plan_unipc && params->final_sigma_min == 2)
        return SDI_FINAL_ZERO;
    return entry->final;
}

static sdiff_status build(const sdi_env *env, const sdi_sampler_params *params, sdi_sampler *s)
{
    const sdi_sampler_entry *entry = sdi_sampler_find(params->name);
    if (!entry)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "there is no sampler \"%s\"",
                        params->name ? params->name : "(null)");
    SDI_TRY(check_params(env, params));
    s->params = *params;
    s->count = params->count;
    SDI_TRY(sdi_sigma_table_new(env, &params->config, &s->table));
    SDI_TRY(
        sdi_levels_new(env, params, &s->table, entry->family, final_of(params, entry), &s->levels));
    SDI_TRY(plan_rows(env, entry, s));
    SDI_TRY(make_paths(env, params, s));
    s->params.name = s->params.schedule = NULL; // the host's, as are the sigmas
    s->params.sigmas = NULL;
    s->params.path_seeds = NULL;
    return allocate_arrays(env, s);
}

sdiff_status sdi_sampler_new(const sdi_env *env, const sdi_sampler_params *params,
                             sdi_sampler **out)
{
    *out = NULL;
    sdi_sampler *s = sdi_zalloc(env, 1, sizeof *s);
    if (!s)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = build(env, params, s);
    if (status != SDIFF_OK) {
        sdi_sampler_free(env, s);
        return status;
    }
    *out = s;
    return SDIFF_OK;
}

void sdi_sampler_free(const sdi_env *env, sdi_sampler *s)
{
    if (!s)
        return;
    sdi_sigma_table_free(env, &s->table);
    sdi_levels_free(env, &s->levels);
    sdi_free(env, s->plan.rows);
    sdi_brownian_free(env, &s->paths);
    sdi_free(env, s->path_seeds);
    sdi_free(env, s->memory);
    sdi_free(env, s);
}

/* ---- what a sampler will do ------------------------------------------------------------------ */

int32_t sdi_sampler_steps(const sdi_sampler *s)
{
    return s->steps;
}

int32_t sdi_sampler_evaluations(const sdi_sampler *s)
{
    return s->is_adaptive ? 0 : s->plan.count;
}

double sdi_sampler_init_sigma(const sdi_sampler *s)
{
    return s->levels.init_sigma;
}

int32_t sdi_sampler_timesteps(const sdi_sampler *s, double *out, int32_t capacity)
{
    const int32_t count = sdi_sampler_evaluations(s);
    for (int32_t r = 0; r < SDI_MIN(count, capacity); r++)
        out[r] = s->plan.rows[r].timestep;
    return count;
}

/* Noise level of the state at the start of a step. */
static double sigma_of_step(const sdi_sampler *s, int32_t step)
{
    if (step <= 0)
        return s->start_sigma;
    for (int32_t r = SDI_MIN(step, s->plan.count); r < s->plan.count; r++)
        if (s->plan.rows[r].step == step)
            return s->plan.rows[r].sigma;
    return 0;
}

void sdi_sampler_add_noise(const sdi_sampler *s, int32_t step, const float *clean,
                           const float *noise, float *out)
{
    const double sigma = sigma_of_step(s, step);
    double keep = 1, add = sigma;
    if (!s->levels.from_zero) {
        keep = 1 / sqrt(sigma * sigma + 1);
        add = isinf(sigma) ? 1 : sigma * keep;
    }
    for (size_t i = 0; i < s->count; i++)
        out[i] = (float)(keep * (double)clean[i] + add * (double)noise[i]);
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* The next draw of the run into the noise array. Draws whose value nobody needs are made too, so
 * that a stateful generator stays in step with the original's; without a function they are only
 * counted. */
static sdiff_status draw_noise(const sdi_env *env, sdi_sampler *s)
{
    const sdi_row *row = &s->plan.rows[s->at];
    const sdi_sampler_params *params = &s->params;
    if (s->path_seeds && row->noise_to > 0) {
        sdi_brownian_noise(&s->paths, row->noise_from, row->noise_to, s->arrays[SDI_OP_NOISE]);
        return SDIFF_OK;
    }
    const int64_t draw = s->draws++;
    if (!params->noise)
        return SDIFF_OK;
    return params->noise(params->noise_user, draw, s->arrays[SDI_OP_NOISE], s->count);
}

/* destination = the form's combination of arrays; it may be one of them. */
static void combine(const sdi_sampler *s, const sdi_form *form, const float *model_output,
                    float *destination)
{
    const float *arrays[SDI_OPERANDS];
    double factors[SDI_OPERANDS];
    int32_t terms = 0;
    for (int32_t k = 0; k < SDI_OPERANDS; k++)
        if (form->c[k] != 0) {
            arrays[terms] = k == SDI_OP_OUT ? model_output : s->arrays[k];
            factors[terms++] = form->c[k];
        }
    for (size_t i = 0; i < s->count; i++) {
        double sum = 0;
        for (int32_t k = 0; k < terms; k++)
            sum += factors[k] * (double)arrays[k][i];
        destination[i] = (float)sum;
    }
}

static void clamp(float *values, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++)
        values[i] = SDI_MIN(SDI_MAX(values[i], -limit), limit);
}

/* Makes room at the front of the history; the oldest array becomes the new one. */
static void push_history(sdi_sampler *s)
{
    int32_t length = 1;
    while (length < SDI_HISTORY && s->arrays[SDI_OP_M0 + length])
        length++;
    float *oldest = s->arrays[SDI_OP_M0 + length - 1];
    for (int32_t k = length - 1; k > 0; k--)
        s->arrays[SDI_OP_M0 + k] = s->arrays[SDI_OP_M0 + k - 1];
    s->arrays[SDI_OP_M0] = oldest;
}

/* Lifts the state to the level of the row that comes next. */
static sdiff_status add_noise_before(const sdi_env *env, sdi_sampler *s)
{
    if (s->at >= s->plan.count || s->plan.rows[s->at].before == 0)
        return SDIFF_OK;
    SDI_TRY(draw_noise(env, s));
    sdi_form form = {{0}};
    form.c[SDI_OP_X] = 1;
    form.c[SDI_OP_NOISE] = s->plan.rows[s->at].before;
    combine(s, &form, NULL, s->arrays[SDI_OP_X]);
    return SDIFF_OK;
}

sdiff_status sdi_sampler_begin(const sdi_env *env, sdi_sampler *s, const float *x)
{
    memcpy(s->arrays[SDI_OP_X], x, s->count * sizeof(float));
    memset(s->arrays[SDI_OP_X0], 0, s->count * sizeof(float));
    s->at = 0;
    s->draws = 0;
    s->begun = 1;
    s->asked = s->stepped = 0;
    if (s->is_adaptive && s->start_sigma > 0)
        sdi_adaptive_begin(&s->plan, &s->adaptive, x, s->count);
    return add_noise_before(env, s);
}

int sdi_sampler_request(sdi_sampler *s, float *input, sdi_ask *ask)
{
    if (!s->begun || s->at >= s->plan.count)
        return 0;
    const sdi_row *row = &s->plan.rows[s->at];
    for (size_t i = 0; i < s->count; i++)
        input[i] = (float)(row->input * (double)s->arrays[SDI_OP_X][i]);
    *ask = (sdi_ask){row->step, SDI_MAX(s->steps, row->step + 1), row->timestep, row->sigma};
    s->asked = 1;
    return 1;
}

sdiff_status sdi_sampler_supply(const sdi_env *env, sdi_sampler *s, const float *model_output)
{
    if (!s->asked)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a model output was supplied that the sampler had not asked for");
    const sdi_row *row = &s->plan.rows[s->at];
    if (row->draws)
        SDI_TRY(draw_noise(env, s));
    combine(s, &row->x0, model_output, s->arrays[SDI_OP_X0]);
    if (s->params.config.clip_sample)
        clamp(s->arrays[SDI_OP_X0], s->count, (float)s->params.config.clip_sample_range);
    if (row->keeps) {
        push_history(s);
        combine(s, &row->keep, model_output, s->arrays[SDI_OP_M0]);
    }
    if (row->anchors)
        combine(s, &row->anchor, model_output, s->arrays[SDI_OP_ANCHOR]);
    combine(s, &row->next, model_output, s->arrays[SDI_OP_X]);
    s->stepped = row->ends_step;
    s->asked = 0;
    if (++s->at == s->plan.count && s->is_adaptive) {
        s->at = 0;
        return sdi_adaptive_next(env, &s->plan, &s->adaptive, s->arrays, s->count, &s->stepped);
    }
    return add_noise_before(env, s);
}

int sdi_sampler_stepped(const sdi_sampler *s)
{
    return s->stepped;
}

float *sdi_sampler_latents(sdi_sampler *s)
{
    return s->arrays[SDI_OP_X];
}

const float *sdi_sampler_predicted_x0(const sdi_sampler *s)
{
    return s->arrays[SDI_OP_X0];
}
