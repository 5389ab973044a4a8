/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>

enum { COUNT = 1000 };

typedef struct tally {
    atomic_int pieces[COUNT];
    atomic_int busy[64]; // a worker that two pieces use at once
    atomic_int clashes;
} tally;

static void count_piece(void *argument, int64_t index, int32_t worker)
{
    tally *t = argument;
    if (atomic_fetch_add(&t->busy[worker], 1) != 0)
        atomic_fetch_add(&t->clashes, 1);
    atomic_fetch_add(&t->pieces[index], 1);
    atomic_fetch_sub(&t->busy[worker], 1);
}

static void test_every_piece_runs_once_on_a_worker_of_its_own(void **state)
{
    sdi_env env = test_env_new();
    const int32_t sizes[] = {1, 2, 3, 8};
    for (size_t s = 0; s < SDI_COUNT(sizes); s++) {
        sdi_pool *pool = NULL;
        test_ok(&env, sdi_pool_new(&env, sizes[s], NULL, NULL, &pool));
        static tally t;
        for (int round = 1; round <= 20; round++) {
            sdi_parallel_for(pool, COUNT, count_piece, &t);
            for (int i = 0; i < COUNT; i++)
                assert_int_equal(t.pieces[i], round);
        }
        assert_int_equal(t.clashes, 0);
        for (int i = 0; i < COUNT; i++)
            t.pieces[i] = 0;
        sdi_pool_free(&env, pool);
    }
    test_env_free(&env);
}

typedef struct user {
    sdi_pool *pool;
    tally t;
} user;

static void *use_pool(void *argument)
{
    user *u = argument;
    for (int round = 0; round < 200; round++)
        sdi_parallel_for(u->pool, COUNT, count_piece, &u->t);
    return NULL;
}

static void test_two_callers_share_a_pool(void **state)
{
    sdi_env env = test_env_new();
    static user users[2];
    sdi_pool *pool = NULL;
    test_ok(&env, sdi_pool_new(&env, 4, NULL, NULL, &pool));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        users[i].pool = pool;
        pthread_create(&threads[i], NULL, use_pool, &users[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(users[i].t.clashes, 0);
        for (int k = 0; k < COUNT; k++)
            assert_int_equal(users[i].t.pieces[k], 200);
    }
    sdi_pool_free(&env, pool);
    test_env_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_piece_runs_once_on_a_worker_of_its_own),
        cmocka_unit_test(test_two_callers_share_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
