/* SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "sample/brownian.h"
#include "sample/random.h"

#include <math.h>
#include <stdlib.h>

enum { COUNT = 4096 };

/* Published vectors of seed_seq (M. O'Neill's reference, also in NumPy's tests). */
static void test_seed_sequence_matches_published_vectors(void **state)
{
    static const uint32_t vectors[][8] = {
        {3735928559u, 195939070u, 229505742u, 305419896u, 3914649087u, 576849849u, 3593928901u,
         2229911004u},
        {3668361503u, 4165561550u, 1661411377u, 3634257570u, 2240804226u, 3691353228u, 1365957195u,
         2654016646u},
        {2766103236u, 2883057919u, 4029656435u, 862374500u, 296367413u, 4262059219u, 13109864u,
         3283683422u},
    };
    for (size_t v = 0; v < SDI_COUNT(vectors); v++) {
        uint32_t out[4];
        sdi_seed_sequence(vectors[v], 4, 4, out, 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(out[i], vectors[v][4 + i]);
    }
}

typedef struct paths {
    sdi_env env;
    sdi_brownian brownian;
    uint64_t seeds[2];
    float *a, *b, *c;
} paths;

static paths paths_new(void)
{
    paths p = {.env = test_env_new(), .seeds = {1234, 0xfedcba9876543210ull}};
    p.a = malloc(3 * 2 * COUNT * sizeof *p.a);
    assert_non_null(p.a);
    p.b = p.a + 2 * COUNT;
    p.c = p.b + 2 * COUNT;
    return p;
}

static void paths_free(paths *p)
{
    sdi_brownian_free(&p->env, &p->brownian);
    free(p->a);
    test_env_free(&p->env);
}

static void test_increments_of_one_path_add_up(void **state)
{
    paths p = paths_new();
    test_ok(&p.env, sdi_brownian_init(&p.env, &p.brownian, p.seeds, 1, COUNT, 0.0292, 14.6146));
    sdi_brownian_noise(&p.brownian, 10, 4, p.a);
    sdi_brownian_noise(&p.brownian, 4, 1.5, p.b);
    sdi_brownian_noise(&p.brownian, 10, 1.5, p.c);
    for (int i = 0; i < COUNT; i++) {
        const double sum = (double)p.a[i] * sqrt(6) + (double)p.b[i] * sqrt(2.5);
        assert_true(fabs(sum - (double)p.c[i] * sqrt(8.5)) < 1e-4);
    }
    paths_free(&p);
}

static void test_increments_are_standard_normal_and_independent(void **state)
{
    paths p = paths_new();
    test_ok(&p.env, sdi_brownian_init(&p.env, &p.brownian, p.seeds, 1, COUNT, 0.0292, 14.6146));
    const double levels[] = {14.6146, 9.1, 9.09, 2.5, 0.4, 0.0292};
    for (size_t k = 0; k + 2 < SDI_COUNT(levels); k++) {
        sdi_brownian_noise(&p.brownian, levels[k], levels[k + 1], p.a);
        sdi_brownian_noise(&p.brownian, levels[k + 1], levels[k + 2], p.b);
        double square = 0, product = 0;
        for (int i = 0; i < COUNT; i++) {
            square += (double)p.a[i] * (double)p.a[i];
            product += (double)p.a[i] * (double)p.b[i];
        }
        // five standard errors
        assert_true(fabs(square / COUNT - 1) < 5 * sqrt(2.0 / COUNT));
        assert_true(fabs(product / COUNT) < 5 / sqrt(COUNT));
    }
    paths_free(&p);
}

static void test_whole_way_is_the_roots_noise(void **state)
{
    paths p = paths_new();
    test_ok(&p.env, sdi_brownian_init(&p.env, &p.brownian, p.seeds, 1, COUNT, 1, 5));
    sdi_brownian_noise(&p.brownian, 5, 1, p.a);
    uint32_t entropy[24] = {1234}, seed;
    sdi_seed_sequence(entropy, 1, 24, &seed, 1);
    sdi_random random;
    sdi_random_init(&random, SDI_RNG_TORCH, seed);
    sdi_random_normal(&random, p.b, COUNT);
    for (int i = 0; i < COUNT; i++) // downwards, hence the sign
        assert_true(fabs((double)p.a[i] + (double)p.b[i]) < 1e-6);
    paths_free(&p);
}

/* torchsde 0.2.6 under k-diffusion's BrownianTreeNoiseSampler, sigmas 0.0292 to 14.6146: the first
 * of 16 numbers. */
static void test_path_is_that_of_torchsde(void **state)
{
    static const struct {
        uint64_t seed;
        double from, to;
        float noise[4];
    } cases[] = {
        {1234u, 14.6146, 9.1, {0.280756f, -0.030015f, -0.895604f, 0.146319f}},
        {1234u, 4, 1.5, {0.720193f, 0.815902f, -0.487389f, 0.891471f}},
        {1234u, 0.35, 0.0292, {-0.268568f, -0.468529f, -1.109462f, 0.040927f}},
        {0xfedcba9876543210u, 14.6146, 9.1, {2.868126f, 0.256438f, 1.571710f, -0.324641f}},
        {0xfedcba9876543210u, 4, 1.5, {1.902827f, -0.826803f, -0.472347f, -0.337873f}},
        {0xfedcba9876543210u, 0.35, 0.0292, {1.645102f, 2.615936f, -1.156350f, -1.276142f}},
    };
    paths p = paths_new();
    for (size_t k = 0; k < SDI_COUNT(cases); k++) {
        test_ok(&p.env, sdi_brownian_init(&p.env, &p.brownian, &cases[k].seed, 1, 16,
                                          (double)0.0292f, (double)14.6146f));
        sdi_brownian_noise(&p.brownian, cases[k].from, cases[k].to, p.a);
        for (int i = 0; i < 4; i++)
            if (!(fabs((double)p.a[i] - (double)cases[k].noise[i]) < 1e-5))
                fail_msg("case %zu, number %d: %g", k, i, (double)p.a[i]);
        sdi_brownian_free(&p.env, &p.brownian);
    }
    paths_free(&p);
}

static void test_each_image_has_the_path_of_its_seed(void **state)
{
    paths p = paths_new();
    test_ok(&p.env, sdi_brownian_init(&p.env, &p.brownian, p.seeds, 2, COUNT, 0.03, 14));
    sdi_brownian_noise(&p.brownian, 7, 6.3, p.a);
    sdi_brownian_free(&p.env, &p.brownian);
    test_ok(&p.env, sdi_brownian_init(&p.env, &p.brownian, p.seeds + 1, 1, COUNT, 0.03, 14));
    sdi_brownian_noise(&p.brownian, 7, 6.3, p.b);
    int same = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_true(p.a[COUNT + i] == p.b[i]);
        same += p.a[i] == p.b[i];
    }
    assert_true(same < 10);
    paths_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_sequence_matches_published_vectors),
        cmocka_unit_test(test_increments_of_one_path_add_up),
        cmocka_unit_test(test_increments_are_standard_normal_and_independent),
        cmocka_unit_test(test_whole_way_is_the_roots_noise),
        cmocka_unit_test(test_path_is_that_of_torchsde),
        cmocka_unit_test(test_each_image_has_the_path_of_its_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
