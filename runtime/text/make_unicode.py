#!/usr/bin/env python3
"""Writes UnicodeTables.inc from Python's unicodedata and Perl's ages, both of the same version of Unicode:
python3 runtime/text/make_unicode.py > runtime/text/UnicodeTables.inc"""

import subprocess
import sys
import unicodedata

# In the order of UnicodeClass (Unicode.h).
CLASSES = ["Cn", "Cc", "Cf", "Co", "Cs", "L", "N", "Mn", "M", "P", "S", "Z", "No"]
# BERT's steps see Unicode 8.0, as the library that everybody's numbers come from does: what is newer, or a mark since.
LATER = 0x80
MARKS_SINCE = {0x1885, 0x1886, 0xA9BD}
AGES = r'for (0..0x10ffff) { next if $_ >= 0xd800 && $_ < 0xe000; print "$_\n" if chr =~ /\p{Present_In: 8.0}/ }'
ALL = range(0x110000)


def runs(value):
    """(first code point, value) of each stretch of equal values."""
    last = None
    for code in ALL:
        now = value(code)
        if now != last:
            yield code, now
            last = now


def class_of(code, known):
    category = unicodedata.category(chr(code))
    number = CLASSES.index(category if category in CLASSES else category[0])
    later = category[0] not in "CL" and code not in known
    return number | (LATER if later or code in MARKS_SINCE or (category == "Cf" and code not in known) else 0)


def lower_runs():
    """(first, last, step, difference): code points whose lower case lies at the same distance."""
    pairs = [(code, ord(low) - code) for code in ALL if len(low := chr(code).lower()) == 1 and ord(low) != code]
    out = []
    for code, difference in pairs:
        if out:
            first, last, step, before = out[-1]
            if before == difference and code - last in (1, 2) and (first == last or code - last == step):
                out[-1] = (first, code, code - last, difference)
                continue
        out.append((code, code, 1, difference))
    return out


def stepped_runs(categories):
    """(first, last, step): code points of these categories, a step from each to the next."""
    out = []
    for code in (code for code in ALL if unicodedata.category(chr(code)) in categories):
        if out:
            first, last, step = out[-1]
            if code - last in (1, 2) and (first == last or code - last == step):
                out[-1] = (first, code, code - last)
                continue
        out.append((code, code, 1))
    return out


def decompositions():
    for code in ALL:
        text = unicodedata.decomposition(chr(code))
        if text and not text.startswith("<"):
            yield code, [int(part, 16) for part in text.split()]


def table(kind, name, rows):
    print(f"const {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + len(row) > 118:
            print(line)
            line = "   "
        line += " " + row + ","
    print(line + "\n};")


def main():
    print(f"// Written by make_unicode.py from Unicode {unicodedata.unidata_version}.")
    ages = subprocess.run(["perl", "-e", AGES], check=True, capture_output=True, text=True).stdout
    known = set(map(int, ages.split()))
    classes = runs(lambda code: class_of(code, known))
    table("uint32_t", "classRuns", (f"0x{code:x}{kind:02x}" for code, kind in classes))
    combining = runs(lambda code: unicodedata.combining(chr(code)))
    table("uint32_t", "combiningRuns", (f"0x{code:x}{value:02x}" for code, value in combining))
    lower = (f"{{0x{a:x}, {b - a}, {step}, {diff}}}" for a, b, step, diff in lower_runs())
    table("LowerRun", "lowerRuns", lower)
    for name, categories in (("upperRuns", ("Lu", "Lt")), ("lowRuns", ("Ll",))):
        table("CaseRun", name, (f"{{0x{a:x}, {b - a}, {step}}}" for a, b, step in stepped_runs(categories)))
    rows = []
    for code, parts in decompositions():
        # What the standard leaves out of composition decomposes and does not come back.
        composes = len(parts) == 2 and unicodedata.normalize("NFC", "".join(map(chr, parts))) == chr(code)
        rows.append(f"{{0x{code:x}, 0x{parts[0]:x}, 0x{parts[1] if len(parts) > 1 else 0:x}, {int(composes)}}}")
    table("Decomposition", "canonical", rows)


if __name__ == "__main__":
    sys.exit(main())
