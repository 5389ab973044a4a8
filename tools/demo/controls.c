/* SPDX-License-Identifier: MIT
 *
 * sd-demo: ControlNets and their hints, depth, the tiny autoencoder.
 */
#include "demo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fail_library(demo *d, sdiff_status status)
{
    return complain("sd-demo", status, sdiff_context_error(d->context));
}

/* ---- hints ----------------------------------------------------------------------------------- */

static int read_text(const char *path, char **out, size_t *size)
{
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail(SDIFF_ERROR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    *out = malloc(MOST);
    *size = *out ? fread(*out, 1, MOST, file) : 0;
    const int whole = *out && feof(file);
    fclose(file);
    if (whole)
        return 0;
    return *out ? fail(SDIFF_ERROR_LIMIT, "%s: is no text of up to 1 MiB", path)
                : complain("sd-demo", SDIFF_ERROR_NO_MEMORY, NULL);
}

static int pose_hint(demo *d, const char *path, sdiff_image **out)
{
    char *json = NULL;
    size_t size = 0;
    int code = read_text(path, &json, &size);
    if (!code) {
        const sdiff_status status =
            sdiff_hint_pose(d->context, json, size, (int32_t)d->settings.width,
                            (int32_t)d->settings.height, out);
        code = status == SDIFF_OK ? 0 : fail_library(d, status);
    }
    free(json);
    return code;
}

/* The picture in the results' size, and what --control-hint makes of it. */
static int picture_hint(demo *d, const sdiff_image *picture, sdiff_image **out)
{
    sdiff_image *fitted = NULL;
    const int64_t kind = d->settings.canny ? SETTINGS_CANNY : d->settings.control_hint;
    sdiff_status status =
        sdiff_image_resize(d->context, picture, (int32_t)d->settings.width,
                           (int32_t)d->settings.height, &fitted);
    if (status == SDIFF_OK && kind == SETTINGS_CANNY)
        status = sdiff_hint_canny(d->context, fitted, 0, 100, 200, out);
    else if (status == SDIFF_OK && kind == SETTINGS_SCRIBBLE)
        status = sdiff_hint_scribble(d->context, fitted, 127, 1, out);
    else
        *out = fitted;
    if (*out != fitted)
        sdiff_image_free(fitted);
    return status == SDIFF_OK ? 0 : fail_library(d, status);
}

static int is_json(const char *path)
{
    const size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

/* Of ControlNet i: its own --control-image, else the last one named, else --init-img. */
static int make_hint(demo *d, int i, sdiff_image **out)
{
    const word_list *images = &d->settings.control_images;
    sdiff_image *loaded = NULL;
    *out = NULL;
    if (!images->count && !d->inputs.picture)
        return fail(SDIFF_ERROR_INVALID_ARGUMENT,
                    "--controlnet needs a picture (--control-image or --init-img)");
    if (!images->count)
        return picture_hint(d, d->inputs.picture, out);
    const char *path = images->words[i < images->count ? i : images->count - 1];
    if (is_json(path))
        return pose_hint(d, path, out);
    const sdiff_status status = sdiff_image_load_png(d->context, path, &loaded);
    if (status != SDIFF_OK)
        return fail_library(d, status);
    const int code = picture_hint(d, loaded, out);
    sdiff_image_free(loaded);
    return code;
}

/* ---- ControlNets ----------------------------------------------------------------------------- */

static int add_control(demo *d, char *path, const sdiff_image *hint)
{
    sdiff_model_params model;
    sdiff_control_params params;
    sdiff_controlnet *control = NULL;
    double numbers[3] = {1, 0, 1};
    split_numbers(path, numbers, 3);
    sdiff_model_params_init(&model, sizeof model);
    sdiff_control_params_init(&params, sizeof params);
    model.compute = (int32_t)d->settings.compute;
    params.image = hint;
    params.weight = numbers[0];
    params.start = numbers[1];
    params.end = numbers[2];
    params.guess_mode = (int32_t)d->settings.guess;
    sdiff_status status = sdiff_controlnet_open(d->context, path, &model, &control);
    if (status != SDIFF_OK)
        return fail_library(d, status);
    status = sdiff_pipeline_add_control(d->pipeline, control, &params);
    sdiff_controlnet_free(control);
    return status == SDIFF_OK ? 0
                              : complain("sd-demo", status, sdiff_pipeline_error(d->pipeline));
}

static int add_controls(demo *d)
{
    const settings *s = &d->settings;
    int code = 0;
    for (int i = 0; i < s->controls.count && !code; i++) {
        sdiff_image *hint = NULL;
        char *path = strdup(s->controls.words[i]);
        code = path ? make_hint(d, i, &hint) : complain("sd-demo", SDIFF_ERROR_NO_MEMORY, NULL);
        if (!code)
            code = add_control(d, path, hint);
        sdiff_image_free(hint);
        free(path);
    }
    return code;
}

/* ---- depth ----------------------------------------------------------------------------------- */

static int save_depth(demo *d, sdiff_depth *depth)
{
    const sdiff_image *picture = d->inputs.picture;
    const int32_t w = sdiff_image_width(picture), h = sdiff_image_height(picture);
    float *planes = malloc(3 * (size_t)w * (size_t)h * sizeof *planes);
    sdiff_image *gray = NULL;
    if (!planes)
        return complain("sd-demo", SDIFF_ERROR_NO_MEMORY, NULL);
    sdiff_status status =
        sdiff_image_to_planes(d->context, picture, w, h, SDIFF_FIT_STRETCH, planes, NULL);
    int code = status == SDIFF_OK ? 0 : fail_library(d, status);
    if (!code && (status = sdiff_depth_image(depth, planes, w, h, &gray)) != SDIFF_OK)
        code = complain("sd-demo", status, sdiff_depth_error(depth));
    if (!code && (status = sdiff_image_save_png(d->context, gray, d->settings.depth_out, NULL)) !=
                     SDIFF_OK)
        code = fail_library(d, status);
    sdiff_image_free(gray);
    free(planes);
    return code;
}

static int write_depth(demo *d)
{
    sdiff_depth *depth = NULL;
    if (!d->settings.depth_out)
        return 0;
    if (!d->inputs.picture)
        return fail(SDIFF_ERROR_INVALID_ARGUMENT, "--depth-out needs a picture (--init-img)");
    const sdiff_status status = sdiff_depth_of_model(d->model, &depth);
    if (status != SDIFF_OK)
        return complain("sd-demo", status, sdiff_model_error(d->model));
    const int code = save_depth(d, depth);
    sdiff_depth_free(depth);
    return code;
}

/* ---- together -------------------------------------------------------------------------------- */

static int use_taesd(demo *d)
{
    sdiff_model_params params;
    if (!d->settings.taesd)
        return 0;
    sdiff_model_params_init(&params, sizeof params);
    params.compute = (int32_t)d->settings.compute;
    sdiff_status status =
        sdiff_taesd_open(d->context, d->settings.taesd, &params, &d->film.taesd);
    if (status != SDIFF_OK)
        return fail_library(d, status);
    status = sdiff_pipeline_set_taesd(d->pipeline, d->film.taesd);
    return status == SDIFF_OK ? 0
                              : complain("sd-demo", status, sdiff_pipeline_error(d->pipeline));
}

int controls_add(demo *d)
{
    int code = write_depth(d);
    if (!code)
        code = use_taesd(d);
    return code ? code : add_controls(d);
}
