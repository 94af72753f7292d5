"""The ops that `kiln import` does not have, as Markdown for docs/onnx.md: ONNX's own, and com.microsoft's.

usage: onnx_missing.py KILN; needs PyPI's onnx and onnxruntime.
"""
import re
import subprocess
import sys

import onnx
from onnxruntime.capi import onnxruntime_pybind11_state as runtime


def main():
    table = subprocess.run([sys.argv[1], "import", "--ops"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^\| `([\w.]+)`", table, re.M))
    own = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == "" and not schema.deprecated}
    other = {schema.name for schema in runtime.get_all_operator_schema() if schema.domain == "com.microsoft"}
    print("- ONNX: " + ", ".join(f"`{name}`" for name in sorted(own - known)))
    print("- `com.microsoft`: " + ", ".join(f"`{name}`" for name in sorted(other) if "com.microsoft." + name not in known))


if __name__ == "__main__":
    main()
