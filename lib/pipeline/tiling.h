/* SPDX-License-Identifier: MIT
 *
 * Autoencoders on tiles: a picture that is too large to be decoded or encoded whole is cut into
 * tiles that overlap by a quarter of their side, and the results are blended linearly where
 * they overlap.
 *
 * A tile's group norms and its attention see the tile alone, so the result differs from that of the
 * whole picture: a little in colour and brightness, without visible seams as long as tiles are not
 * tiny. Sides are in latents throughout.
 */
#ifndef SDI_PIPELINE_TILING_H
#define SDI_PIPELINE_TILING_H

#include "pipeline/session.h"

enum { SDI_SMALLEST_TILE = 8 };

/* Whether a picture is cut, with the session's present tile, and into how many. */
int sdi_is_tiled(const sdi_session *session, int64_t h, int64_t w);
int64_t sdi_tile_count(const sdi_session *session, int64_t h, int64_t w);
/* The longest tile shorter than the present one (or than the picture); 0: there is none. */
int32_t sdi_next_tile(const sdi_session *session, int64_t h, int64_t w);
/* Bytes beside the plan while tiles are made. */
uint64_t sdi_tiling_bytes(const sdi_session *session, int64_t h, int64_t w);

/* One network (encoder or decoder, whose plan is for tiles) on one picture: `in` and `out` are
 * whole planes of the network's input and output. */
sdiff_status sdi_tiled_run(sdi_session *session, sdi_network network, sdi_plan *plan, int64_t h,
                           int64_t w, const float *in, float *out);

#endif
