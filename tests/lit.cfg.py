# lit tests: every tests/**/*.mlir and tests/**/*.test with RUN lines.
#   %kiln-opt, %kiln: our programs; %split-examples: cuts the examples out of a .md file; FileCheck and not are on the path.
import os

import lit.formats

config.name = "kiln"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".mlir", ".test"]
config.excludes = ["fixtures", "Inputs", "cases"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.kiln_binary_dir, "tests", "lit")
config.environment["PATH"] = os.path.join(config.test_exec_root, "bin") + os.pathsep + os.environ.get("PATH", "")
# Programs link with the runtime's archives, which a sanitizer changes.
if not config.sanitize:
    config.available_features.add("programs")
config.environment["KILN_VERIFY_STAGES"] = "1"
for name in ("KILN_DATA", "HOME", "XDG_CACHE_HOME", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# Debian installs the tools with a version in their names.
bin_dir = os.path.join(config.test_exec_root, "bin")
os.makedirs(bin_dir, exist_ok=True)
for name, path in (("FileCheck", config.filecheck), ("not", config.not_tool)):
    link = os.path.join(bin_dir, name)
    if not os.path.islink(link) or os.readlink(link) != path:
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(path, link)

for name in ("kiln-opt", "kiln"):
    config.substitutions.append(("%" + name + r"\b", os.path.join(config.kiln_binary_dir, "bin", name)))
config.substitutions.append(("%broken", os.path.join(config.kiln_binary_dir, "tests", "backends", "host", "plugins", "libbroken_")))
config.substitutions.append(("%nothing", os.path.join(config.kiln_binary_dir, "tests", "plugins", "libkiln_backend_nothing.so")))
config.substitutions.append(("%whole", os.path.join(config.kiln_binary_dir, "tests", "plugins", "libkiln_backend_whole.so")))
config.substitutions.append(("%wrong", os.path.join(config.kiln_binary_dir, "tests", "backends", "host", "plugins", "libkiln_backend_wrong.so")))
config.substitutions.append(("%minimal", os.path.join(config.kiln_binary_dir, "tests", "plugins", "libkiln_backend_minimal.so")))
