/* SPDX-License-Identifier: MIT
 *
 * The conditioning of class-conditional latent diffusion: one token from a table.
 * ldm.modules.encoders.modules.ClassEmbedder ("embedding.weight").
 */
#ifndef SDI_NET_CLASS_EMBEDDER_H
#define SDI_NET_CLASS_EMBEDDER_H

#include "nn/nn.h"

typedef struct sdi_class_embedder_args {
    int32_t classes; // rows of the table: 1001 for ImageNet, the last one is "no class"
    int32_t width;   // the U-Net's cross_attention_dim
    int64_t b;
} sdi_class_embedder_args;

/* "class_labels" [b, 1] -> "context" [b, 1, width], for the U-Net's input of that name. */
void sdi_class_embedder_net(sdi_nn *n, const void *args);

#endif
