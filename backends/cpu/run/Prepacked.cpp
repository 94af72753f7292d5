// Which launches share what is packed once, and when it is packed.

#include "backends/cpu/run/Prepacked.h"
#include "backends/api/kiln_text.h"

#include <cstdio>
#include <sys/mman.h>
#include <unistd.h>

namespace kiln::cpu {

uint64_t availableMemory() {
  std::FILE *file = std::fopen("/proc/meminfo", "re");
  unsigned long long kibibytes = 0;
  char line[128];
  while (file && std::fgets(line, sizeof line, file))
    if (std::sscanf(line, "MemAvailable: %llu kB", &kibibytes) == 1)
      break;
  if (file)
    std::fclose(file);
  return kibibytes * 1024;
}

/// Whether an eighth of the machine's memory would still be available; where nobody knows, too.
static bool leavesEnough(uint64_t bytes) {
  uint64_t available = availableMemory();
  uint64_t all = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return available == 0 || available >= all / 8 + bytes;
}

void *Prepacked::of(uint64_t version, bool &pack) {
  pack = false;
  if (version == 0)
    return nullptr;
  if (version == packed_)
    return memory_.get();
  if (version != seen_) {
    seen_ = version;
    found_ = 0;
    return nullptr;
  }
  if (refused_ || ++found_ < until_)
    return nullptr;
  return repeated(version, pack);
}

void *Prepacked::repeated(uint64_t version, bool &pack) {
  pack = false;
  if (version == packed_)
    return memory_.get();
  if (refused_)
    return nullptr;
  if (!memory_ && leavesEnough(static_cast<uint64_t>(bytes_))) {
    // In large pages, which are written and read with fewer misses; what is mapped side by side shares them.
    constexpr size_t page = 4096;
    size_t size = (static_cast<size_t>(bytes_) + page - 1) / page * page;
    memory_.reset(std::aligned_alloc(page, size));
    if (memory_)
      madvise(memory_.get(), size, MADV_HUGEPAGE);
  }
  if (!memory_) {
    refused_ = true;
    return nullptr;
  }
  pack = true;
  packed_ = version;
  return memory_.get();
}

void Prepacked::written() {
  memory_.reset();
  packed_ = 0;
  until_ = untilAfterTraining;
}

int32_t PrepackedTable::find(const kiln_reader &reader, const kiln_program *program, uint32_t entry,
                             const kiln_place &place, const kiln_cpu_prepacking &prepacking) {
  if (!kiln_cpu_lasts(&reader, program, entry, &place))
    return -1;
  Prepacked::Key key;
  if (place.space == KILN_SPACE_ARGUMENT) {
    kiln_argument argument = {};
    argument.size = sizeof argument;
    reader.argument(program, entry, place.argument, &argument);
    key.parameter = toString(argument.name);
    for (uint32_t i = 0; argument.dims && i < argument.rank; ++i)
      key.dims.push_back(argument.dims[i].value);
  }
  return numberOf(std::move(key), place, prepacking);
}

int32_t PrepackedTable::findInLoop(const kiln_node *loop, const kiln_place &place,
                                   const kiln_cpu_prepacking &prepacking) {
  Prepacked::Key key;
  key.loop = loop;
  key.argument = place.argument;
  return numberOf(std::move(key), place, prepacking);
}

int32_t PrepackedTable::numberOf(Prepacked::Key key, const kiln_place &place, const kiln_cpu_prepacking &prepacking) {
  key.space = place.space;
  key.offset = place.offset;
  key.layout = static_cast<const char *>(prepacking.layout);
  size_t number = 0;
  while (number < all.size() && !(all[number].key() == key))
    ++number;
  if (number == all.size())
    all.emplace_back(std::move(key), prepacking.bytes);
  return static_cast<int32_t>(number);
}

std::vector<int32_t> PrepackedTable::of(std::string_view parameter) const {
  std::vector<int32_t> found;
  for (size_t i = 0; i < all.size(); ++i)
    if (!parameter.empty() && all[i].key().parameter == parameter)
      found.push_back(static_cast<int32_t>(i));
  return found;
}

uint64_t PrepackedTable::bytes() const {
  uint64_t sum = 0;
  for (const Prepacked &one : all)
    sum += one.bytes();
  return sum;
}

} // namespace kiln::cpu
