// Every parser of files from strangers, fed with damaged ones. The first byte chooses the parser.
//
// With -fsanitize=fuzzer this is a libFuzzer target; built plainly it mutates its own seeds:
//   parser_fuzz [SEED [COUNT]]
#include "runtime/data/Vocabulary.h"
#include "runtime/files/Csv.h"
#include "runtime/files/File.h"
#include "runtime/files/Idx.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/program/Plan.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"
#include "tests/runtime/FakeBackend.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace kiln;

static void parse(uint8_t which, std::string_view bytes) {
  switch (which % 7) {
  case 0: {
    Safetensors file = Safetensors::parse(bytes, "input");
    uint8_t sum = 0;
    for (const TensorView &tensor : file.tensors()) // every byte that it says is there
      for (size_t i = 0; i < tensor.bytes; ++i)
        sum ^= tensor.data[i];
    std::vector<float> into(4);
    loadTensors(file, {{"w", KILN_F32, {2, 2}, into.data()}}, false);
    if (sum == 255) // or the reading above is dropped
      std::printf(" ");
    break;
  }
  case 1:
    parseNpy(bytes, "input");
    break;
  case 2:
    parseIdx(bytes, "input");
    break;
  case 3:
    parseCsv(bytes, "input", ',', 0, true);
    break;
  case 4: {
    Manifest manifest = Manifest::parse(bytes);
    Plan plan(manifest, nullptr, 0);
    break;
  }
  case 5:
    gunzip(bytes, "input", 1 << 20);
    break;
  default:
    Vocabulary::deserialise(bytes, "input");
    Vocabulary::characters(bytes, "input");
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  try {
    parse(data[0], {reinterpret_cast<const char *>(data) + 1, size - 1});
  } catch (const Error &) { // a sentence is what damage is to end in
  }
  return 0;
}

#ifndef KILN_LIBFUZZER
static std::vector<std::string> seeds() {
  std::string header = R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                       R"("v":{"dtype":"I8","shape":[3],"data_offsets":[16,19]}})";
  uint64_t size = header.size();
  std::string safetensors = std::string(reinterpret_cast<char *>(&size), 8) + header + std::string(19, '\1');
  std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  std::string npy("\x93NUMPY\x01\x00", 8);
  npy += static_cast<char>(dictionary.size());
  npy += '\0';
  npy += dictionary + std::string(24, '\2');
  std::string idx("\0\0\x08\x02\0\0\0\x02\0\0\0\x03"
                  "abcdef",
                  18);
  std::string csv = "a,b\n1,\"x, \"\"y\"\"\nz\"\n2,w\n";
  std::string gzip("\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\127\310\100\047\001\343\121\075\215"
                   "\027\000\000\000",
                   28);
  std::string vocabulary = R"({"kind":"words","tokens":["<pad>","<unk>","<start>","<end>","a","b"]})";
  return {safetensors, npy, idx, csv, kiln::testing::lineManifest("x.csv"), gzip, vocabulary};
}

/// One to eight changes: a byte set or flipped, a stretch repeated or cut out, a number replaced by one that overflows.
static std::string mutate(std::string text, const RandomStream &random, uint64_t &at) {
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
  std::vector<std::string> all = seeds();
  RandomStream random(seed, 1);
  uint64_t at = 0;
  for (size_t which = 0; which < all.size(); ++which) { // the seeds themselves are good
    try {
      parse(static_cast<uint8_t>(which), all[which]);
    } catch (const Error &error) {
      std::printf("seed %zu is refused: %s\n", which, error.what());
      return 1;
    }
  }
  for (long run = 0; run < runs; ++run) {
    size_t which = random.below(at++, all.size());
    std::string input = static_cast<char>(which) + mutate(all[which], random, at);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(input.data()), input.size());
  }
  std::printf("%ld damaged inputs: no crash\n", runs);
}
#endif
