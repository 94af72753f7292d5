// The tables of ops and of dtypes.
//
// What an op's name says: its class and cost, the operands, results and attributes that it takes. Ops.inc is written
// from the definitions that docs/ops.md is written from, so that an op that is new there is new here.
#pragma once

#include "kiln_backend.h"
#include <cstdint>
#include <string_view>
#include <vector>

namespace kiln::sdk {

/// Ops as docs/ops.md names them. Other: a name that this version does not know.
enum class OpCode {
#define KILN_OP(code, name, opClass, cost, primitive, elements, ulps, operands, results, attributes) code,
#include "Ops.inc"
  Other
};

/// What an op does to elements; see the table for what each means.
enum class OpClass {
#define KILN_CLASS(name) name,
#include "Ops.inc"
};

/// What an element costs beside reading and writing it, in rising order.
enum class Cost {
#define KILN_COST(name) name,
#include "Ops.inc"
};

/// What the dtype T of an op may be. Bits: integers and bool.
enum class Elements { Any, Floats, Numbers, Integers, Bits };
bool contains(Elements elements, kiln_dtype dtype);
/// "floats", as messages have it; Bits are called "integers", as bool is one there.
std::string_view describe(Elements elements);

struct TensorInfo {
  std::string_view dtype; // "T", "T+" (T, or what T is accumulated in), "any", "number", "integer", or a dtype's name
  bool scalar = false;    // of rank 0
  char count = '1';       // '*': any number of them; '?': none or one
};

enum class AttrKind { Int, Bool, Number, Text, Bytes, Ints, Extents };
struct AttrInfo {
  std::string_view name;
  AttrKind kind = AttrKind::Int;
  std::string_view choice; // of Text: what it may be, with '|' between; empty: anything
  bool optional = false;
};

struct OpInfo {
  OpCode code = OpCode::Other;
  std::string_view name;
  OpClass opClass = OpClass::Composite;
  Cost cost = Cost::Cheap;
  bool primitive = false; // a backend that has the primitives runs every model
  Elements elements = Elements::Any;
  double ulps = 0; // how far an elementwise op's float result may be from the exact one, in units in the last place
  std::vector<TensorInfo> operands, results;
  std::vector<AttrInfo> attributes;
};

/// Of every op but Other, in the order of their codes.
const std::vector<OpInfo> &opTable();
/// Other's has no name.
const OpInfo &infoOf(OpCode code);
OpCode opCode(std::string_view name);

/// A primitive, each of whose elements comes from those at its place.
bool isElementwise(OpCode code);
/// An element takes many of an operand's; composites and unknown ops too.
bool isWhole(OpCode code);

//===-- Dtypes ----------------------------------------------------------------------------------------------------===//

/// Of those that this version computes with: reserved ones and unknown numbers have no size, and Graph::read refuses
/// them.
bool isSupported(int32_t dtype);
int64_t byteSize(kiln_dtype dtype);
/// Bits that count: 1 for bool.
int bitWidth(kiln_dtype dtype);
bool isFloat(kiln_dtype dtype);
/// Of integers.
bool isSigned(kiln_dtype dtype);
/// "unknown" for a number that is none.
const char *dtypeName(kiln_dtype dtype);
/// What products and sums of the dtype are accumulated in: f32 for bf16 and f16, i32 for i8 and u8, else itself.
kiln_dtype accumulatorOf(kiln_dtype dtype);

} // namespace kiln::sdk
