/* SPDX-License-Identifier: MIT
 *
 * A diffusers folder: model_index.json names the parts, each in a folder of its own with
 * config.json and one file of weights or several; or one such part alone.
 */
#include "model/load.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* A part's slot in model_index.json. */
typedef enum slot {
    SLOT_UNET,
    SLOT_VAE,
    SLOT_TEXT,
    SLOT_DEPTH,
    SLOT_OF_MODELS, // those behind it are opened alone
    SLOT_CONTROL = SLOT_OF_MODELS,
    SLOT_TAESD,
    SLOT_COUNT
} slot;

typedef struct slot_info {
    const char *key;     // and the folder's name
    const char *stem;    // of the files of weights
    const char *stem_bin;
    const char *classes[3];
} slot_info;

static const slot_info slots[SLOT_COUNT] = {
    {"unet", "diffusion_pytorch_model", "diffusion_pytorch_model",
     {"UNet2DConditionModel", "UNet2DModel", NULL}},
    {"vae", "diffusion_pytorch_model", "diffusion_pytorch_model", {"AutoencoderKL", NULL, NULL}},
    {"text_encoder", "model", "pytorch_model",
     {"CLIPTextModel", "CLIPTextModelWithProjection", NULL}},
    {"depth_estimator", "model", "pytorch_model", {"DPTForDepthEstimation", NULL, NULL}},
    {"controlnet", "diffusion_pytorch_model", "diffusion_pytorch_model",
     {"ControlNetModel", NULL, NULL}},
    {"taesd", "diffusion_pytorch_model", "diffusion_pytorch_model",
     {"AutoencoderTiny", NULL, NULL}},
};

/* ---- weights --------------------------------------------------------------------------------- */

/* Ways to name the file of weights: with the variant behind the stem, or in the index's name. */
static const char *const patterns[] = {
    ".safetensors",          ".safetensors.index.json",
    ".fp32.safetensors",     ".safetensors.index.fp32.json", ".fp32.safetensors.index.json",
    ".bf16.safetensors",     ".safetensors.index.bf16.json", ".bf16.safetensors.index.json",
    ".fp16.safetensors",     ".safetensors.index.fp16.json", ".fp16.safetensors.index.json",
    ".non_ema.safetensors",
};

static const char *const bin_patterns[] = {
    ".bin",      ".bin.index.json",      ".fp32.bin", ".fp16.bin",
    ".bf16.bin", ".bin.index.fp16.json", ".non_ema.bin",
};

/* The first that exists; *path stays NULL where none does. */
static sdiff_status try_names(const sdi_env *env, const char *folder, const char *stem,
                              const char *const *endings, size_t count, char **path)
{
    char name[128];
    for (size_t i = 0; i < count && !*path; i++) {
        snprintf(name, sizeof name, "/%s%s", stem, endings[i]);
        *path = sdi_join(env, folder, name, "");
        if (!*path)
            return SDIFF_ERROR_NO_MEMORY;
        if (!sdi_exists(*path)) {
            sdi_free(env, *path);
            *path = NULL;
        }
    }
    return SDIFF_OK;
}

static sdiff_status open_weights(sdi_loader *l, const char *folder, slot s, int32_t *index)
{
    char *path = NULL;
    SDI_TRY(try_names(l->env, folder, slots[s].stem, patterns, SDI_COUNT(patterns), &path));
    if (!path)
        SDI_TRY(try_names(l->env, folder, slots[s].stem_bin, bin_patterns, SDI_COUNT(bin_patterns),
                          &path));
    if (!path)
        return sdi_fail(l->env, SDIFF_ERROR_IO,
                        "%s: holds no weights; %s.safetensors (also .fp16, or with an "
                        ".index.json) or %s.bin was needed", folder, slots[s].stem,
                        slots[s].stem_bin);
    const sdiff_status status = sdi_model_add_path(l, path, index);
    sdi_free(l->env, path);
    return status;
}

/* ---- one part -------------------------------------------------------------------------------- */

