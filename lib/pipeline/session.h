/* SPDX-License-Identifier: MIT
 *
 * One user of a model: plans for the sizes in use, one arena that they share, threads, cancel flag.
 * The networks of a picture run one after the other, so the arena is as large as the largest needs.
 * Under a memory limit it may be larger: what the U-Net leaves of it then keeps weights that would
 * be packed anew for each step.
 */
#ifndef SDI_PIPELINE_SESSION_H
#define SDI_PIPELINE_SESSION_H

#include "model/embedding.h"
#include "nn/plan.h"

typedef enum sdi_network {
    SDI_NET_TEXT = 0,
    SDI_NET_UNET,
    SDI_NET_VAE_ENCODER,
    SDI_NET_VAE_DECODER,
    SDI_NET_DEPTH,
    SDI_NET_COUNT,
    SDI_NET_FIRST_EXTRA = SDI_NET_COUNT, // those of other models, see sdi_session_add
    SDI_NET_LAST_EXTRA = SDI_NET_COUNT + 15
} sdi_network;

enum { SDI_ARGS_SIZE = 64, SDI_MAX_SLOTS = SDI_NET_LAST_EXTRA + 1 };

/* A network and its plan for the arguments it was last used with. */
typedef struct sdi_slot {
    sdi_plan *plan;
    sdi_model *model; // extra networks: a reference; the slot is free where it is NULL
    sdi_part part;    // of it
    unsigned char args[SDI_ARGS_SIZE];
    int version; // of its weights
} sdi_slot;

typedef struct sdi_session {
    sdi_env env;
    sdi_model *model; // a reference
    sdi_pool *pool;   // of the context
    sdi_tokenizer_variant variant;
    const sdi_embeddings *embeddings; // that prompts may name; NULL: none
    void *arena;
    uint64_t arena_bytes;
    sdi_slot slots[SDI_MAX_SLOTS];
    struct sdi_controls *controls; // ControlNets, borrowed; NULL: none
    sdi_plan *cached; // has the end of the arena for its weights; NULL: none
    int32_t tile;     // longest side of autoencoders' tiles in latents, 0: no tiles
    atomic_int cancel;
    sdi_work_fn work; // told of work done; may be NULL
    void *work_user;
} sdi_session;

void sdi_session_init(sdi_session *session, const sdi_env *env, sdi_model *model, sdi_pool *pool);
void sdi_session_free(sdi_session *session);

/* Adds a part of another model (ControlNet, tiny decoder, …), of which it keeps a reference; it is
 * planned and run as the session's own networks are. */
sdiff_status sdi_session_add(sdi_session *session, sdi_model *model, sdi_part part,
                             sdi_network *network);
void sdi_session_remove(sdi_session *session, sdi_network network);

/* The plan of a network for these arguments (sdi_clip_args, sdi_unet_args, sdi_vae_args; zeroed
 * before they are filled, since they are compared as bytes): the cached one or a new one. It is
 * owned by the session and valid until the network is planned with other arguments. */
sdiff_status sdi_session_plan(sdi_session *session, sdi_network network, const void *args,
                              size_t size, sdi_plan **out);
/* Makes the arena large enough for all present plans; refuses with the number of bytes needed. */
sdiff_status sdi_session_reserve(sdi_session *session);
/* The same, and up to `spare` bytes more for the weights that runs of a plan pack anew. */
sdiff_status sdi_session_reserve_cached(sdi_session *session, sdi_plan *plan, uint64_t spare);
/* Gives the arena and all plans back. */
void sdi_session_release(sdi_session *session);
uint64_t sdi_session_arena_needed(const sdi_session *session); // by the largest of all plans
double sdi_session_pack_seconds(const sdi_session *session);   // spent on streamed weights
uint64_t sdi_session_plan_bytes(const sdi_session *session);   // of all plans, the arena apart

sdiff_status sdi_session_run(sdi_session *session, sdi_plan *plan, nn_when when);
sdiff_status sdi_session_get(sdi_session *session, const sdi_plan *plan, const char *name,
                             float *out);

#endif
