// Which launches share what is packed once, and when it is packed.

#include "backends/cpu/run/Prepacked.h"
#include "backends/api/kiln_text.h"

namespace kiln::cpu {

void *Prepacked::of(uint64_t version, bool &pack) {
  pack = false;
  if (version == 0)
    return nullptr;
  if (version == packed)
    return memory.get();
  if (version != seen) {
    seen = version;
    return nullptr;
  }
  if (!memory)
    memory.reset(std::aligned_alloc(64, (static_cast<size_t>(bytes) + 63) / 64 * 64));
  if (!memory)
    return nullptr;
  pack = true;
  packed = version;
  return memory.get();
}

int32_t PrepackedTable::find(const kiln_reader &reader, const kiln_program *program, uint32_t entry,
                             const kiln_place &place, const kiln_cpu_prepacking &prepacking) {
  if (!kiln_cpu_lasts(&reader, program, entry, &place))
    return -1;
  std::string key; // no parameter has this name
  if (place.space == KILN_SPACE_ARGUMENT) {
    kiln_argument argument = {};
    argument.size = sizeof argument;
    reader.argument(program, entry, place.argument, &argument);
    key = "parameter " + toString(argument.name);
  }
  key += "\n" + std::to_string(place.offset) + "\n" + prepacking.layout;
  auto [found, isNew] = numbers.try_emplace(key, static_cast<int32_t>(all.size()));
  if (isNew)
    all.emplace_back().bytes = prepacking.bytes;
  return found->second;
}

uint64_t PrepackedTable::bytes() const {
  uint64_t sum = 0;
  for (const Prepacked &one : all)
    sum += one.memory ? static_cast<uint64_t>(one.bytes) : 0;
  return sum;
}

} // namespace kiln::cpu
