/* SPDX-License-Identifier: MIT
 *
 * Reads the pickles that torch writes (protocols 0 to 5) into plain values. A pickle is a program
 * for a stack machine that may call anything by name; here nothing is ever called. The few names
 * that build tensors and containers are understood, some are kept as inert values, every other
 * name is refused, by its name, as soon as the pickle calls it.
 */
#ifndef SDI_IO_PICKLE_H
#define SDI_IO_PICKLE_H

#include "io/bump.h"
#include "io/tensor_file.h"

typedef enum sdi_value_kind {
    SDI_VALUE_NONE,
    SDI_VALUE_BOOL,
    SDI_VALUE_INT,
    SDI_VALUE_LONG,   // an integer beyond 64 bits: text is its little-endian two's complement
    SDI_VALUE_NUMBER, // with a fraction; its value is not kept
    SDI_VALUE_STRING, // text, not checked to be UTF-8
    SDI_VALUE_BYTES,
    SDI_VALUE_TUPLE, // items
    SDI_VALUE_LIST,
    SDI_VALUE_SET,
    SDI_VALUE_DICT,    // items: key, value, key, value …
    SDI_VALUE_GLOBAL,  // text is "module.name"
    SDI_VALUE_STORAGE, // storage
    SDI_VALUE_TENSOR,  // tensor
    SDI_VALUE_OBJECT,  // items: class and, once set, its state
    SDI_VALUE_OPAQUE   // something known to be harmless, without contents
} sdi_value_kind;

typedef struct sdi_value sdi_value;

/* What a persistent id names: bytes that lie elsewhere in the file. */
typedef struct sdi_pickle_storage {
    struct sdi_pickle_storage *next; // all of a pickle, the newest first
    sdi_dtype dtype;
    const char *key; // not terminated
    uint64_t key_length;
    uint64_t count;                  // elements of the whole storage
    uint64_t view_start, view_count; // the part that is meant, in elements
} sdi_pickle_storage;

typedef struct sdi_pickle_tensor {
    const sdi_pickle_storage *storage;
    int64_t offset; // elements
    int32_t rank;
    int64_t shape[SDI_MAX_RANK], stride[SDI_MAX_RANK]; // not checked yet
} sdi_pickle_tensor;

struct sdi_value {
    sdi_value_kind kind;
    int32_t tag; // of a global: its place in the list of known names, or -1
    union {
        int64_t integer;
        struct {
            const char *text; // not terminated
            uint64_t length;
        };
        struct {
            sdi_value **items;
            uint64_t count, capacity;
        };
        sdi_pickle_storage *storage;
        sdi_pickle_tensor *tensor;
    };
};

typedef struct sdi_pickle {
    sdi_bump memory; // of all values
    const sdi_value *root;
    uint64_t size; // bytes read, up to and with the final opcode
    const sdi_pickle_storage *storages;
} sdi_pickle;

/* `bytes` must outlive the values, which point into it. `name` is the file's. On failure nothing
 * is to be freed. */
sdiff_status sdi_pickle_read(const sdi_env *env, const char *name, const unsigned char *bytes,
                             uint64_t size, sdi_pickle *out);
void sdi_pickle_free(const sdi_env *env, sdi_pickle *pickle);

int sdi_value_is_text(const sdi_value *value, const char *text);
/* The value under a key of a dict, or NULL. */
const sdi_value *sdi_dict_get(const sdi_value *dict, const char *key);

#endif