static sdiff_status read_config(sdi_loader *l, const char *path, slot s)
{
    sdi_model_config *c = &l->model->config;
    json_t *json = NULL;
    SDI_TRY(sdi_json_parse_file(l->env, path, &json));
    sdiff_status status = SDIFF_OK;
    switch (s) {
    case SLOT_UNET: status = sdi_config_unet(l->env, path, json, &c->unet); break;
    case SLOT_VAE: status = sdi_config_vae(l->env, path, json, &c->vae); break;
    case SLOT_TEXT: status = sdi_config_clip(l->env, path, json, &c->clip); break;
    case SLOT_DEPTH: status = sdi_config_dpt(l->env, path, json, &c->depth); break;
    case SLOT_CONTROL: status = sdi_config_control(l->env, path, json, c); break;
    default: status = sdi_config_taesd(l->env, path, json, &c->taesd); break;
    }
    json_decref(json);
    c->heads_from = SDI_FROM_CONFIG;
    if (status == SDIFF_OK && s == SLOT_DEPTH)
        sdi_depth_input_init(&c->depth_input, &c->depth, 0);
    return status;
}

/* The parts of a slot: one, or the two halves of an autoencoder. */
static const sdi_part first_part[SLOT_COUNT] = {SDI_PART_UNET,  SDI_PART_VAE_ENCODER,
                                                SDI_PART_TEXT,  SDI_PART_DEPTH,
                                                SDI_PART_CONTROL, SDI_PART_TAESD_ENCODER};

static int32_t part_count(slot s)
{
    return s == SLOT_VAE || s == SLOT_TAESD ? 2 : 1;
}

static int slot_wanted(const sdi_loader *l, slot s)
{
    int wanted = 0;
    for (int32_t i = 0; i < part_count(s); i++)
        wanted |= sdi_wanted(l, (sdi_part)(first_part[s] + i));
    return wanted;
}

static void set_parts(sdi_loader *l, slot s, int32_t file)
{
    for (int32_t i = 0; i < part_count(s); i++)
        sdi_part_set(l, (sdi_part)(first_part[s] + i), file, SDI_LAYOUT_DIFFUSERS, "");
}

static sdiff_status name_configs(sdi_loader *l, slot s, const char *path)
{
    for (int32_t i = 0; i < part_count(s); i++)
        SDI_TRY(sdi_part_name_config(l, (sdi_part)(first_part[s] + i), path));
    return SDIFF_OK;
}

/* The moving averages of a U-Net are a folder of their own, where they were kept. */
static sdiff_status unet_folder(sdi_loader *l, const char *folder, char **other)
{
    *other = NULL;
    if (!l->options->ema)
        return SDIFF_OK;
    *other = sdi_join(l->env, folder, "_ema", "");
    if (!*other)
        return SDIFF_ERROR_NO_MEMORY;
    if (sdi_is_folder(*other))
        return SDIFF_OK;
    const sdiff_status status =
        sdi_fail(l->env, SDIFF_ERROR_MISMATCH, "%s: has no moving averages (%s)", folder, *other);
    sdi_free(l->env, *other);
    *other = NULL;
    return status;
}

static sdiff_status open_part(sdi_loader *l, const char *folder, slot s)
{
    int32_t file = -1;
    char *path = sdi_join(l->env, folder, "/config.json", "");
    if (!path)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = SDIFF_OK;
    const int wanted = slot_wanted(l, s);
    if (wanted || sdi_exists(path))
        status = read_config(l, path, s);
    if (status == SDIFF_OK)
        status = name_configs(l, s, path);
    sdi_free(l->env, path);
    SDI_TRY(status);
    if (!wanted) {
        set_parts(l, s, -1);
        return SDIFF_OK;
    }
    char *ema = NULL;
    if (s == SLOT_UNET)
        SDI_TRY(unet_folder(l, folder, &ema));
    status = open_weights(l, ema ? ema : folder, s, &file);
    sdi_free(l->env, ema);
    SDI_TRY(status);
    set_parts(l, s, file);
    return SDIFF_OK;
}

/* ---- model_index.json ------------------------------------------------------------------------ */

static int has_word(const char *const *words, const char *word)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return 1;
    return 0;
}

