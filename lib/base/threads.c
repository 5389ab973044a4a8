/* SPDX-License-Identifier: MIT
 *
 * The pool. A job's pieces are dealt out in one contiguous range a worker, so that a worker meets
 * the same rows from one job to the next; who has finished takes single pieces from the others.
 *
 * Workers enter a job through the gate, one atomic word, and only while it is open. The caller
 * closes it when no piece is left and waits for those inside, never for a worker that sleeps or
 * that the system has not scheduled: a busy neighbour costs its share. Whoever waits spins for some
 * tens of microseconds (the next job of a network comes sooner) and then sleeps.
 */
#define _GNU_SOURCE
#include "base/threads.h"

#include "base/cores.h"
#include "base/float_mode.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum {
    SPIN_NANOSECONDS = 50000,
    SPINS_A_LOOK = 64 // at the clock
};

/* gate: number of the job << 17 | open | workers inside */
#define GATE_OPEN ((uint64_t)1 << 16)
#define GATE_INSIDE (GATE_OPEN - 1)
#define GATE_JOB ((uint64_t)1 << 17)

/* Pieces [next, end) of one worker, alone on its cache line. */
typedef struct range {
    SDI_ALIGNED(64) atomic_int_fast64_t next;
    int64_t end;
} range;

typedef struct pool_worker {
    sdi_pool *pool;
    int32_t index;
    pthread_t thread;
} pool_worker;

struct sdi_pool {
    sdi_parallel_fn host;
    void *user;
    int32_t size;
    pool_worker *workers; // [size - 1]; the caller is worker 0
    range *ranges;   // [size]

    sdi_task_fn task; // the job, written while the gate is closed and nobody inside
    void *argument;
    SDI_ALIGNED(64) atomic_uint_fast64_t gate;
    SDI_ALIGNED(64) atomic_int sleepers; // workers that wait for `wake`
    atomic_int caller_sleeps;            // waits for `done`
    atomic_int stop;

    pid_t process;          // that the workers belong to: a fork leaves them behind
    pthread_mutex_t caller; // held by the thread that has the workers
    pthread_mutex_t lock;   // of the two conditions
    pthread_cond_t wake, done;
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static void run_range(sdi_pool *pool, range *from, int32_t index)
{
    while (atomic_load_explicit(&from->next, memory_order_relaxed) < from->end) {
        const int64_t piece = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
        if (piece < from->end)
            pool->task(pool->argument, piece, index);
    }
}

/* The own range first, then what is left of the others'. */
static void run_job(sdi_pool *pool, int32_t index)
{
    const sdi_float_mode found = sdi_float_mode_enter();
    for (int32_t i = 0; i < pool->size; i++)
        run_range(pool, &pool->ranges[(index + i) % pool->size], index);
    sdi_float_mode_leave(found);
}

/* A job that this worker has not seen is open, or the pool ends. */
static int has_news(sdi_pool *pool, uint64_t seen)
{
    const uint64_t gate = atomic_load(&pool->gate);
    return atomic_load(&pool->stop) || ((gate & GATE_OPEN) && gate / GATE_JOB != seen);
}

static void wait_for_news(sdi_pool *pool, uint64_t seen)
{
    const int64_t end = nanoseconds() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if (has_news(pool, seen))
                return;
            relax();
        }
    } while (nanoseconds() < end);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_news(pool, seen))
        pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

/* Whether the gate was open; *seen becomes the job's number. */
static int enter(sdi_pool *pool, uint64_t *seen)
{
    uint64_t gate = atomic_load(&pool->gate);
    while (gate & GATE_OPEN) {
        if (atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1)) {
            *seen = gate / GATE_JOB;
            return 1;
        }
    }
    return 0;
}

