/* SPDX-License-Identifier: MIT
 *
 * sdiff_context: memory, log, threads and kernels of a family of handles.
 */
#include "api/handle.h"

#include <stdlib.h>
#include <string.h>

static const sdiff_context_params defaults = {.struct_size = sizeof defaults,
                                              .log_level = SDIFF_LOG_LEVEL_INFO};

void sdiff_context_params_init(sdiff_context_params *params, size_t struct_size)
{
    sdi_params_init(params, struct_size, &defaults, sizeof defaults);
}

sdi_env sdi_context_env(sdiff_context *context)
{
    return sdi_handle_env(context, &context->error);
}

sdi_env sdi_handle_env(sdiff_context *context, sdi_error *error)
{
    return (sdi_env){.mem = context->mem, .log = &context->log, .error = error};
}

sdiff_context *sdi_context_ref(sdiff_context *context)
{
    atomic_fetch_add(&context->references, 1);
    return context;
}

static sdiff_status set_up(const sdi_env *env, const sdiff_context_params *p,
                           sdiff_context *context)
{
    const char *list = p->kernels ? p->kernels : getenv("SDIFF_KERNELS");
    SDI_TRY(sdi_kernel_sets_parse(env, list && *list ? list : "all", &context->kernel_mask));
    sdi_kernels kernels;
    sdi_kernels_init(&kernels, context->kernel_mask, SDI_F32);
    strncpy(context->kernel_names, kernels.names, sizeof context->kernel_names - 1);
    return sdi_pool_new(env, p->threads, p->parallel_for, p->parallel_user, &context->pool);
}

static int is_consistent(const sdiff_context_params *p)
{
    return !p->alloc == !p->free && p->threads >= 0 && p->threads <= 1024 &&
           !(p->parallel_for && p->threads == 0);
}

sdiff_status sdiff_context_new(const sdiff_context_params *params, sdiff_context **out)
{
    SDI_OWN_FLOAT_MODE;
    sdiff_context_params p = defaults;
    if (!out)
        return SDIFF_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    SDI_TRY(sdi_params_read(NULL, "context params", &p, sizeof p, sizeof p, params));
    if (!is_consistent(&p))
        return SDIFF_ERROR_INVALID_ARGUMENT;
    const sdi_mem_params mem_params = {.alloc = p.alloc, .free = p.free, .user = p.memory_user,
                                       .limit = p.memory_limit};
    sdi_mem *mem = sdi_mem_new(&mem_params);
    if (!mem)
        return SDIFF_ERROR_NO_MEMORY;
    const sdi_env bare = {.mem = mem};
    sdiff_context *context = sdi_zalloc(&bare, 1, sizeof *context);
    if (!context) {
        sdi_mem_unref(mem);
        return SDIFF_ERROR_NO_MEMORY;
    }
    atomic_init(&context->references, 1);
    context->mem = mem;
    context->log = (sdi_log){.fn = p.log, .user = p.log_user, .level = p.log_level};
    const sdi_env env = sdi_context_env(context);
    const sdiff_status status = set_up(&env, &p, context);
    if (status != SDIFF_OK) {
        sdiff_context_free(context);
        return status;
    }
    *out = context;
    return SDIFF_OK;
}

void sdiff_context_free(sdiff_context *context)
{
    if (!context || atomic_fetch_sub(&context->references, 1) != 1)
        return;
    sdi_mem *mem = context->mem;
    const sdi_env env = {.mem = mem};
    sdi_pool_free(&env, context->pool);
    sdi_free(&env, context);
    sdi_mem_unref(mem);
}

const char *sdiff_context_error(const sdiff_context *context)
{
    return context ? context->error.text : "";
}

int32_t sdiff_context_threads(const sdiff_context *context)
{
    return context ? sdi_pool_size(context->pool) : 0;
}

const char *sdiff_context_kernels(const sdiff_context *context)
{
    return context ? context->kernel_names : "";
}

void sdiff_context_memory(const sdiff_context *context, uint64_t *used, uint64_t *peak)
{
    if (used)
        *used = context ? sdi_mem_used(context->mem) : 0;
    if (peak)
        *peak = context ? sdi_mem_peak(context->mem) : 0;
}
