// Options that change a recipe's rules of answers.
#include "runtime/cli/Options.h"
#include "runtime/generate/Rules.h"

namespace kiln {

/// The linker takes it by this name, into programs with rules alone (frontend/driver/ImageObject.cpp).
extern "C" void kiln_rule_options(const Options &options, const Json &recipe, DrawSpec &spec) {
  int64_t noRepeat = options.integer("no-repeat-ngram", -1, 0, INT32_MAX),
          minTokens = options.integer("min-tokens", -1, 0, INT32_MAX);
  if (noRepeat < 0 && minTokens < 0)
    return;
  static const Json none = Json::parse("{}", "draw");
  const Json *draw = recipe.find("draw");
  spec.rules = changedRules(draw ? *draw : none, noRepeat, minTokens);
}

} // namespace kiln
