/* SPDX-License-Identifier: MIT
 *
 * The configurations that a file written by sdi_save_ldm carries in its metadata.
 */
#include "model/load.h"
#include "model/save_file.h"

#include <string.h>

sdiff_status sdi_apply_saved(sdi_loader *l, int32_t file)
{
    const sdi_model_file *f = &l->model->files[file];
    for (int32_t i = 0; i < SDI_SAVED_CONFIGS; i++) {
        const char *text = sdi_tensor_file_metadata(f->file, sdi_saved_configs[i]);
        if (text)
            SDI_TRY(sdi_config_apply(l->env, f->name, text, strlen(text), &l->model->config));
    }
    return SDIFF_OK;
}
