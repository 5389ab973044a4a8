/* SPDX-License-Identifier: MIT
 *
 * Pictures of the steps: what the latents would be if the noise predicted so far were taken away,
 * as files of their own (--preview) or side by side in one file with the picture last
 * (--filmstrip).
 */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2, MAX_CELL = 256, MAX_COLUMNS = 12 };

static int complain_about(filmstrip *f, sdiff_status status, const char *sentence)
{
    f->code = complain("sd-demo", status, sentence);
    return f->code;
}

/* ---- the strip ------------------------------------------------------------------------------- */

/* Rows of equal length, longer ones where there are very many steps. */
static void lay_out(filmstrip *f, int32_t cells)
{
    int32_t longest = MAX_COLUMNS;
    while (longest * longest < cells)
        longest++;
    f->rows = (cells + longest - 1) / longest;
    f->columns = (cells + f->rows - 1) / f->rows;
    f->cell_width = f->width;
    f->cell_height = f->height;
    while (f->cell_width > MAX_CELL || f->cell_height > MAX_CELL ||
           f->columns * (f->cell_width + GAP) + GAP > SDIFF_IMAGE_MAX_SIDE ||
           f->rows * (f->cell_height + GAP) + GAP > SDIFF_IMAGE_MAX_SIDE) {
        f->cell_width = (f->cell_width + 1) / 2;
        f->cell_height = (f->cell_height + 1) / 2;
    }
}

static int new_strip(filmstrip *f)
{
    const int32_t width = f->columns * (f->cell_width + GAP) + GAP;
    const int32_t height = f->rows * (f->cell_height + GAP) + GAP;
    const sdiff_status status = sdiff_image_new(f->context, width, height, 3, NULL, &f->strip);
    if (status != SDIFF_OK)
        return complain_about(f, status, sdiff_context_error(f->context));
    memset(sdiff_image_pixels(f->strip), 255,
           3 * (size_t)sdiff_image_width(f->strip) * (size_t)sdiff_image_height(f->strip));
    return 0;
}

static int put_cell(filmstrip *f, int32_t index, const sdiff_image *image)
{
    sdiff_image *cell = NULL;
    const sdiff_status status =
        sdiff_image_resize(f->context, image, f->cell_width, f->cell_height, &cell);
    if (status != SDIFF_OK)
        return complain_about(f, status, sdiff_context_error(f->context));
    const size_t stride = 3 * (size_t)sdiff_image_width(f->strip);
    const size_t row = 3 * (size_t)f->cell_width;
    const int32_t x = GAP + index % f->columns * (f->cell_width + GAP);
    const int32_t y = GAP + index / f->columns * (f->cell_height + GAP);
    uint8_t *to = sdiff_image_pixels(f->strip) + (size_t)y * stride + 3 * (size_t)x;
    for (int32_t i = 0; i < f->cell_height; i++)
        memcpy(to + (size_t)i * stride, sdiff_image_pixels(cell) + (size_t)i * row, row);
    sdiff_image_free(cell);
    return 0;
}

/* Keeps the picture of a step, no larger than it can be shown, until their number is known:
 * adaptive samplers find it on the way. Takes the image. */
static void keep_cell(filmstrip *f, sdiff_image *image)
{
    const int32_t w = sdiff_image_width(image), h = sdiff_image_height(image);
    sdiff_image **cells = realloc(f->cells, ((size_t)f->count + 1) * sizeof *cells);
    sdiff_image *small = NULL;
    if (cells)
        f->cells = cells;
    if (!cells) {
        complain_about(f, SDIFF_ERROR_NO_MEMORY, NULL);
    } else if (w <= MAX_CELL && h <= MAX_CELL) {
        f->cells[f->count++] = image;
        return;
    } else {
        const int32_t side = w > h ? w : h;
        const sdiff_status status = sdiff_image_resize(
            f->context, image, (w * MAX_CELL + side - 1) / side, (h * MAX_CELL + side - 1) / side,
            &small);
        if (status == SDIFF_OK)
            f->cells[f->count++] = small;
        else
            complain_about(f, status, sdiff_context_error(f->context));
    }
    sdiff_image_free(image);
}

/* ---- one step -------------------------------------------------------------------------------- */

static int save_preview(filmstrip *f, const sdiff_image *image, int32_t step)
{
    char name[64];
    if (f->pictures > 1)
        snprintf(name, sizeof name, "picture-%lld-step-%03d.png", (long long)f->picture + 1, step);
    else
        snprintf(name, sizeof name, "step-%03d.png", step);
    const size_t size = strlen(f->folder) + strlen(name) + 2;
    char *path = malloc(size);
    sdiff_image *large = NULL;
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    if (path) {
        snprintf(path, size, "%s/%s", f->folder, name);
        status = sdiff_image_resize(f->context, image, f->width, f->height, &large);
    }
    if (status == SDIFF_OK)
        status = sdiff_image_save_png(f->context, large, path, NULL);
    sdiff_image_free(large);
    free(path);
    return status == SDIFF_OK ? 0 : complain_about(f, status, sdiff_context_error(f->context));
}

void filmstrip_step(filmstrip *f, const sdiff_step *step)
{
    sdiff_image *image = NULL;
    if (f->code || (!f->folder && !f->path))
        return;
    const sdiff_status status =
        f->taesd ? sdiff_taesd_preview(f->taesd, step->predicted_x0, step->height, step->width,
                                       &image)
                 : sdiff_model_preview(f->model, step->predicted_x0, step->height, step->width,
                                       &image);
    if (status != SDIFF_OK)
        complain_about(f, status,
                       f->taesd ? sdiff_taesd_error(f->taesd) : sdiff_model_error(f->model));
    else if (f->folder)
        save_preview(f, image, step->step + 1);
    if (f->path && !f->code)
        keep_cell(f, image);
    else
        sdiff_image_free(image);
}

int filmstrip_finish(filmstrip *f, sdiff_image *picture)
{
    if (f->code || !f->path)
        return f->code;
    lay_out(f, f->count + 1);
    if (new_strip(f))
        return f->code;
    for (int32_t i = 0; i < f->count && !f->code; i++)
        put_cell(f, i, f->cells[i]);
    if (f->code || put_cell(f, f->count, picture))
        return f->code;
    const sdiff_status status = sdiff_image_save_png(f->context, f->strip, f->path, NULL);
    return status == SDIFF_OK ? 0 : complain_about(f, status, sdiff_context_error(f->context));
}

void filmstrip_drop(filmstrip *f)
{
    for (int32_t i = 0; i < f->count; i++)
        sdiff_image_free(f->cells[i]);
    sdiff_image_free(f->strip);
    free(f->cells);
    free(f->path);
    f->cells = NULL;
    f->strip = NULL;
    f->path = NULL;
    f->count = 0;
}