static void leave(sdi_pool *pool)
{
    const uint64_t gate = atomic_fetch_sub(&pool->gate, 1) - 1;
    if ((gate & (GATE_OPEN | GATE_INSIDE)) == 0 && atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void *worker_main(void *argument)
{
    const pool_worker *self = argument;
    sdi_pool *pool = self->pool;
    uint64_t seen = 0;
    (void)fesetenv(FE_DFL_ENV); // not that of the thread that made the context
    for (;;) {
        wait_for_news(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        if (enter(pool, &seen)) {
            run_job(pool, self->index);
            leave(pool);
        }
    }
}

static void wait_for_workers(sdi_pool *pool)
{
    const int64_t end = nanoseconds() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if ((atomic_load(&pool->gate) & GATE_INSIDE) == 0)
                return;
            relax();
        }
    } while (nanoseconds() < end);
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, 1);
    while (atomic_load(&pool->gate) & GATE_INSIDE)
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, 0);
    pthread_mutex_unlock(&pool->lock);
}

static void run_on_workers(sdi_pool *pool, int64_t count, sdi_task_fn task, void *argument)
{
    pool->task = task;
    pool->argument = argument;
    for (int32_t i = 0; i < pool->size; i++) {
        atomic_store_explicit(&pool->ranges[i].next, count * i / pool->size, memory_order_relaxed);
        pool->ranges[i].end = count * (i + 1) / pool->size;
    }
    atomic_fetch_add(&pool->gate, GATE_JOB + GATE_OPEN);
    if (atomic_load(&pool->sleepers)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
    run_job(pool, 0);
    atomic_fetch_sub(&pool->gate, GATE_OPEN);
    wait_for_workers(pool);
}

static void run_alone(int64_t count, sdi_task_fn task, void *argument)
{
    const sdi_float_mode found = sdi_float_mode_enter();
    for (int64_t i = 0; i < count; i++)
        task(argument, i, 0);
    sdi_float_mode_leave(found);
}

typedef struct host_job {
    sdi_task_fn task;
    void *argument;
} host_job;

static void run_host_piece(void *argument, int64_t index, int32_t worker)
{
    const host_job *job = argument;
    const sdi_float_mode found = sdi_float_mode_enter();
    job->task(job->argument, index, worker);
    sdi_float_mode_leave(found);
}

void sdi_parallel_for(sdi_pool *pool, int64_t count, sdi_task_fn task, void *argument)
{
    if (!pool || count < 2 || pool->size < 2 || (!pool->host && pool->process != getpid())) {
        run_alone(count, task, argument);
    } else if (pool->host) {
        host_job job = {task, argument};
        pool->host(pool->user, run_host_piece, &job, count);
    } else if (pthread_mutex_trylock(&pool->caller) != 0) {
        run_alone(count, task, argument);
    } else {
        run_on_workers(pool, count, task, argument);
        pthread_mutex_unlock(&pool->caller);
    }
}

static void start_workers(sdi_pool *pool)
{
    int32_t created = 0;
    while (created < pool->size - 1) {
        pool_worker *w = &pool->workers[created];
        *w = (pool_worker){.pool = pool, .index = created + 1};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            break;
        created++;
    }
    pool->size = created + 1; // a system that gives fewer threads is slower, not broken
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
    pool->size = threads ? threads : sdi_usable_cores();
    pool->process = getpid();
    pthread_mutex_init(&pool->caller, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    if (!host && pool->size > 1) {
        pool->workers = sdi_zalloc(env, (uint64_t)pool->size, sizeof *pool->workers);
        pool->ranges = sdi_zalloc(env, (uint64_t)pool->size, sizeof *pool->ranges);
        if (!pool->workers || !pool->ranges) {
            pool->size = 1;
            sdi_pool_free(env, pool);
            return SDIFF_ERROR_NO_MEMORY;
        }
        start_workers(pool);
    }
    *out = pool;
    return SDIFF_OK;
}

static void end_workers(sdi_pool *pool)
{
    if (pool->workers) {
        pthread_mutex_lock(&pool->lock);
        atomic_store(&pool->stop, 1);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
        for (int32_t i = 0; i < pool->size - 1; i++)
            pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->caller);
}

void sdi_pool_free(const sdi_env *env, sdi_pool *pool)
{
    if (!pool)
        return;
    if (pool->process == getpid())
        end_workers(pool);
    sdi_free(env, pool->ranges);
    sdi_free(env, pool->workers);
    sdi_free(env, pool);
}

int32_t sdi_pool_size(const sdi_pool *pool)
{
    return pool ? pool->size : 1;
}
