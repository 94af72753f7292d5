// The tables unpacked from the words that the build writes, and found by name.

#include "Ops.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace kiln::sdk {

//===-- Ops -------------------------------------------------------------------------------------------------------===//

namespace {
/// What the table holds of an op that comes in words.
struct Row {
  OpInfo info;
  std::string_view operands, results, attributes;
};

constexpr std::string_view spaced = " ";

std::string_view nextWord(std::string_view &words) {
  size_t end = std::min(words.find(spaced), words.size());
  std::string_view word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

/// Takes a suffix off.
bool consume(std::string_view &word, std::string_view suffix) {
  bool found = word.ends_with(suffix);
  if (found)
    word.remove_suffix(suffix.size());
  return found;
}

std::vector<TensorInfo> tensors(std::string_view words) {
  std::vector<TensorInfo> result;
  while (!words.empty()) {
    std::string_view word = nextWord(words);
    TensorInfo tensor;
    if (word.ends_with('*') || word.ends_with('?')) {
      tensor.count = word.back();
      word.remove_suffix(1);
    }
    tensor.scalar = consume(word, ":scalar");
    tensor.dtype = word;
    result.push_back(tensor);
  }
  return result;
}

std::vector<AttrInfo> attributes(std::string_view words) {
  static const std::map<std::string_view, AttrKind> kinds = {
      {"int", AttrKind::Int},     {"bool", AttrKind::Bool}, {"number", AttrKind::Number},  {"text", AttrKind::Text},
      {"bytes", AttrKind::Bytes}, {"ints", AttrKind::Ints}, {"extents", AttrKind::Extents}};
  std::vector<AttrInfo> result;
  while (!words.empty()) {
    std::string_view word = nextWord(words);
    AttrInfo attr;
    attr.optional = consume(word, "?");
    size_t colon = word.find(':');
    attr.name = word.substr(0, colon);
    std::string_view kind = word.substr(colon + 1);
    auto found = kinds.find(kind);
    attr.kind = found == kinds.end() ? AttrKind::Text : found->second;
    attr.choice = found == kinds.end() ? kind : std::string_view();
    result.push_back(attr);
  }
  return result;
}

std::vector<OpInfo> readTable() {
  const Row rows[] = {
#define KILN_OP(code, name, opClass, cost, primitive, elements, ulps, operands, results, attributes)                   \
  {{OpCode::code, name, OpClass::opClass, Cost::cost, primitive, Elements::elements, ulps, {}, {}, {}},                \
   operands,                                                                                                           \
   results,                                                                                                            \
   attributes},
#include "Ops.inc"
  };
  std::vector<OpInfo> table;
  for (const Row &row : rows) {
    table.push_back(row.info);
    table.back().operands = tensors(row.operands);
    table.back().results = tensors(row.results);
    table.back().attributes = attributes(row.attributes);
  }
  return table;
}
} // namespace

const std::vector<OpInfo> &opTable() {
  static const std::vector<OpInfo> table = readTable();
  return table;
}

const OpInfo &infoOf(OpCode code) {
  static const OpInfo other;
  return code == OpCode::Other ? other : opTable()[static_cast<size_t>(code)];
}

OpCode opCode(std::string_view name) {
  static const std::map<std::string_view, OpCode> codes = [] {
    std::map<std::string_view, OpCode> result;
    for (const OpInfo &info : opTable())
      result.emplace(info.name, info.code);
    return result;
  }();
  auto found = codes.find(name);
  return found == codes.end() ? OpCode::Other : found->second;
}

bool isElementwise(OpCode code) {
  const OpInfo &info = infoOf(code);
  return info.primitive && info.opClass == OpClass::Elementwise;
}

bool isWhole(OpCode code) {
  const OpInfo &info = infoOf(code);
  return !info.primitive || info.opClass == OpClass::Reduction || info.opClass == OpClass::Contraction ||
         info.opClass == OpClass::Whole;
}

//===-- Dtypes ----------------------------------------------------------------------------------------------------===//

namespace {
struct DtypeInfo {
  const char *name;
  int bits;
  char kind;
};
constexpr DtypeInfo dtypes[] = {
#define KILN_DTYPE(number, name, bits, kind) {name, bits, kind},
#include "backends/api/dtypes.inc"
#undef KILN_DTYPE
};

const DtypeInfo &dtypeInfo(kiln_dtype dtype) {
  if (isSupported(dtype))
    return dtypes[dtype];
  std::fprintf(stderr, "kiln: nothing is known of dtype %d\n", static_cast<int>(dtype));
  std::abort();
}
} // namespace

bool isSupported(int32_t dtype) { return dtype >= 0 && dtype <= KILN_BOOL; }
int64_t byteSize(kiln_dtype dtype) { return dtypeInfo(dtype).bits / 8; }
int bitWidth(kiln_dtype dtype) { return dtype == KILN_BOOL ? 1 : dtypeInfo(dtype).bits; }
bool isFloat(kiln_dtype dtype) { return dtypeInfo(dtype).kind == 'f'; }
bool isSigned(kiln_dtype dtype) { return dtypeInfo(dtype).kind == 'i'; }

const char *dtypeName(kiln_dtype dtype) {
  return static_cast<size_t>(dtype) < std::size(dtypes) ? dtypes[dtype].name : "unknown";
}

kiln_dtype accumulatorOf(kiln_dtype dtype) {
  if (dtype == KILN_BOOL || bitWidth(dtype) >= 32)
    return dtype;
  return isFloat(dtype) ? KILN_F32 : KILN_I32;
}

bool contains(Elements elements, kiln_dtype dtype) {
  switch (elements) {
  case Elements::Any:
    return true;
  case Elements::Floats:
    return isFloat(dtype);
  case Elements::Numbers:
    return dtype != KILN_BOOL;
  case Elements::Integers:
    return !isFloat(dtype) && dtype != KILN_BOOL;
  case Elements::Bits:
    return !isFloat(dtype);
  }
  return false;
}

std::string_view describe(Elements elements) {
  switch (elements) {
  case Elements::Any:
    return "any dtype";
  case Elements::Floats:
    return "floats";
  case Elements::Numbers:
    return "numbers";
  case Elements::Integers:
  case Elements::Bits:
    return "integers";
  }
  return "";
}

} // namespace kiln::sdk
