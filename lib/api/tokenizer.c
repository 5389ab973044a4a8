/* SPDX-License-Identifier: MIT
 *
 * sdiff_tokenizer: the CLIP tokenizer on its own.
 */
#include "api/tokenizer_handle.h"

#include <string.h>

static sdiff_tokenizer *new_handle(const sdi_env *env, sdiff_context *context)
{
    sdiff_tokenizer *handle = sdi_zalloc(env, 1, sizeof *handle);
    if (handle)
        handle->context = sdi_context_ref(context);
    return handle;
}

sdiff_status sdiff_tokenizer_open(sdiff_context *context, const char *path, sdiff_tokenizer **out)
{
    SDI_OWN_FLOAT_MODE;
    if (out)
        *out = NULL;
    if (!context || !path || !out)
        return sdi_null_argument(context ? &context->error : NULL, "path or tokenizer");
    const sdi_env env = sdi_context_env(context);
    sdi_error_clear(&context->error);
    sdiff_tokenizer *handle = new_handle(&env, context);
    if (!handle)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = sdi_tokenizer_open(&env, path, &handle->own);
    if (status != SDIFF_OK) {
        sdiff_tokenizer_free(handle);
        return status;
    }
    handle->tokenizer = handle->own;
    handle->pad = sdi_tokenizer_eos(handle->own);
    *out = handle;
    return SDIFF_OK;
}

sdiff_status sdiff_tokenizer_of_model(sdiff_model *model, sdiff_tokenizer **out)
{
    if (out)
        *out = NULL;
    if (!model || !out)
        return sdi_null_argument(model ? &model->error : NULL, "tokenizer");
    const sdi_tokenizer *tokenizer = sdi_model_tokenizer(model->model);
    if (!tokenizer)
        return sdi_fail(&model->env, SDIFF_ERROR_UNSUPPORTED, "%s",
                        sdi_model_tokenizer_reason(model->model));
    sdiff_tokenizer *handle = new_handle(&model->env, model->context);
    if (!handle)
        return SDIFF_ERROR_NO_MEMORY;
    handle->model = sdi_model_handle_ref(model);
    handle->tokenizer = tokenizer;
    handle->pad = sdi_model_get_config(model->model)->clip.pad_token;
    *out = handle;
    return SDIFF_OK;
}

void sdiff_tokenizer_free(sdiff_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    sdiff_context *context = tokenizer->context;
    const sdi_env env = sdi_handle_env(context, NULL);
    sdi_tokenizer_free(&env, tokenizer->own);
    sdi_free(&env, tokenizer->description);
    sdiff_model_free(tokenizer->model);
    sdi_free(&env, tokenizer);
    sdiff_context_free(context);
}

sdiff_status sdiff_tokenizer_encode(sdiff_tokenizer *tokenizer, const char *text, size_t length,
                                    int32_t variant, int32_t *ids, int32_t capacity,
                                    int32_t *count)
{
    if (!tokenizer || !text || !count || capacity < 0 || (capacity && !ids) ||
        variant < SDIFF_TOKENIZER_HF_FAST || variant > SDIFF_TOKENIZER_OPENAI)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_env env = sdi_handle_env(tokenizer->context, &tokenizer->error);
    sdi_error_clear(&tokenizer->error);
    sdi_ids all = {0};
    const size_t bytes = length == (size_t)-1 ? strlen(text) : length;
    const sdiff_status status = sdi_tokenizer_encode(
        &env, tokenizer->tokenizer, (sdi_tokenizer_variant)variant, text, bytes, &all);
    *count = all.count;
    if (status == SDIFF_OK && capacity)
        memcpy(ids, all.ids, (size_t)SDI_MIN(all.count, capacity) * sizeof *ids);
    sdi_ids_free(&env, &all);
    return status;
}

int32_t sdiff_tokenizer_bos(const sdiff_tokenizer *tokenizer)
{
    return tokenizer ? sdi_tokenizer_bos(tokenizer->tokenizer) : -1;
}

int32_t sdiff_tokenizer_eos(const sdiff_tokenizer *tokenizer)
{
    return tokenizer ? sdi_tokenizer_eos(tokenizer->tokenizer) : -1;
}

int32_t sdiff_tokenizer_pad(const sdiff_tokenizer *tokenizer)
{
    return tokenizer ? tokenizer->pad : -1;
}

const char *sdiff_tokenizer_error(const sdiff_tokenizer *tokenizer)
{
    return tokenizer ? tokenizer->error.text : "";
}
