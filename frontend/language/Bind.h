// Signatures, and what a call's arguments are bound to: one way for functions and modules of a file and for built-in
// functions.
#pragma once

#include "frontend/language/Value.h"

namespace kiln::language {

/// One parameter that takes one argument.
struct Slot {
  std::string name;
  bool optional = false;
  std::optional<Value> initial = {}; // a built-in function's default
  Range range = {};                  // where it is declared, in a file
};

struct Signature {
  std::vector<Slot> slots;
  bool rest = false, named = false; // takes *rest, **named
  size_t afterRest = 0;             // slots from here on are by keyword only
  std::string what;                 // how messages call what is called
  Range declared;                   // in a file
  std::string text;                 // of a built-in function, for help

  /// From the language's own syntax: "x, axis=None, keepdims=False", "*tensors, axis=-1".
  static Signature parse(std::string_view text);
};

/// The arguments of one call as they were written.
struct Arguments {
  std::vector<Value> positional;
  std::vector<Range> ranges;
  std::vector<std::pair<std::string, Value>> named;
  std::vector<Range> namedRanges, nameRanges;
  bool failed = false;
};

/// The same in the order of the signature. `values` and `ranges` of slots that were not given are left as they are.
struct BoundArguments {
  std::vector<Value> values;
  std::vector<Range> ranges;
  std::vector<bool> given;
  std::vector<Value> rest;
  std::vector<Range> restRanges;
  std::vector<std::pair<std::string, Value>> named;
};

/// Every argument that does not fit is reported; nullopt then.
std::optional<BoundArguments> bindArguments(Elaborator &e, const Signature &signature, const Arguments &arguments,
                                            Range call);

} // namespace kiln::language