static sdiff_status check_pipeline(const sdi_env *env, const char *path, const json_t *json)
{
    static const char *const others[] = {"StableDiffusionXL", "StableDiffusion3",
                                         "StableDiffusionUpscale", "StableDiffusionLatentUpscale",
                                         "StableDiffusionGLIGEN", "StableUnCLIP"};
    static const char *const unconditional[] = {"DDPMPipeline", "DDIMPipeline", "PNDMPipeline",
                                                "LDMPipeline", "LatentConsistencyModelPipeline",
                                                NULL};
    const char *class = NULL;
    SDI_TRY(sdi_json_get_string(env, path, json, "_class_name", &class));
    if (!class)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: does not name its pipeline ('_class_name')",
                        path);
    int ok = strncmp(class, "StableDiffusion", 15) == 0 || has_word(unconditional, class);
    for (size_t i = 0; i < SDI_COUNT(others); i++)
        ok = ok && strncmp(class, others[i], strlen(others[i])) != 0;
    if (ok)
        return SDIFF_OK;
    return sdi_fail(env, SDIFF_ERROR_UNSUPPORTED,
                    "unsupported: %s is a '%.80s'; pipelines of Stable Diffusion 1.x and 2.x are "
                    "supported", path, class);
}

/* Names of parts become names of folders: nothing may lead out of this one. */
static int is_plain(const char *name)
{
    for (; *name; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
              (*name >= '0' && *name <= '9') || *name == '_' || *name == '-'))
            return 0;
    return 1;
}

static sdiff_status check_members(const sdi_env *env, const char *path, json_t *json)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json, key, value) {
        if (!is_plain(key))
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: '%.100s' is no name of a part (letters, digits, _ and - were "
                            "needed)", path, key);
        if (key[0] == '_' || json_is_boolean(value) || json_is_null(value))
            continue;
        if (json_is_array(value) && json_array_size(value) == 2)
            continue;
        int known = strcmp(key, "scheduler") == 0 || strcmp(key, "tokenizer") == 0;
        for (int32_t i = 0; i < SLOT_OF_MODELS; i++)
            known |= strcmp(key, slots[i].key) == 0;
        if (known || json_is_array(value))
            return sdi_fail(env, SDIFF_ERROR_FORMAT,
                            "%s: '%.100s' must be a list of a library and a class", path, key);
    }
    return SDIFF_OK;
}

/* The class of a part, NULL where the pipeline has none. */
static sdiff_status class_of(const sdi_env *env, const char *path, const json_t *json,
                             const char *key, const char **class)
{
    const json_t *pair = json_object_get(json, key), *value = json_array_get(pair, 1);
    *class = NULL;
    if (!pair || json_is_null(pair) || json_is_null(value))
        return SDIFF_OK;
    *class = json_string_value(value);
    if (!*class)
        return sdi_fail(env, SDIFF_ERROR_FORMAT, "%s: the class of '%s' is no string", path, key);
    return SDIFF_OK;
}

static sdiff_status open_slot(sdi_loader *l, const char *folder, const char *index_path,
                              const json_t *json, slot s)
{
    const char *class = NULL;
    SDI_TRY(class_of(l->env, index_path, json, slots[s].key, &class));
    if (!class)
        return SDIFF_OK;
    if (!has_word(slots[s].classes, class))
        return sdi_fail(l->env, SDIFF_ERROR_UNSUPPORTED,
                        "unsupported: the '%s' of %s is a '%.80s', %s was needed", slots[s].key,
                        index_path, class, slots[s].classes[0]);
    char name[32], *path = NULL;
    snprintf(name, sizeof name, "/%s", slots[s].key);
    SDI_TRY(sdi_follow_join(l->env, folder, name, &path));
    sdiff_status status = SDIFF_OK;
    if (slot_wanted(l, s) || sdi_is_folder(path))
        status = open_part(l, path, s);
    sdi_free(l->env, path);
    return status;
}

/* A file that a folder need not have: *json stays NULL, and *path names it all the same. */
static sdiff_status read_optional(sdi_loader *l, const char *folder, const char *name,
                                  const char *file, char **path, json_t **json)
{
    *json = NULL;
    *path = sdi_join(l->env, folder, name, file);
    if (!*path)
        return SDIFF_ERROR_NO_MEMORY;
    return sdi_exists(*path) ? sdi_json_parse_file(l->env, *path, json) : SDIFF_OK;
}

static sdiff_status read_scheduler(sdi_loader *l, const char *folder)
{
    json_t *json;
    char *path;
    sdiff_status status =
        read_optional(l, folder, "/scheduler", "/scheduler_config.json", &path, &json);
    if (json)
        status = sdi_config_scheduler(l->env, path, json, &l->model->config);
    json_decref(json);
    sdi_free(l->env, path);
    return status;
}

