/* SPDX-License-Identifier: MIT
 *
 * The configurations that a file written by sdi_save_ldm carries in its metadata.
 */
#include "model/load.h"
#include "model/save_file.h"

#include <string.h>

static sdiff_status apply(sdi_loader *l, const char *name, const char *text, int32_t kind)
{
    sdi_model_config *c = &l->model->config;
    json_t *json = NULL;
    if (kind != SDI_SAVED_DEPTH && kind != SDI_SAVED_DEPTH_INPUT)
        return sdi_config_apply(l->env, name, text, strlen(text), c);
    SDI_TRY(sdi_json_parse(l->env, name, text, strlen(text), &json));
    const sdiff_status status = kind == SDI_SAVED_DEPTH
                                    ? sdi_config_dpt(l->env, name, json, &c->depth)
                                    : sdi_config_depth_input(l->env, name, json, &c->depth_input);
    json_decref(json);
    return status;
}

sdiff_status sdi_apply_saved(sdi_loader *l, int32_t file)
{
    const sdi_model_file *f = &l->model->files[file];
    for (int32_t i = 0; i < SDI_SAVED_CONFIGS; i++) {
        const char *text = sdi_tensor_file_metadata(f->file, sdi_saved_configs[i]);
        if (text)
            SDI_TRY(apply(l, f->name, text, i));
    }
    return SDIFF_OK;
}
