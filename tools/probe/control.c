/* SPDX-License-Identifier: MIT
 *
 * sd-probe: ControlNets, on their own, for the U-Net, and in whole runs.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int probe_add_control(probe *p, char *text)
{
    double numbers[3] = {1, 0, 1};
    if (p->control_count == MAX_CONTROLS) {
        probe_fail("too many --controlnet");
        return 0;
    }
    split_numbers(text, numbers, 3);
    p->controls[p->control_count++] =
        (control){.path = text, .weight = numbers[0], .start = numbers[1], .end = numbers[2]};
    return 1;
}

/* ---- residuals ------------------------------------------------------------------------------- */

static int fail_tensors(const sdiff_tensors *tensors)
{
    return complain("sd-probe", SDIFF_ERROR_INVALID_ARGUMENT, sdiff_tensors_error(tensors));
}

/* Adds weight * tensor `from` of `given` to tensor `to` of the input. */
static int add_residual(probe *p, sdiff_tensors *given, const char *from, const char *to,
                        double weight)
{
    int64_t shape[8];
    size_t count = 1;
    const int32_t rank = sdiff_tensors_shape(given, from, shape);
    for (int32_t i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    float *values = malloc(2 * count * sizeof *values), *sum = values + count;
    if (!values)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    int code = sdiff_tensors_get_f32(given, from, values, count) == SDIFF_OK ? 0
                                                                            : fail_tensors(given);
    memset(sum, 0, count * sizeof *sum);
    if (!code && sdiff_tensors_shape(p->in, to, NULL) >= 0 &&
        sdiff_tensors_get_f32(p->in, to, sum, count) != SDIFF_OK)
        code = fail_tensors(p->in);
    for (size_t i = 0; i < count && !code; i++)
        sum[i] += (float)weight * values[i];
    if (!code && sdiff_tensors_set(p->in, to, SDIFF_DTYPE_F32, rank, shape, sum) != SDIFF_OK)
        code = fail_tensors(p->in);
    free(values);
    return code;
}

static int add_residuals(probe *p, sdiff_tensors *given, double weight)
{
    int code = add_residual(p, given, "mid", "mid_residual", weight);
    for (int i = 0; !code; i++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "down.%d", i);
        snprintf(to, sizeof to, "down_residual.%d", i);
        if (sdiff_tensors_shape(given, from, NULL) < 0)
            break;
        code = add_residual(p, given, from, to, weight);
    }
    return code;
}

/* One ControlNet on the input tensors. */
static int run_control(probe *p, const char *path, sdiff_tensors *out)
{
    sdiff_model *model = NULL;
    sdiff_status status = sdiff_model_open(p->context, path, &p->model_params, &model);
    if (status != SDIFF_OK)
        return complain("sd-probe", status, sdiff_context_error(p->context));
    status = sdiff_model_run(model, "controlnet", p->in, NULL, out);
    const int code =
        status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_model_error(model));
    sdiff_model_free(model);
    return code;
}

int probe_residuals(probe *p)
{
    int code = 0;
    for (int i = 0; i < p->control_count && !code; i++) {
        sdiff_tensors *out = NULL;
        if (sdiff_tensors_new(p->context, &out) != SDIFF_OK)
            return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
        code = run_control(p, p->controls[i].path, out);
        if (!code)
            code = add_residuals(p, out, p->controls[i].weight);
        sdiff_tensors_free(out);
    }
    return code;
}

int probe_controlnet(probe *p)
{
    const char *path = p->control_count ? p->controls[0].path : p->model_path;
    if (!path)
        return probe_fail("which ControlNet? (--controlnet FILE or -m FILE)");
    return run_control(p, path, p->out);
}

/* ---- whole runs ------------------------------------------------------------------------------ */

static int add_to_pipeline(probe *p, sdiff_pipeline *pipeline, const control *c,
                           const sdiff_control_params *params)
{
    sdiff_controlnet *controlnet = NULL;
    sdiff_status status =
        sdiff_controlnet_open(p->context, c->path, &p->model_params, &controlnet);
    if (status != SDIFF_OK)
        return complain("sd-probe", status, sdiff_context_error(p->context));
    status = sdiff_pipeline_add_control(pipeline, controlnet, params);
    sdiff_controlnet_free(controlnet);
    return status == SDIFF_OK ? 0
                              : complain("sd-probe", status, sdiff_pipeline_error(pipeline));
}

static int add_control(probe *p, sdiff_pipeline *pipeline, int index)
{
    const control *c = &p->controls[index];
    char name[32], sentence[96];
    int64_t shape[8];
    sdiff_control_params params;
    sdiff_control_params_init(&params, sizeof params);
    snprintf(name, sizeof name, "hint.%d", index);
    if (sdiff_tensors_shape(p->in, name, NULL) < 0)
        snprintf(name, sizeof name, "hint");
    const int32_t rank = sdiff_tensors_shape(p->in, name, shape);
    if (rank != 4 || shape[0] < 1 || shape[1] != 3 || shape[2] < 1 || shape[3] < 1 ||
        shape[2] > SDIFF_IMAGE_MAX_SIDE || shape[3] > SDIFF_IMAGE_MAX_SIDE) {
        snprintf(sentence, sizeof sentence, "the input tensor '%s' has to be [1, 3, h, w]", name);
        return probe_fail(sentence);
    }
    const size_t count = 3 * (size_t)shape[2] * (size_t)shape[3];
    float *hint = malloc((size_t)shape[0] * count * sizeof *hint);
    if (!hint)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    params.hint = hint;
    params.height = (int32_t)shape[2];
    params.width = (int32_t)shape[3];
    params.weight = c->weight;
    params.start = c->start;
    params.end = c->end;
    params.guess_mode = strcmp(probe_key(p, "guess", "0"), "0") != 0;
    int code = sdiff_tensors_get_f32(p->in, name, hint, (size_t)shape[0] * count) == SDIFF_OK
                   ? add_to_pipeline(p, pipeline, c, &params)
                   : fail_tensors(p->in);
    free(hint);
    return code;
}

int probe_control_pipeline(probe *p, sdiff_pipeline *pipeline)
{
    int code = 0;
    for (int i = 0; i < p->control_count && !code; i++)
        code = add_control(p, pipeline, i);
    return code;
}
