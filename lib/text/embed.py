#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a C file that holds the bytes of a file: embed.py [INPUT] OUTPUT."""
import sys

data = open(sys.argv[1], "rb").read() if len(sys.argv) > 2 else b""
rows = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
with open(sys.argv[-1], "w") as out:
    out.write('#include "text/embedded_vocab.h"\n\n')
    if data:
        out.write("static const unsigned char bytes[] = {\n" + ",\n".join(rows) + "};\n\n")
    out.write("const void *sdi_embedded_vocab(size_t *size)\n{\n")
    out.write("    *size = %d;\n    return %s;\n}\n" % (len(data), "bytes" if data else "0"))
