"""Puts libraries that are never called into down to their names: names.py FOLDER LIBRARY...

LLVM is linked with a solver and an XML reader that Kiln has no use for, as large as Kiln itself. Each LIBRARY in FOLDER becomes one
with the same names and versions, as far as others in FOLDER want them, of functions that end the process.
"""

import re
import subprocess
import sys
from pathlib import Path


def symbols(library, defined):
    """Name to version ("" for none) of what the library defines, or of what it wants."""
    text = subprocess.run(["nm", "-D", "--with-symbol-versions", "--defined-only" if defined else "--undefined-only", library],
                          check=True, capture_output=True, text=True).stdout
    found = {}
    for line in text.splitlines():
        name, _, version = line.split()[-1].partition("@")
        found[name] = version.lstrip("@")
    return found


def main():
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        has = symbols(folder / name, True)
        wanted = {symbol for other in folder.iterdir() if other.name != name for symbol in symbols(other, False) if symbol in has}
        versions = {}
        for symbol in sorted(wanted):
            versions.setdefault(has[symbol], []).append(symbol)
        versions = {version: of for version, of in versions.items() if version}
        text = "void abort(void);\n" + "".join(f"void {symbol}(void) {{ abort(); }}\n" for symbol in sorted(wanted))
        script = "".join(f"{version} {{ global: {'; '.join(of)}; }};\n" for version, of in versions.items())
        (folder / "names.map").write_text(script)
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-nostdlib", f"-Wl,-soname,{name}", "-x", "c", "-", "-o", folder / name, "-lc"]
        if script:
            command.append(f"-Wl,--version-script={folder / 'names.map'}")
        (folder / name).unlink()
        subprocess.run(command, input=text, text=True, check=True)
        (folder / "names.map").unlink()
        print(f"{name}: {len(wanted)} names")


main()
