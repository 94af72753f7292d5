// A language that kernels are printed in: how it spells things, what it lacks, what it defines otherwise than C.
//
// The emitter and the forms ask these fields and never which language it is. A new one (CUDA C, Metal, WGSL) is one
// more object of this type, in a file of its own as LanguageC.cpp, LanguageOpenCL.cpp and LanguageGLSL.cpp are.
#pragma once

#include "kiln_backend.h"
#include <span>
#include <string>
#include <vector>

namespace kiln::sdk {

struct Language {
  /// For sentences to the user: "OpenCL C".
  const char *name;

  //===-- Types, literals, casts ----------------------------------------------------------------------------------===//

  /// Those of registers; then those that memory has beside them.
  const char *boolean = "bool", *float32 = "float", *float64 = "double";
  const char *int32, *uint32, *int64, *uint64;
  const char *int8, *uint8, *uint16;
  const char *longSuffix = "L", *doubleSuffix = "";
  bool constructs = false; // type(x), else (type)(x)

  //===-- What it does otherwise than C ---------------------------------------------------------------------------===//

  bool narrowArithmetic = true; // 8 and 16 bits can be compared and converted to bool, not only moved
  bool signedWraps = false;     // signed integers wrap by themselves
  bool cRemainder = true;       // % of a negative number is C's
  bool convertsWidths = true;   // 32 bits meet 64 without a cast
  bool comparesNaN = true;      // x != x tells a NaN
  bool foldsZeros = false;      // x * 0, 0 / x and x - x may become 0 for whatever x
  const char *signExtend = "";  // "f($, 0, 8)": the lowest 8 bits of int $ as a signed number; empty: by casts
  size_t largestConstant = 0;   // bytes of an array of constants; 0: any
  bool tablesAreCalled = false; // what `table` defines is called, not indexed
  std::string (*table)(const std::string &name, const std::vector<std::string> &words) = nullptr; // of uint32

  //===-- Functions -----------------------------------------------------------------------------------------------===//

  /// In the texts of FunctionTable.cpp: before a function, between a float and its bits, and well-known ones.
  const char *function, *bitsOf, *floatOf, *fma, *rint, *abs, *mulHigh;
  struct Function {
    const char *name; // without "kiln_"
    const char *text;
  };
  /// Whole functions that the language has itself, or that are written in what only it has.
  std::span<const Function> functions;
  /// What names of C's mathematical library have behind them for floats ("f" in C); null: it has no such library.
  const char *librarySuffix = nullptr;

  //===-- Workgroups ----------------------------------------------------------------------------------------------===//

  // Empty where it has none. That vectors have elements x, y, z, w, are made by a cast of as many, combine by + and *
  // and by `fma`, and that there are min and max of indices, the forms take for granted.
  const char *localX = "", *localY = "", *localIndex = ""; // of an invocation in its workgroup
  const char *barrier = "";    // a statement: all of the workgroup meet, and see what was written before
  const char *shared = "";     // before a declaration: of memory that a workgroup shares
  const char *dontUnroll = ""; // before a loop
  const char *unroll = "";     // before a loop that shall be written out: its length is known to the compiler
  const char *strip = "";      // a number that is known to it too, see EmitterOptions::mostPasses; empty: has none
  int lanes = 4;               // of float32 in the vector that a product's tile on a processor is made of
  /// A vector of that many elements, 4 or `lanes` of them.
  std::string (*vector)(const Language &language, kiln_dtype element, int count) = nullptr;
  /// Element `at` of an array of vectors of 4.
  std::string (*element)(const std::string &vectors, const std::string &type, const std::string &at) = nullptr;

  static const Language C, OpenCL, GLSL;

  /// The begin of a cast, up to the opening parenthesis.
  std::string castTo(const std::string &type) const { return constructs ? type + "(" : "(" + type + ")("; }
  const char *find(const std::string &function) const;
};

} // namespace kiln::sdk
