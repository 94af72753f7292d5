// Every built-in function on what it does not take: an error, or a function that is there; never neither, never a
// crash.
#include "frontend/language/Builtins.h"
#include "frontend/language/Bind.h"
#include "frontend/language/Load.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <set>

namespace {

using namespace kiln::language;

std::vector<const Builtin *> allBuiltins() {
  std::vector<const Builtin *> out;
  for (llvm::ArrayRef<Builtin> part :
       {elementwiseBuiltins(), reductionBuiltins(), shapeBuiltins(), networkBuiltins(), randomBuiltins(),
        compileTimeBuiltins(), declarationBuiltins(), recipeBuiltins()})
    for (const Builtin &builtin : part)
      out.push_back(&builtin);
  return out;
}

class Builtins : public testing::TestWithParam<const Builtin *> {
protected:
  static constexpr const char *header =
      "model M(width=3):\n    part = Linear(3, 3)\n    table = parameter(f32[3, 3])\n";

  /// One function for each call, on a line of its own; the lines that have errors.
  std::set<size_t> linesWithErrors(const std::vector<std::string> &calls, std::string &text) {
    text = header;
    for (size_t i = 0; i < calls.size(); ++i)
      text += "    def f" + std::to_string(i) +
              "(s: f32, k: i32, x: f32[2, 3], b: bool[2, 3], e: f32[0, 3], n: i64[2, 3], " +
              "q: f32[2, 2, 3, 4]): return " + calls[i] + "\n";
    mlir::MLIRContext context;
    kiln::Diagnostics diagnostics;
    mlir::OwningOpRef<mlir::ModuleOp> module = kiln::loadModelText(context, text, "m.kiln", {}, diagnostics);
    std::string found = diagnostics.render();
    EXPECT_EQ(static_cast<bool>(module), !diagnostics.hasErrors()) << text << found;
    EXPECT_EQ(found.find("internal error"), std::string::npos) << text << found;
    std::set<size_t> lines;
    for (size_t i = 0; i < calls.size(); ++i)
      if (found.find("m.kiln:" + std::to_string(i + 4) + ":") != std::string::npos)
        lines.insert(i);
    if (module)
      for (size_t i = 0; i < calls.size(); ++i)
        EXPECT_TRUE(module->lookupSymbol<mlir::func::FuncOp>("f" + std::to_string(i))) << calls[i] << " is left out";
    return lines;
  }

  /// What has no error is all there when it stands alone.
  void everyCallIsToldOrThere(const std::vector<std::string> &calls) {
    std::string text;
    for (size_t begin = 0; begin < calls.size(); begin += 40) { // only so many errors are shown
      std::vector<std::string> some(calls.begin() + static_cast<ptrdiff_t>(begin),
                                    calls.begin() + static_cast<ptrdiff_t>(std::min(begin + 40, calls.size())));
      std::set<size_t> lines = linesWithErrors(some, text);
      std::vector<std::string> rest;
      for (size_t i = 0; i < some.size(); ++i)
        if (!lines.contains(i))
          rest.push_back(some[i]);
      if (!rest.empty() && rest.size() < some.size())
        EXPECT_TRUE(linesWithErrors(rest, text).empty()) << text << "the errors of others hid these";
    }
  }

  static size_t required(const Signature &signature) {
    size_t count = 0;
    for (const Slot &slot : signature.slots)
      count += !slot.optional;
    return count;
  }
};

TEST_P(Builtins, SayWhatTheyDoNotTake) {
  const Builtin &builtin = *GetParam();
  Signature signature = Signature::parse(builtin.signature);
  size_t count = std::max<size_t>(required(signature), 1);
  std::vector<std::string> calls;
  for (const char *kind : {"s",    "k",     "x",   "b", "e",   "n",  "q",    "\"s\"", "None", "[x, x]", "[]",
                           "part", "table", "f32", "3", "0.5", "-1", "True", "width", "sum",  "Linear", "(1, 2)"}) {
    // All arguments of the kind, and each alone beside tensors.
    std::string same;
    for (size_t i = 0; i < count; ++i)
      same += (i ? ", " : "") + std::string(kind);
    calls.push_back(std::string(builtin.name) + "(" + same + ")");
    for (size_t at = 0; at < count && count > 1; ++at) {
      std::string arguments;
      for (size_t i = 0; i < count; ++i)
        arguments += (i ? ", " : "") + std::string(i == at ? kind : "x");
      calls.push_back(std::string(builtin.name) + "(" + arguments + ")");
    }
    for (const Slot &slot : signature.slots)
      if (slot.optional && builtin.space == Space::General) {
        std::string arguments;
        for (size_t i = 0; i < required(signature); ++i)
          arguments += "x, ";
        calls.push_back(std::string(builtin.name) + "(" + arguments + slot.name + "=" + kind + ")");
      }
  }
  everyCallIsToldOrThere(calls);
}

TEST_P(Builtins, CountTheirArguments) {
  const Builtin &builtin = *GetParam();
  Signature signature = Signature::parse(builtin.signature);
  std::string name(builtin.name);
  std::vector<std::string> calls = {name + "(nonsense_=1)"};
  if (signature.named)
    calls.clear();
  if (size_t count = required(signature)) {
    std::string fewer;
    for (size_t i = 0; i + 1 < count; ++i)
      fewer += (i ? ", " : "") + std::string("x");
    calls.push_back(name + "(" + fewer + ")");
  }
  if (!signature.rest) {
    std::string more;
    for (size_t i = 0; i <= signature.slots.size(); ++i)
      more += (i ? ", " : "") + std::string("x");
    calls.push_back(name + "(" + more + ")");
  }
  std::string text;
  EXPECT_EQ(linesWithErrors(calls, text).size(), calls.size()) << text;
}

INSTANTIATE_TEST_SUITE_P(Language, Builtins, testing::ValuesIn(allBuiltins()),
                         [](const testing::TestParamInfo<const Builtin *> &info) {
                           return std::string(info.param->name) + "_" + std::to_string(info.index);
                         });

} // namespace
