/* SPDX-License-Identifier: MIT
 *
 * Packs the values of a part, in parallel. The parameters of one packed matrix (fused q, k, v) form
 * one task, since their rows may share a tile; the largest tasks go first.
 */
#include "model/load.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct task {
    int32_t first, count; // of `order`
    int64_t elements;
} task;

typedef struct filling {
    const sdi_env *env;
    sdi_model_part *part;
    sdi_exec inner; // threads inside of a task, where the tasks run one by one
    int32_t *order; // parameters, those of one matrix side by side
    task *tasks;
    int32_t task_count;
    atomic_int failed;
    pthread_mutex_t mutex; // of the error
    sdi_error error;
} filling;

static void report(filling *f, sdiff_status status, const sdi_error *error)
{
    pthread_mutex_lock(&f->mutex);
    if (f->error.status == SDIFF_OK) {
        f->error = *error;
        f->error.status = status;
    }
    pthread_mutex_unlock(&f->mutex);
    atomic_store(&f->failed, 1);
}

static sdiff_status bind_one(const sdi_env *env, filling *f, int32_t param)
{
    const void *data = NULL;
    void *owned = NULL;
    const sdi_tensor_ref *ref = &f->part->refs[param];
    if (!f->part->weights.streamed)
        sdi_tensor_file_expect(ref->file, ref->index);
    SDI_TRY(sdi_ref_data(env, ref, &data, &owned));
    const sdi_dtype type = sdi_tensor_file_info(ref->file, ref->index)->dtype;
    sdi_weights *weights = &f->part->weights;
    const sdiff_status status =
        owned ? sdi_weights_bind(&f->inner, weights, param, data, type)
              : sdi_weights_bind_mapped(&f->inner, weights, param, data, type);
    sdi_free(env, owned);
    sdi_tensor_file_release(ref->file, ref->index); // packed: not needed twice
    return status;
}

static void run_task(void *argument, int64_t index, int32_t worker)
{
    filling *f = argument;
    const task *t = &f->tasks[index];
    sdi_error error = {0};
    const sdi_env env = {.mem = f->env->mem, .error = &error};
    for (int32_t i = 0; i < t->count && !atomic_load(&f->failed); i++) {
        const sdiff_status status = bind_one(&env, f, f->order[t->first + i]);
        if (status != SDIFF_OK)
            report(f, status, &error);
    }
}

/* ---- the order of work ----------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const int64_t x = ((const task *)a)->elements, y = ((const task *)b)->elements;
    return x > y ? -1 : x < y;
}

/* Puts the parameters that are not yet in a task and share parameter i's matrix into one. */
static void add_task(filling *f, unsigned char *taken, int32_t i, int32_t *used)
{
    const sdi_weights *w = &f->part->weights;
    task *t = &f->tasks[f->task_count++];
    *t = (task){.first = *used};
    for (int32_t j = i; j < w->count; j++) {
        if (taken[j] || (j != i && (w->params[i].matrix < 0 ||
                                    w->params[j].matrix != w->params[i].matrix)))
            continue;
        taken[j] = 1;
        f->order[(*used)++] = j;
        t->count++;
        t->elements += w->params[j].count;
        if (w->params[i].matrix < 0)
            break;
    }
}

static sdiff_status make_tasks(filling *f)
{
    const int32_t count = f->part->weights.count;
    int32_t used = 0;
    f->order = sdi_alloc(f->env, (uint64_t)count, sizeof *f->order);
    f->tasks = sdi_alloc(f->env, (uint64_t)count, sizeof *f->tasks);
    unsigned char *taken = sdi_zalloc(f->env, (uint64_t)count, 1);
    const int ok = f->order && f->tasks && taken;
    for (int32_t i = 0; ok && i < count; i++)
        if (!taken[i])
            add_task(f, taken, i, &used);
    if (ok)
        qsort(f->tasks, (size_t)f->task_count, sizeof *f->tasks, by_size);
    sdi_free(f->env, taken);
    return ok ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

sdiff_status sdi_fill_part(sdi_loader *l, sdi_part part)
{
    sdi_model_part *p = &l->model->parts[part];
    const int serial = l->model->files[p->file].serial;
    filling f = {.env = l->env, .part = p};
    p->weights.paged = sdi_tensor_file_is_mapped(l->model->files[p->file].file);
    SDI_TRY(sdi_weights_allocate(l->env, &p->weights));
    f.inner.pool = serial ? l->options->pool : NULL;
    atomic_init(&f.failed, 0);
    pthread_mutex_init(&f.mutex, NULL);
    sdiff_status status = make_tasks(&f);
    if (status == SDIFF_OK)
        sdi_parallel_for(serial ? NULL : l->options->pool, f.task_count, run_task, &f);
    if (status == SDIFF_OK && f.error.status != SDIFF_OK)
        status = f.error.text[0] ? sdi_fail(l->env, f.error.status, "%s", f.error.text)
                                 : sdi_fail(l->env, f.error.status, "%s: loading its values failed",
                                            l->model->files[p->file].name);
    pthread_mutex_destroy(&f.mutex);
    sdi_free(l->env, f.order);
    sdi_free(l->env, f.tasks);
    p->filled = status == SDIFF_OK;
    return status;
}