/* How pictures are prepared for the depth estimator; beside its own folder, or in it. */
static sdiff_status read_extractor(sdi_loader *l, const char *folder, const char *name)
{
    json_t *json;
    char *path;
    if (!l->model->config.has[SDI_PART_DEPTH])
        return SDIFF_OK;
    sdiff_status status =
        read_optional(l, folder, name, "/preprocessor_config.json", &path, &json);
    if (json)
        status = sdi_config_depth_input(l->env, path, json, &l->model->config.depth_input);
    json_decref(json);
    sdi_free(l->env, path);
    return status;
}

static sdiff_status open_index(sdi_loader *l, const char *folder, const char *path)
{
    json_t *json = NULL;
    SDI_TRY(sdi_json_parse_file(l->env, path, &json));
    sdiff_status status = SDIFF_OK;
    if (!json_is_object(json))
        status = sdi_fail(l->env, SDIFF_ERROR_FORMAT, "%s: is not a JSON object", path);
    if (status == SDIFF_OK)
        status = check_members(l->env, path, json);
    if (status == SDIFF_OK)
        status = check_pipeline(l->env, path, json);
    for (int32_t s = 0; s < SLOT_OF_MODELS && status == SDIFF_OK; s++)
        status = open_slot(l, folder, path, json, (slot)s);
    if (status == SDIFF_OK && json_object_get(json, "vqvae"))
        status = sdi_fail(l->env, SDIFF_ERROR_UNSUPPORTED,
                          "unsupported: %s has a 'vqvae', an AutoencoderKL was needed", path);
    json_decref(json);
    if (status == SDIFF_OK)
        status = read_extractor(l, folder, "/feature_extractor");
    return status == SDIFF_OK ? read_scheduler(l, folder) : status;
}

/* ---- a part alone ---------------------------------------------------------------------------- */

static sdiff_status open_alone(sdi_loader *l, const char *folder, const char *path)
{
    static const sdi_family families[] = {SDI_FAMILY_DEPTH, SDI_FAMILY_CONTROLNET,
                                          SDI_FAMILY_TAESD};
    json_t *json = NULL;
    SDI_TRY(sdi_json_parse_file(l->env, path, &json));
    const char *class = json_string_value(json_object_get(json, "_class_name"));
    if (!class)
        class = json_string_value(json_array_get(json_object_get(json, "architectures"), 0));
    int32_t s = 0;
    while (s < SLOT_COUNT && (!class || !has_word(slots[s].classes, class)))
        s++;
    sdiff_status status = SDIFF_OK;
    if (s == SLOT_COUNT)
        status = sdi_fail(l->env, SDIFF_ERROR_UNSUPPORTED,
                          "unsupported: %s describes %s%.80s, which is no model and no part of one",
                          path, class ? "a " : "nothing known", class ? class : "");
    json_decref(json);
    if (status == SDIFF_OK)
        status = open_part(l, folder, (slot)s);
    if (status == SDIFF_OK && s >= SLOT_DEPTH)
        l->model->config.family = families[s - SLOT_DEPTH];
    if (status == SDIFF_OK)
        status = read_extractor(l, folder, "/../feature_extractor");
    return status == SDIFF_OK ? read_extractor(l, folder, "") : status;
}

sdiff_status sdi_open_folder(sdi_loader *l, const char *folder)
{
    char *index = sdi_join(l->env, folder, "/model_index.json", "");
    char *config = sdi_join(l->env, folder, "/config.json", "");
    sdiff_status status = index && config ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    l->model->diffusers = 1;
    if (status == SDIFF_OK && sdi_exists(index))
        status = open_index(l, folder, index);
    else if (status == SDIFF_OK && sdi_exists(config))
        status = open_alone(l, folder, config);
    else if (status == SDIFF_OK)
        status = sdi_fail(l->env, SDIFF_ERROR_UNSUPPORTED,
                          "unsupported: the folder %s is not a model: neither model_index.json nor "
                          "config.json is in it (a checkpoint in one file is opened by the file's "
                          "own path)", folder);
    sdi_free(l->env, index);
    sdi_free(l->env, config);
    SDI_TRY(status);
    if (!l->options->config)
        return SDIFF_OK;
    l->model->config_place = sdi_strdup(l->env, l->options->config);
    if (!l->model->config_place)
        return SDIFF_ERROR_NO_MEMORY;
    return sdi_config_apply_file(l->env, l->options->config, &l->model->config);
}
