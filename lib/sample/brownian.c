/* SPDX-License-Identifier: MIT
 *
 * The Brownian tree that k-diffusion's SDE samplers take their noise from: torchsde's BrownianTree
 * with tolerance 1e-6 (Li et al. 2020, appendix E). The interval of levels is halved until a level
 * is met; at each halving the value in the middle comes from the ends by a Brownian bridge, whose
 * noise is PyTorch's for a seed that NumPy's SeedSequence (O'Neill's seed_seq) makes from the
 * tree's seed and the node's place. Nothing is stored: a value costs one descent of about 24
 * halvings.
 */
#include "sample/brownian.h"

#include "base/memory.h"
#include "sample/random.h"

#include <math.h>
#include <string.h>

enum { POOL = 24 }; // BrownianTree's pool_size; the BrownianInterval beneath has another default

/* ---- seeds ----------------------------------------------------------------------------------- */

static uint32_t hash(uint32_t value, uint32_t *constant, uint32_t multiplier)
{
    value ^= *constant;
    *constant *= multiplier;
    value *= *constant;
    return value ^ (value >> 16);
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    const uint32_t result = 0xca01f9ddu * x - 0x4973f715u * y;
    return result ^ (result >> 16);
}

void sdi_seed_sequence(const uint32_t *entropy, int32_t count, int32_t pool_size, uint32_t *out,
                       int32_t words)
{
    const uint32_t multiplier = 0x931e8875u;
    uint32_t pool[POOL], constant = 0x43b0d7e5u;
    for (int32_t i = 0; i < pool_size; i++)
        pool[i] = hash(i < count ? entropy[i] : 0, &constant, multiplier);
    for (int32_t from = 0; from < pool_size; from++)
        for (int32_t to = 0; to < pool_size; to++)
            if (from != to)
                pool[to] = mix(pool[to], hash(pool[from], &constant, multiplier));
    for (int32_t from = pool_size; from < count; from++)
        for (int32_t to = 0; to < pool_size; to++)
            pool[to] = mix(pool[to], hash(entropy[from], &constant, multiplier));
    constant = 0x8b51f9ddu;
    for (int32_t i = 0; i < words; i++)
        out[i] = hash(pool[i % pool_size], &constant, 0x58f38dedu);
}

static int32_t append_words(uint32_t *words, int32_t count, uint64_t number)
{
    words[count++] = (uint32_t)number;
    if (number >> 32)
        words[count++] = (uint32_t)(number >> 32);
    return count;
}

/* A node's noise: place and depth follow the tree's seed, which is padded to the pool's size. The
 * noise of the whole interval comes from the tree's seed alone (depth < 0). */
static uint32_t node_seed(uint64_t tree, uint64_t place, int32_t depth)
{
    uint32_t entropy[POOL + 3] = {0}, seed;
    int32_t count = append_words(entropy, 0, tree);
    if (depth >= 0) {
        count = append_words(entropy, POOL, place);
        count = append_words(entropy, count, (uint64_t)depth);
    }
    sdi_seed_sequence(entropy, count, POOL, &seed, 1);
    return seed;
}

static const float *node_noise(sdi_brownian *paths, uint64_t tree, uint64_t place, int32_t depth)
{
    sdi_random random;
    sdi_random_init(&random, SDI_RNG_TORCH, node_seed(tree, place, depth));
    sdi_random_normal(&random, paths->noise, paths->count);
    return paths->noise;
}

/* ---- the path -------------------------------------------------------------------------------- */

/* To six decimals, half to even, judged by the exact binary value as Python does. */
static double round6(double x)
{
    const double scaled = x * 1e6, error = fma(x, 1e6, -scaled);
    const double whole = floor(scaled);
    if (scaled - whole == 0.5 && error != 0)
        return (error > 0 ? whole + 1 : whole) / 1e6;
    return rint(scaled) / 1e6;
}

typedef struct node {
    double start, end, middle;
    uint64_t place;
    int32_t depth;
} node;

/* Goes to a half: `whole` is the increment over the node and becomes that over the half. The
 * increment over a left half that is left behind is added to `passed`. */
static void descend(sdi_brownian *paths, uint64_t tree, node *n, int right, double *whole,
                    double *passed)
{
    const float *noise = node_noise(paths, tree, n->place, n->depth);
    const double left = n->middle - n->start, length = n->end - n->start;
    const double share = left / length;
    const double spread = sqrt(left * (n->end - n->middle) / length);
    for (size_t i = 0; i < paths->count; i++) {
        const double of_left = share * whole[i] + spread * (double)noise[i];
        if (right) {
            passed[i] += of_left;
            whole[i] -= of_left;
        } else {
            whole[i] = of_left;
        }
    }
    *(right ? &n->start : &n->end) = n->middle;
    n->place = 2 * n->place + (uint64_t)right;
    n->depth++;
}

/* out += factor * (value of the path at that level, which is a float where it comes from). */
static void add_value(sdi_brownian *paths, uint64_t tree, double level, double factor, float *out)
{
    double *whole = paths->motion, *value = paths->motion + paths->count;
    const float *noise = node_noise(paths, tree, 0, -1);
    const double scale = sqrt(paths->high - paths->low);
    for (size_t i = 0; i < paths->count; i++) {
        whole[i] = scale * (double)noise[i];
        value[i] = 0;
    }
    node n = {round6(paths->low), round6(paths->high), 0, 0, 0};
    level = round6(SDI_MIN(SDI_MAX((double)(float)level, paths->low), paths->high));
    while (level > n.start && level < n.end) {
        n.middle = round6(0.5 * (n.start + n.end));
        if (!(n.middle > n.start && n.middle < n.end))
            break; // finer than the tree
        descend(paths, tree, &n, level >= n.middle, whole, value);
    }
    const int whole_too = level >= n.end;
    for (size_t i = 0; i < paths->count; i++)
        out[i] += (float)(factor * (value[i] + (whole_too ? whole[i] : 0)));
}

void sdi_brownian_noise(sdi_brownian *paths, double from, double to, float *out)
{
    const double scale = 1 / sqrt(from - to);
    memset(out, 0, (size_t)paths->items * paths->count * sizeof *out);
    for (int32_t k = 0; k < paths->items; k++) { // on the way down the path is walked backwards
        float *item = out + (size_t)k * paths->count;
        add_value(paths, paths->seeds[k], from, -scale, item);
        add_value(paths, paths->seeds[k], to, scale, item);
    }
}

sdiff_status sdi_brownian_init(const sdi_env *env, sdi_brownian *paths, const uint64_t *seeds,
                               int32_t items, size_t count, double low, double high)
{
    *paths = (sdi_brownian){seeds, items, count, low, high, NULL, NULL};
    paths->motion = sdi_alloc(env, (uint64_t)count, 2 * sizeof(double) + sizeof(float));
    if (!paths->motion)
        return SDIFF_ERROR_NO_MEMORY;
    paths->noise = (float *)(paths->motion + 2 * count);
    return SDIFF_OK;
}

void sdi_brownian_free(const sdi_env *env, sdi_brownian *paths)
{
    sdi_free(env, paths->motion);
    *paths = (sdi_brownian){0};
}
