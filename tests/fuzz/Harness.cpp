#include "tests/fuzz/Harness.h"

#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

using namespace kiln;
using kiln::testing::Parser;
using kiln::testing::parsers;

/// The upper half of the first byte's values asks for a repair first.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const Parser &parser = parsers()[data[0] % 128 % parsers().size()];
  std::string bytes(reinterpret_cast<const char *>(data) + 1, size - 1);
  if (data[0] >= 128 && parser.repair)
    parser.repair(bytes);
  try {
    parser.parse(bytes);
    return 0;
  } catch (const Error &) {
    return 0; // a sentence is what damage is to end in
  }
}

#ifdef KILN_LIBFUZZER

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  if (const char *folder = std::getenv("KILN_FUZZ_SEEDS"))
    for (size_t i = 0; i < parsers().size(); ++i)
      for (size_t repaired : {0, 128})
        std::ofstream(folder + std::string("/seed") + std::to_string(i + repaired), std::ios::binary)
            << static_cast<char>(i + repaired) << parsers()[i].seed;
  return 0;
}

#else

/// One to eight changes: a byte set or flipped, a stretch repeated or cut out, a number replaced by one that overflows.
static std::string damage(std::string text, const RandomStream &random, uint64_t &at) {
  static const char *const numbers[] = {
      "-1", "0", "4294967296", "9223372036854775807", "1e999", "18446744073709551615"};
  uint64_t changes = 1 + random.below(at++, 8);
  for (uint64_t c = 0; c < changes && !text.empty(); ++c) {
    size_t place = random.below(at++, text.size());
    size_t length = std::min<size_t>(1 + random.below(at++, 16), text.size() - place);
    switch (random.below(at++, 6)) {
    case 0:
      text[place] = static_cast<char>(random.bits(at++));
      break;
    case 1:
      text[place] ^= static_cast<char>(1 << random.below(at++, 8));
      break;
    case 2:
      text.insert(place, text.substr(place, length));
      break;
    case 3:
      text.erase(place, length);
      break;
    case 4:
      text.resize(place);
      break;
    default:
      size_t digit = text.find_first_of("0123456789", place);
      if (digit != std::string::npos)
        text.replace(digit, 1, numbers[random.below(at++, 6)]);
    }
  }
  return text;
}

int main(int count, char **arguments) {
  uint32_t seed = count > 1 ? static_cast<uint32_t>(std::strtoul(arguments[1], nullptr, 10)) : 0;
  long runs = count > 2 ? std::strtol(arguments[2], nullptr, 10) : 20000;
  for (size_t which = 0; which < parsers().size(); ++which) {
    try {
      parsers()[which].parse(parsers()[which].seed);
    } catch (const Error &error) {
      std::printf("seed %zu is refused: %s\n", which, error.what());
      return 1;
    }
  }
  RandomStream random(seed, 1);
  uint64_t at = 0;
  for (long run = 0; run < runs; ++run) {
    size_t which = random.below(at++, parsers().size());
    size_t repaired = random.below(at++, 2) * 128;
    std::string input = static_cast<char>(which + repaired) + damage(parsers()[which].seed, random, at);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(input.data()), input.size());
  }
  std::printf("%ld damaged inputs: no crash\n", runs);
}

#endif
