/* SPDX-License-Identifier: MIT
 *
 * The stack machine of a pickle: what its opcodes share. Used by the pickle_*.c files only.
 */
#ifndef SDI_IO_PICKLE_MACHINE_H
#define SDI_IO_PICKLE_MACHINE_H

#include "io/pickle.h"

typedef struct sdi_machine {
    const sdi_env *env;
    const char *name; // of the file
    const unsigned char *bytes;
    uint64_t size, at;
    sdi_bump *memory;
    sdi_value **stack;
    uint64_t depth, stack_capacity;
    uint64_t *marks; // heights of the stack
    uint64_t mark_count, mark_capacity;
    sdi_value **memo; // NULL where nothing was put
    uint64_t memo_count, memo_capacity;
    sdi_pickle_storage *storages;
    int stopped;
} sdi_machine;

typedef sdiff_status (*sdi_opcode_fn)(sdi_machine *m);

/* "…: damaged pickle at byte N: …" */
sdiff_status sdi_pickle_fail(const sdi_machine *m, const char *format, ...) SDI_PRINTF(2, 3);

/* The next bytes of the program. */
sdiff_status sdi_pickle_take(sdi_machine *m, uint64_t size, const unsigned char **bytes);
/* A little-endian unsigned number of up to 8 bytes. */
sdiff_status sdi_pickle_number(sdi_machine *m, int size, uint64_t *number);
/* Up to the next newline, which is skipped. */
sdiff_status sdi_pickle_line(sdi_machine *m, const char **text, uint64_t *length);

sdiff_status sdi_pickle_push(sdi_machine *m, sdi_value *value);
sdiff_status sdi_pickle_pop(sdi_machine *m, sdi_value **value);
/* The topmost value, which stays. */
sdiff_status sdi_pickle_peek(sdi_machine *m, sdi_value **value);
/* All values above the last mark, which is removed with them; they stay readable until the next
 * push. */
sdiff_status sdi_pickle_pop_mark(sdi_machine *m, sdi_value ***values, uint64_t *count);

/* A fresh value, zero but for its kind. */
sdiff_status sdi_pickle_new(sdi_machine *m, sdi_value_kind kind, sdi_value **value);
sdiff_status sdi_pickle_push_new(sdi_machine *m, sdi_value_kind kind, sdi_value **value);
sdiff_status sdi_pickle_push_text(sdi_machine *m, sdi_value_kind kind, const void *text,
                                  uint64_t length);
sdiff_status sdi_pickle_append(sdi_machine *m, sdi_value *list, sdi_value *const *values,
                               uint64_t count);

extern const sdi_opcode_fn sdi_pickle_scalar_ops[256];    // numbers, strings
extern const sdi_opcode_fn sdi_pickle_stack_ops[256];     // stack, memo, framing
extern const sdi_opcode_fn sdi_pickle_container_ops[256]; // tuples, lists, dicts, sets
extern const sdi_opcode_fn sdi_pickle_object_ops[256];    // names, calls, persistent ids

/* What calling `callable` with a tuple gives. */
sdiff_status sdi_pickle_call(sdi_machine *m, const sdi_value *callable, sdi_value *arguments,
                             sdi_value **result);
/* _rebuild_tensor and _rebuild_tensor_v2. */
sdiff_status sdi_pickle_tensor_of(sdi_machine *m, const sdi_value *arguments, sdi_value **result);
/* ('storage', torch.FloatStorage, '12', 'cpu', 600) */
sdiff_status sdi_pickle_storage_of(sdi_machine *m, const sdi_value *id, sdi_value **result);

/* The names that a pickle may use. */
typedef enum sdi_known_action {
    SDI_KNOWN_DICT,      // an empty dict, or one of the given pairs
    SDI_KNOWN_TENSOR,    // _rebuild_tensor
    SDI_KNOWN_PARAMETER, // its first argument, a tensor
    SDI_KNOWN_FROM_TYPE, // calls its first argument with its third
    SDI_KNOWN_STORAGE,   // the class of a storage; not to be called
    SDI_KNOWN_OBJECT,    // an object whose state is kept
    SDI_KNOWN_OPAQUE     // data of no interest here
} sdi_known_action;

typedef struct sdi_known {
    const char *name;
    sdi_known_action action;
    sdi_dtype dtype; // of a storage
} sdi_known;

/* The index of "module.name" in the list, or -1. */
int32_t sdi_known_find(const char *name, uint64_t length);
const sdi_known *sdi_known_at(int32_t index);

#endif
