/* SPDX-License-Identifier: MIT
 *
 * sd-demo: LoRA files and textual inversions.
 */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

/* Cuts ":0.8" off a copy of "file.safetensors:0.8". A name that holds a colon and no number behind
 * it stays whole. */
static double cut_scale(char *word)
{
    double scale = 1;
    char *colon = strrchr(word, ':');
    if (colon && parse_real(colon + 1, &scale))
        *colon = '\0';
    return scale;
}

static sdiff_status add_lora(sdiff_model *model, const char *word)
{
    char *path = strdup(word);
    if (!path)
        return SDIFF_ERROR_NO_MEMORY;
    const double scale = cut_scale(path);
    const sdiff_status status = sdiff_model_add_lora(model, path, scale);
    free(path);
    return status;
}

int adapters_add(demo *d)
{
    const settings *s = &d->settings;
    sdiff_status status = SDIFF_OK;
    for (int i = 0; i < s->loras.count && status == SDIFF_OK; i++)
        status = add_lora(d->model, s->loras.words[i]);
    for (int i = 0; i < s->embeddings.count && status == SDIFF_OK; i++)
        status = sdiff_model_add_embedding(d->model, s->embeddings.words[i], NULL);
    if (status != SDIFF_OK)
        return complain("sd-demo", status, sdiff_model_error(d->model));
    if (s->verbose && *sdiff_model_lora_report(d->model))
        progress_line(&d->progress, "without a place in the model:\n%s",
                      sdiff_model_lora_report(d->model));
    return 0;
}
