/* SPDX-License-Identifier: MIT
 *
 * One Brownian path over the noise levels of a run, fixed by a seed: the noise of SDE samplers then
 * hardly depends on how many steps the path is cut into.
 */
#ifndef SDI_SAMPLE_BROWNIAN_H
#define SDI_SAMPLE_BROWNIAN_H

#include "base/env.h"

typedef struct sdi_brownian {
    const uint64_t *seeds; // [items], one path per item; not owned
    int32_t items;
    size_t count;     // numbers in one item
    double low, high; // levels where the paths begin and end
    float *noise;     // scratch [count]
    double *motion;   // scratch [2][count]
} sdi_brownian;

sdiff_status sdi_brownian_init(const sdi_env *env, sdi_brownian *paths, const uint64_t *seeds,
                               int32_t items, size_t count, double low, double high);
void sdi_brownian_free(const sdi_env *env, sdi_brownian *paths);

/* The paths' increment on the way down from a level to a lower one, divided by the square root of
 * their distance: standard normal. out: [items][count]. */
void sdi_brownian_noise(sdi_brownian *paths, double from, double to, float *out);

/* NumPy's SeedSequence: `words` numbers out of `count` words of entropy through a pool of at most
 * 8. For tests. */
void sdi_seed_sequence(const uint32_t *entropy, int32_t count, int32_t pool_size, uint32_t *out,
                       int32_t words);

#endif
