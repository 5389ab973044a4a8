/* SPDX-License-Identifier: MIT
 *
 * Autoencoders on tiles, blended where they overlap.
 */
#include "pipeline/tiling.h"

#include "base/memory.h"

#include <string.h>

/* ---- where tiles lie ------------------------------------------------------------------------- */

static int64_t tile_side(const sdi_session *session, int64_t size)
{
    return session->tile ? SDI_MIN(session->tile, size) : size;
}

/* As few as overlap by a quarter or more. */
static int64_t axis_count(int64_t size, int64_t side)
{
    const int64_t step = side - side / 4;
    return size <= side ? 1 : 1 + (size - side + step - 1) / step;
}

/* The tiles are spread evenly from end to end. */
static int64_t axis_start(int64_t size, int64_t side, int64_t index)
{
    const int64_t count = axis_count(size, side);
    return count == 1 ? 0 : (index * (size - side) + (count - 1) / 2) / (count - 1);
}

int sdi_is_tiled(const sdi_session *session, int64_t h, int64_t w)
{
    return tile_side(session, h) < h || tile_side(session, w) < w;
}

int64_t sdi_tile_count(const sdi_session *session, int64_t h, int64_t w)
{
    return axis_count(h, tile_side(session, h)) * axis_count(w, tile_side(session, w));
}

int32_t sdi_next_tile(const sdi_session *session, int64_t h, int64_t w)
{
    const int64_t side = SDI_MAX(tile_side(session, h), tile_side(session, w));
    const int64_t next = (side - 1) / SDI_SMALLEST_TILE * SDI_SMALLEST_TILE;
    return (int32_t)SDI_MAX(next, 0);
}

/* ---- weights of an axis ---------------------------------------------------------------------- */

/* Rises over the overlap with the tile before, falls over the one with the tile behind. */
static float ramp(int64_t size, int64_t side, int64_t index, int64_t at, int64_t scale)
{
    const int64_t count = axis_count(size, side), start = axis_start(size, side, index);
    float weight = 1;
    if (index > 0) {
        const int64_t overlap = axis_start(size, side, index - 1) + side - start;
        weight = SDI_MIN(weight, ((float)at + 0.5f) / (float)(overlap * scale));
    }
    if (index + 1 < count) {
        const int64_t overlap = start + side - axis_start(size, side, index + 1);
        weight = SDI_MIN(weight, ((float)(side * scale - at) - 0.5f) / (float)(overlap * scale));
    }
    return weight;
}

/* The weight of tile `index` at its pixel `at`: those of all tiles at one place add up to 1. */
static float share(int64_t size, int64_t side, int64_t index, int64_t at, int64_t scale)
{
    const int64_t place = axis_start(size, side, index) * scale + at;
    float sum = 0;
    for (int64_t i = 0; i < axis_count(size, side); i++) {
        const int64_t there = place - axis_start(size, side, i) * scale;
        if (there >= 0 && there < side * scale)
            sum += ramp(size, side, i, there, scale);
    }
    return ramp(size, side, index, at, scale) / sum;
}

static void fill_shares(int64_t size, int64_t side, int64_t index, int64_t scale, float *out)
{
    for (int64_t i = 0; i < side * scale; i++)
        out[i] = share(size, side, index, i, scale);
}

/* ---- one picture ----------------------------------------------------------------------------- */

/* Planes of one side of the network; `scale` pixels for each latent. */
typedef struct planes {
    int64_t channels, scale;
} planes;

typedef struct tiling {
    int64_t h, w, th, tw;
    planes in, out;
    float *tile_in, *tile_out;
    float *down, *across; // weights of the tile's rows and columns
} tiling;

static const sdi_vae_config *vae_of(const sdi_session *session)
{
    return &sdi_model_get_config(session->model)->vae;
}

static tiling tiling_of(const sdi_session *session, sdi_network network, int64_t h, int64_t w)
{
    const sdi_vae_config *vae = vae_of(session);
    const planes pixels = {vae->image_channels, (int64_t)1 << (vae->levels - 1)};
    const planes z = {vae->latent_channels, 1};
    const planes moments = {(vae->codebook ? 1 : 2) * (int64_t)vae->latent_channels, 1};
    const int decode = network == SDI_NET_VAE_DECODER;
    return (tiling){.h = h,
                    .w = w,
                    .th = tile_side(session, h),
                    .tw = tile_side(session, w),
                    .in = decode ? z : pixels,
                    .out = decode ? pixels : moments};
}

