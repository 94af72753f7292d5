#!/usr/bin/env python3
"""A header grows by appended fields alone: what stood in an older one stands in today's, in its place.

usage: header_test.py OLDER TODAY; prints each breach and exits with 1 where there is one.
"""
import re
import sys

BLOCK = re.compile(r"typedef (struct|enum) (\w+) \{(.*?)\n\} \2;|(enum) \{(.*?)\n\};", re.S)


def parts(path):
    """Name to the list of what the struct or enum holds; and all else, a declaration or a macro each."""
    with open(path, encoding="utf-8") as text:
        plain = re.sub(r"/\*.*?\*/", " ", text.read(), flags=re.S)
    blocks = {}
    for kind, name, body, _, nameless in BLOCK.findall(plain):
        split = ";" if kind == "struct" else ","
        items = [" ".join(item.split()) for item in (body or nameless).split(split) if item.strip()]
        blocks[name or items[0].split()[0]] = items
    rest = BLOCK.sub("", plain).replace("\\\n", " ")
    lines = [line for line in rest.split("\n") if line.startswith("#")]
    rest = "\n".join(line for line in rest.split("\n") if not line.startswith("#"))
    return blocks, {" ".join(item.split()) for item in lines + rest.split(";") if item.strip()}


def breaches(older, today):
    old_blocks, old_rest = older
    new_blocks, new_rest = today
    for name, items in old_blocks.items():
        found = new_blocks.get(name, [])
        for i, item in enumerate(items):
            if found[i:i + 1] != [item]:
                yield f"{name}: '{item}' is number {i + 1} of the older header's; today's has {found[i:i + 1]}"
        sized = items[0] == "uint32_t size" or "=" in items[0]
        if not sized and found != items:
            yield f"{name} has no size, so it never changes; new: {found[len(items):]}"
    for item in old_rest - new_rest - {"#define KILN_ABI_VERSION 1"}: # which rises with appended fields
        yield f"gone or changed: {item}"


def main():
    older = parts(sys.argv[1])
    if len(older[0]) < 30 or not any("kiln_backend_fn" in item for item in older[1]):
        sys.exit(f"{sys.argv[1]} was not understood")
    wrong = list(breaches(older, parts(sys.argv[2])))
    print("\n".join(wrong) or f"{len(older[0])} structs and enums as they were, or longer")
    sys.exit(1 if wrong else 0)


main()
