/* SPDX-License-Identifier: MIT
 *
 * The tensor files of a model, which stay open as long as it lives, and the rows of a parameter in
 * them.
 */
#include "model/load.h"

#include "base/memory.h"

#include <string.h>
#include <sys/stat.h>

char *sdi_join(const sdi_env *env, const char *a, const char *b, const char *c)
{
    const size_t la = strlen(a), lb = strlen(b), lc = strlen(c);
    char *path = sdi_alloc(env, la + lb + lc + 1, 1);
    if (!path)
        return NULL;
    memcpy(path, a, la);
    memcpy(path + la, b, lb);
    memcpy(path + la + lb, c, lc + 1);
    return path;
}

int sdi_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int sdi_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

int sdi_wanted(const sdi_loader *l, sdi_part part)
{
    if (l->without_vae && (part == SDI_PART_VAE_ENCODER || part == SDI_PART_VAE_DECODER))
        return 0;
    return l->options->components == SDI_LOAD_ALL || (l->options->components >> part & 1);
}

sdiff_status sdi_model_add_file(const sdi_loader *l, sdi_tensor_file *file, const char *name,
                                int32_t serial, int32_t *index)
{
    sdi_model *m = l->model;
    if (m->file_count == SDI_MAX_FILES) {
        sdi_tensor_file_free(l->env, file);
        return sdi_fail(l->env, SDIFF_ERROR_LIMIT, "%s: one file too many for a model", name);
    }
    sdi_model_file *f = &m->files[m->file_count];
    *index = m->file_count++;
    f->file = file;
    f->serial = serial;
    f->name = sdi_strdup(l->env, name);
    f->state = sdi_zalloc(l->env, (uint64_t)sdi_tensor_file_count(file), 1);
    return f->name && f->state ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

sdiff_status sdi_model_add_path(const sdi_loader *l, const char *path, int32_t *index)
{
    sdi_tensor_file *file = NULL;
    SDI_TRY(sdi_tensor_file_open_path(l->env, path, &file));
    return sdi_model_add_file(l, file, path, 0, index);
}

void sdi_part_set(const sdi_loader *l, sdi_part part, int32_t file, sdi_layout layout,
                  const char *prefix)
{
    sdi_model *m = l->model;
    sdi_naming *naming = &m->parts[part].naming;
    m->config.has[part] = 1;
    if (part == SDI_PART_CONTROL)
        m->config.control.decades = layout == SDI_LAYOUT_DIFFUSERS;
    m->parts[part].file = file;
    *naming = (sdi_naming){.part = part, .layout = layout, .unet = &m->config.unet};
    memcpy(naming->prefix, prefix, SDI_MIN(strlen(prefix) + 1, sizeof naming->prefix - 1));
}

sdiff_status sdi_part_name_config(const sdi_loader *l, sdi_part part, const char *name)
{
    sdi_model_part *p = &l->model->parts[part];
    sdi_free(l->env, p->config_name);
    p->config_name = sdi_strdup(l->env, name);
    return p->config_name ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

/* q, k or v out of a fused tensor whose heads stand outside: [heads][pieces][rows]. */
static sdiff_status gather(const sdi_env *env, const sdi_tensor_ref *ref, const unsigned char *all,
                           uint64_t bytes, const void **data, void **owned)
{
    const uint64_t block = bytes / (uint64_t)ref->pieces / (uint64_t)ref->heads;
    unsigned char *out = sdi_alloc(env, (uint64_t)ref->heads, block);
    if (!out)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t h = 0; h < ref->heads; h++)
        memcpy(out + (uint64_t)h * block,
               all + (uint64_t)(h * ref->pieces + ref->piece) * block, (size_t)block);
    sdi_free(env, *owned);
    *data = *owned = out;
    return SDIFF_OK;
}

sdiff_status sdi_ref_data(const sdi_env *env, const sdi_tensor_ref *ref, const void **data,
                          void **owned)
{
    const sdi_tensor_info *info = sdi_tensor_file_info(ref->file, ref->index);
    SDI_TRY(sdi_tensor_file_data(env, ref->file, ref->index, data, owned));
    if (ref->pieces == 1)
        return SDIFF_OK;
    if (ref->heads == 1) {
        *data = (const unsigned char *)*data +
                info->bytes / (uint64_t)ref->pieces * (uint64_t)ref->piece;
        return SDIFF_OK;
    }
    const sdiff_status status = gather(env, ref, *data, info->bytes, data, owned);
    if (status != SDIFF_OK) {
        sdi_free(env, *owned);
        *owned = NULL;
    }
    return status;
}