static uint64_t tile_floats(const tiling *t, const planes *p)
{
    return (uint64_t)(p->channels * t->th * p->scale * t->tw * p->scale);
}

uint64_t sdi_tiling_bytes(const sdi_session *session, int64_t h, int64_t w)
{
    const tiling t = tiling_of(session, SDI_NET_VAE_DECODER, h, w);
    const uint64_t shares = (uint64_t)((t.th + t.tw) * t.out.scale);
    if (!sdi_is_tiled(session, h, w))
        return 0;
    enum { HEADERS = 256 };
    const uint64_t tiles = 2 * tile_floats(&t, &t.in) + tile_floats(&t, &t.out);
    return (tiles + shares) * sizeof(float) + HEADERS;
}

static void cut(const tiling *t, int64_t y, int64_t x, const float *in)
{
    const int64_t s = t->in.scale, rows = t->th * s, columns = t->tw * s;
    for (int64_t c = 0; c < t->in.channels; c++)
        for (int64_t i = 0; i < rows; i++)
            memcpy(t->tile_in + (c * rows + i) * columns,
                   in + (c * t->h * s + y * s + i) * t->w * s + x * s,
                   (size_t)columns * sizeof *in);
}

static void blend(const tiling *t, int64_t y, int64_t x, float *out)
{
    const int64_t s = t->out.scale, rows = t->th * s, columns = t->tw * s;
    for (int64_t c = 0; c < t->out.channels; c++)
        for (int64_t i = 0; i < rows; i++) {
            const float *from = t->tile_out + (c * rows + i) * columns;
            float *to = out + (c * t->h * s + y * s + i) * t->w * s + x * s;
            for (int64_t k = 0; k < columns; k++)
                to[k] += t->down[i] * t->across[k] * from[k];
        }
}

static sdiff_status run_tiles(sdi_session *session, sdi_plan *plan, const tiling *t,
                              const char *const names[2], const float *in, float *out)
{
    for (int64_t row = 0; row < axis_count(t->h, t->th); row++) {
        fill_shares(t->h, t->th, row, t->out.scale, t->down);
        for (int64_t column = 0; column < axis_count(t->w, t->tw); column++) {
            const int64_t y = axis_start(t->h, t->th, row), x = axis_start(t->w, t->tw, column);
            fill_shares(t->w, t->tw, column, t->out.scale, t->across);
            cut(t, y, x, in);
            SDI_TRY(sdi_plan_set(&session->env, plan, names[0], t->tile_in));
            SDI_TRY(sdi_session_run(session, plan, NN_EACH));
            SDI_TRY(sdi_session_get(session, plan, names[1], t->tile_out));
            blend(t, y, x, out);
        }
    }
    return SDIFF_OK;
}

sdiff_status sdi_tiled_run(sdi_session *session, sdi_network network, sdi_plan *plan, int64_t h,
                           int64_t w, const float *in, float *out)
{
    static const char *const decoder[2] = {"z", "image"};
    const char *const encoder[2] = {"image", vae_of(session)->codebook ? "z" : "moments"};
    const sdi_env *env = &session->env;
    tiling t = tiling_of(session, network, h, w);
    const int64_t s = t.out.scale;
    t.tile_in = sdi_alloc(env, tile_floats(&t, &t.in), sizeof(float));
    t.tile_out = sdi_alloc(env, tile_floats(&t, &t.out), sizeof(float));
    t.down = sdi_alloc(env, (uint64_t)((t.th + t.tw) * s), sizeof(float));
    sdiff_status status = SDIFF_ERROR_NO_MEMORY;
    if (t.tile_in && t.tile_out && t.down) {
        t.across = t.down + t.th * s;
        memset(out, 0, (size_t)(t.out.channels * h * s * w * s) * sizeof *out);
        status = run_tiles(session, plan, &t, network == SDI_NET_VAE_DECODER ? decoder : encoder,
                           in, out);
    }
    sdi_free(env, t.tile_in);
    sdi_free(env, t.tile_out);
    sdi_free(env, t.down);
    return status;
}
