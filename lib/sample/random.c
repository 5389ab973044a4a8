/* SPDX-License-Identifier: MIT
 *
 * The two noise generators that people's seeds refer to.
 *
 * PyTorch on the CPU: mt19937 (Matsumoto and Nishimura 1998). Calls for fewer than 16 numbers go
 * through a double precision Box-Muller that keeps its second value for the next such call; longer
 * calls fill float uniforms first and transform them in blocks of 16, the last block redrawn where
 * the count is not a multiple of 16.
 * Philox4x32-10 (Salmon et al. 2011) as torch.randn uses it on CUDA: the counter holds the number
 * of the call and the element, so that each element can be computed on its own.
 */
#include "sample/random.h"

#include <math.h>
#include <string.h>

enum { MT_SIZE = 624, MT_SHIFT = 397, BLOCK = 16 };

static const double PI = 3.14159265358979323846;

static void mt_seed(sdi_random *random, uint32_t seed)
{
    uint32_t *state = random->state;
    state[0] = seed;
    for (uint32_t i = 1; i < MT_SIZE; i++)
        state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
    random->index = MT_SIZE;
}

static void mt_twist(sdi_random *random)
{
    uint32_t *state = random->state;
    for (int i = 0; i < MT_SIZE; i++) {
        const uint32_t y = (state[i] & 0x80000000u) | (state[(i + 1) % MT_SIZE] & 0x7fffffffu);
        state[i] = state[(i + MT_SHIFT) % MT_SIZE] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    random->index = 0;
}

static uint32_t mt_next(sdi_random *random)
{
    if (random->index >= MT_SIZE)
        mt_twist(random);
    uint32_t y = random->state[random->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* 24 random bits: what a float can hold of [0, 1). */
static float uniform_float(sdi_random *random)
{
    return (float)(mt_next(random) & 0xffffffu) * 0x1p-24f;
}

/* 53 random bits of two draws, the first of which is the upper half. */
static double uniform_double(sdi_random *random)
{
    const uint64_t high = mt_next(random);
    const uint64_t low = mt_next(random);
    return (double)((high << 32 | low) & 0x1fffffffffffffull) * 0x1p-53;
}

static float normal_scalar(sdi_random *random)
{
    if (random->has_cached) {
        random->has_cached = 0;
        return (float)random->cached;
    }
    const double u1 = uniform_double(random);
    const double u2 = uniform_double(random);
    const double radius = sqrt(-2.0 * log1p(-u2));
    const double angle = 2.0 * PI * u1;
    random->cached = radius * sin(angle);
    random->has_cached = 1;
    return (float)(radius * cos(angle));
}

/* 16 uniforms become 16 normals in place: element j pairs with element j + 8. Products are rounded
 * to float where the original's are; logarithm and sine come from double precision. */
static void normal_block(float *block)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        const float u1 = 1.0f - block[j];
        const float u2 = block[j + BLOCK / 2];
        const float radius = sqrtf(-2.0f * (float)log(u1));
        const float angle = (float)(2.0 * PI) * u2;
        block[j] = radius * (float)cos(angle);
        block[j + BLOCK / 2] = radius * (float)sin(angle);
    }
}

static void torch_normal(sdi_random *random, float *out, size_t count)
{
    if (count < BLOCK) {
        for (size_t i = 0; i < count; i++)
            out[i] = normal_scalar(random);
        return;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = uniform_float(random);
    for (size_t i = 0; i + BLOCK <= count; i += BLOCK)
        normal_block(out + i);
    if (count % BLOCK == 0)
        return;
    float *last = out + count - BLOCK;
    for (int j = 0; j < BLOCK; j++)
        last[j] = uniform_float(random);
    normal_block(last);
}

/* Ten rounds on the counter (offset, 0, element, 0); only the first two words are needed. */
static void philox(uint64_t seed, uint32_t offset, uint64_t element, uint32_t words[2])
{
    uint32_t c[4] = {offset, 0, (uint32_t)element, (uint32_t)(element >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; round++) {
        const uint64_t a = 0xd2511f53ull * c[0];
        const uint64_t b = 0xcd9e8d57ull * c[2];
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ key[0], (uint32_t)b,
                                  (uint32_t)(a >> 32) ^ c[3] ^ key[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        key[0] += 0x9e3779b9u;
        key[1] += 0xbb67ae85u;
    }
    words[0] = c[0];
    words[1] = c[1];
}

static void philox_normal(sdi_random *random, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t words[2];
        philox(random->seed, random->offset, i, words);
        const float u = (float)words[0] * 0x1p-32f + 0x1p-33f;
        const float v = (float)((double)words[1] * (0x1p-31 * PI) + 0x1p-32 * PI);
        out[i] = sqrtf(-2.0f * (float)log(u)) * (float)sin(v);
    }
    random->offset++;
}

void sdi_random_init(sdi_random *random, sdi_rng kind, uint64_t seed)
{
    memset(random, 0, sizeof *random);
    random->kind = kind;
    random->seed = seed;
    if (kind == SDI_RNG_TORCH)
        mt_seed(random, (uint32_t)seed); // PyTorch keeps the lower half of the seed
}

void sdi_random_normal(sdi_random *random, float *out, size_t count)
{
    if (random->kind == SDI_RNG_PHILOX)
        philox_normal(random, out, count);
    else
        torch_normal(random, out, count);
}
