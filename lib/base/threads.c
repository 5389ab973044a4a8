/* SPDX-License-Identifier: MIT
 *
 * A plain pool: sleeping workers take pieces from an atomic counter.
 */
#define _GNU_SOURCE
#include "base/threads.h"

#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

typedef struct job {
    sdi_task_fn task;
    void *argument;
    int64_t count;
    atomic_int_fast64_t next;
} job;

struct sdi_pool {
    sdi_parallel_fn host;
    void *user;
    int32_t size;
    int32_t started;
    pthread_t *threads;     // [size - 1]; the caller is worker 0
    pthread_mutex_t caller; // held by the thread that has the workers
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    uint64_t generation;
    int32_t running;
    int stop;
    job job;
};


static void run_pieces(job *j, int32_t worker)
{
    for (;;) {
        const int64_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->count)
            return;
        j->task(j->argument, i, worker);
    }
}

static void *worker_main(void *argument)
{
    sdi_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    const int32_t worker = ++pool->started;
    uint64_t seen = 0;
    for (;;) {
        while (pool->generation == seen && !pool->stop)
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        run_pieces(&pool->job, worker);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int32_t available_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

sdiff_status sdi_pool_new(const sdi_env *env, int32_t threads, sdi_parallel_fn host, void *user,
                          sdi_pool **out)
{
    *out = NULL;
    if (threads < 0 || threads > 1024)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "%d threads: 0 to 1024 are possible",
                        threads);
    sdi_pool *pool = sdi_zalloc(env, 1, sizeof *pool);
    if (!pool)
        return SDIFF_ERROR_NO_MEMORY;
    pool->host = host;
    pool->user = user;
    pool->size = threads ? threads : available_cores();
    pthread_mutex_init(&pool->caller, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    if (!host && pool->size > 1) {
        pool->threads = sdi_zalloc(env, (uint64_t)pool->size, sizeof *pool->threads);
        if (!pool->threads) {
            pool->size = 1;
            sdi_pool_free(env, pool);
            return SDIFF_ERROR_NO_MEMORY;
        }
        int32_t created = 0;
        while (created < pool->size - 1 &&
               pthread_create(&pool->threads[created], NULL, worker_main, pool) == 0)
            created++;
        pool->size = created + 1; // a system that gives fewer threads is slower, not broken
    }
    *out = pool;
    return SDIFF_OK;
}

void sdi_pool_free(const sdi_env *env, sdi_pool *pool)
{
    if (!pool)
        return;
    if (pool->threads) {
        pthread_mutex_lock(&pool->lock);
        pool->stop = 1;
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
        for (int32_t i = 0; i < pool->size - 1; i++)
            pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->caller);
    sdi_free(env, pool->threads);
    sdi_free(env, pool);
}

int32_t sdi_pool_size(const sdi_pool *pool)
{
    return pool ? pool->size : 1;
}

void sdi_parallel_for(sdi_pool *pool, int64_t count, sdi_task_fn task, void *argument)
{
    const int alone = !pool || count < 2 || pool->size < 2;
    if (!alone && pool->host) {
        pool->host(pool->user, task, argument, count);
        return;
    }
    if (alone || pthread_mutex_trylock(&pool->caller) != 0) {
        for (int64_t i = 0; i < count; i++)
            task(argument, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->job.task = task;
    pool->job.argument = argument;
    pool->job.count = count;
    atomic_store(&pool->job.next, 0);
    pool->running = pool->size - 1;
    pool->generation++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    run_pieces(&pool->job, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->caller);
}
