/* SPDX-License-Identifier: MIT
 *
 * Class-conditional latent diffusion sees its class as a prompt of one token:
 * ldm.modules.encoders.modules.ClassEmbedder.
 *
 *   class_labels [b, 1] -> embedding -> context [b, 1, d]
 */
#include "net/class_embedder.h"

void sdi_class_embedder_net(sdi_nn *n, const void *args)
{
    const sdi_class_embedder_args *a = args;
    nn_tensor labels = nn_input_ids(n, "class_labels", a->b, 1, NN_EACH);
    nn_output_tokens(n, "context", nn_embedding(n, "embedding", labels, a->classes, a->width));
}
