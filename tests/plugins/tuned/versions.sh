#!/usr/bin/env bash
# A program runs with any plugin that reads the artifacts of the one that it was built with, and says what it lacks where
# another lies beside it. Arguments: kiln, the folder of the plugins.
set -uo pipefail
source "$(dirname "$0")/common.sh"
name=libkiln_backend_tuned.so
give() { cp "$plugins/$1/$name" "program-$2/$name"; }
for built in plain two three; do
  mkdir "program-$built"
  says 0 "" "$kiln" build plane.kiln --backend "$plugins/$built/$name" -o "program-$built/program"
done
says 0 "plugin $name, that very file" program-plain/program info
says 0 "plugin $name, or another that reads its artifacts, version 2" program-two/program info

# Built with version 2: 2 alone, 2 to 3, 4 alone, a plugin that does not say, another backend, none.
says 0 "done after 40 steps" program-two/program train
give three two
says 0 "done after 40 steps" program-two/program train
give four two
says 1 "reads artifacts of version 4, and the program needs one that reads version 2: put an older one there, or build" program-two/program train
give plain two
says 1 "does not say which artifacts it reads, and the program needs one that reads version 2" program-two/program train
cp "$plugins/../libkiln_backend_minimal.so" "program-two/$name"
says 1 "is the backend minimal: put the one of tuned there" program-two/program train
give turned two
says 1 "it states that it reads artifacts of the versions 3 to 2, which are none: tell its author" program-two/program train
rm "program-two/$name"
says 1 "is missing; it belongs beside the program" program-two/program train
give two two
says 0 "done after 40 steps" program-two/program train

# Built with version 3.
give four three
says 1 "reads artifacts of version 4, and the program needs one that reads version 3: put an older one there" program-three/program train
give two three
says 1 "reads artifacts of version 2, and the program needs one that reads version 3: put a newer one there" program-three/program train

# Built with one that does not say: that very file.
says 0 "done after 40 steps" program-plain/program train
give three plain
says 1 "is not the one that the program was built with, and that one stated no artifact_version" program-plain/program train

# In the cache, beside each other: each program has the plugin that it was built with.
for built in plain four plain two three two plain; do
  says 0 "done after 40 steps" "$kiln" train plane.kiln --backend "$plugins/$built/$name"
done
plain=("$kiln" train plane.kiln --backend "$plugins/plain/$name")
says 0 "version 2" "$kiln" info plane.kiln --backend "$plugins/two/$name"
rm cache/kiln/*-"$name"
says 0 "the program in the cache is not as it was built" "${plain[@]}"
grep -qF "done after 40 steps" said || { echo "FAILED: it was not built again"; bad=1; }
for file in cache/kiln/*-"$name"; do echo x >> "$file"; done
says 0 "the program in the cache is not as it was built" "${plain[@]}"
says 0 "done after 40 steps" "${plain[@]}"
never "not as it was built"
[ $bad -ne 0 ] || echo "every version is met"
exit $bad
