// Hints: the nearest name of the right kind, and what PyTorch's names are here (HintNames.cpp).
#include "frontend/language/Hints.h"

#include "frontend/language/Elaborate.h"

#include <algorithm>

namespace kiln::language {

std::string hereHint(std::string_view name) {
  constexpr std::string_view nothing = "left out: ";
  std::string_view here = hereCalled(name);
  if (here.substr(0, nothing.size()) == nothing)
    return "leave " + std::string(name) + " out: " + std::string(here.substr(nothing.size()));
  return "PyTorch's " + std::string(name) + " is here: " + std::string(here);
}

/// The same of keyword arguments.
static constexpr std::pair<std::string_view, std::string_view> keywords[] = {
    {"approximate", "tanh"},
    {"attn_mask", "mask"},
    {"average_attn_weights", "average"},
    {"count_include_pad", "count_padding"},
    {"d_model", "width"},
    {"dim", "axis"},
    {"dim_feedforward", "hidden"},
    {"dims", "axis"},
    {"divisor_override", "divisor"},
    {"elementwise_affine", "affine"},
    {"embed_dim", "width"},
    {"embedding_dim", "width"},
    {"end_dim", "end"},
    {"eps", "epsilon"},
    {"hidden_size", "width"},
    {"in_channels", "inputs"},
    {"in_features", "inputs"},
    {"input_size", "inputs"},
    {"is_causal", "causal"},
    {"key_padding_mask", "mask"},
    {"keepdim", "keepdims"},
    {"kernel_size", "size"},
    {"label_smoothing", "smoothing"},
    {"line_search_fn", "line_search"},
    {"n_power_iterations", "iterations"},
    {"negative_slope", "slope"},
    {"nhead", "heads"},
    {"norm_first", "pre_norm"},
    {"normalized_shape", "width"},
    {"num_channels", "features"},
    {"num_classes", "n"},
    {"num_embeddings", "count"},
    {"num_features", "features"},
    {"num_groups", "groups"},
    {"num_heads", "heads"},
    {"num_layers", "layers"},
    {"num_parameters", "slopes"},
    {"out_channels", "outputs"},
    {"out_features", "outputs"},
    {"output_size", "size"},
    {"padding_idx", "padding"},
    {"pos_weight", "positive_weight"},
    {"recompute_scale_factor", "recompute_scale"},
    {"scale_factor", "scale"},
    {"start_dim", "start"},
    {"unbiased", "correction"},
    {"upscale_factor", "factor"},
};

std::string keywordHint(std::string_view keyword, const std::vector<std::string> &slots) {
  static constexpr std::pair<std::string_view, std::string_view> leftOut[] = {
      {"inplace", "values do not change"},
      {"batch_first", "the batch comes first, always"},
      {"device", "the backend is chosen when the program is built"},
      {"foreach", "how an update is computed is the compiler's"},
      {"fused", "how an update is computed is the compiler's"},
      {"capturable", "how an update is computed is the compiler's"},
      {"maximize", "the loss is what is made small; give its negative"}};
  for (const auto &[theirs, why] : leftOut)
    if (theirs == keyword)
      return "leave it out: " + std::string(why);
  for (const auto &[theirs, here] : keywords)
    if (theirs == keyword && std::find(slots.begin(), slots.end(), here) != slots.end())
      return "PyTorch's " + std::string(keyword) + " is " + std::string(here) + " here";
  return {};
}

static bool isOfKind(const Value &value, Wanted wanted) {
  switch (wanted) {
  case Wanted::Anything:
    return true;
  case Wanted::Callable:
    return value.kind == Value::Kind::Function || value.kind == Value::Kind::Builtin ||
           value.kind == Value::Kind::Module || value.kind == Value::Kind::Instance ||
           value.kind == Value::Kind::Dtype || value.isError();
  case Wanted::Part:
    return value.kind == Value::Kind::Instance || value.isTensor() || (value.isList() && value.names) ||
           value.kind == Value::Kind::Variable || value.isError();
  }
  return true;
}

std::vector<std::string> Elaborator::visibleNames(const Frame &frame, Wanted wanted, const SourceFile *file) const {
  std::vector<std::string> names;
  if (wanted == Wanted::Anything)
    names = {"training", "inf", "nan", "pi"};
  for (const Frame *at = &frame; at; at = at->outer())
    for (const auto *known : {&at->locals, &at->dims})
      for (const auto &[name, binding] : *known)
        if (isOfKind(binding.value, wanted))
          names.push_back(name);
  if (frame.self)
    for (const auto *list : {&frame.self->attributes, &frame.self->arguments})
      for (const auto &[name, value] : *list)
        if (isOfKind(value, wanted))
          names.push_back(name);
  if (wanted == Wanted::Part)
    return names;
  if (frame.self && frame.self->module)
    for (const StmtPtr &statement : frame.self->module->body)
      if (statement->kind == StmtKind::Def)
        names.push_back(statement->name);
  for (const auto &[name, declared] : declarations_.namesIn(file))
    if (wanted == Wanted::Anything || declared.statement->kind != StmtKind::Assign)
      names.push_back(name);
  for (size_t table = 0; table < (optimizing_ ? 2 : 1); ++table)
    for (const auto &[name, statement] : library_[table])
      if (wanted == Wanted::Anything || statement->kind != StmtKind::Assign)
        names.push_back(name);
  builtinNames(names, frame.space == Space::General);
  return names;
}

Diagnostic &Elaborator::unknownName(const Expr &name, const std::vector<std::string> &candidates, Wanted wanted) {
  Diagnostic &diagnostic = error(name.range, "unknown name '" + name.text + "'");
  std::string near = nearest(name.text, candidates);
  if (name.text == "self")
    diagnostic.withHelp("a module's attributes are used by their names: write x, not self.x");
  else if (name.text == "break" || name.text == "continue")
    diagnostic.withHelp(
        "a `for` goes through all its items, of which an `if` may leave some out; a `while` ends by its condition");
  else if (name.text == "step")
    diagnostic.withHelp("the number of the step is known in a recipe's `lr` alone, and in the functions that it calls");
  else if (std::string_view here = hereCalled(name.text); wanted == Wanted::Callable && !here.empty())
    diagnostic.withHelp(hereHint(name.text));
  else if (!near.empty())
    diagnostic.withHelp("did you mean '" + near + "'?");
  else if (wanted == Wanted::Anything && name.text.size() == 1 &&
           std::isupper(static_cast<unsigned char>(name.text[0])))
    diagnostic.withHelp("a dimension is known by its name where the function's signature has it, as in x: f32[" +
                        name.text + ", 4]; x.shape[0] is the first one of any tensor");
  return diagnostic;
}

/// nn.Linear, F.leaky_relu, torch.nn.functional.gelu: there are no prefixes here. False where the name is known.
bool Elaborator::reportForeignPrefix(const Expr &expr, Frame &frame) {
  static constexpr std::string_view prefixes[] = {"torch", "nn",          "F",  "np",        "numpy",
                                                  "jnp",   "jax",         "tf", "keras",     "math",
                                                  "optim", "torchvision", "T",  "transforms"};
  const Expr *first = &expr.child(0);
  while (first->kind == ExprKind::Attribute)
    first = &first->child(0);
  if (first->kind != ExprKind::Name ||
      std::find(std::begin(prefixes), std::end(prefixes), first->text) == std::end(prefixes) ||
      frame.locals.contains(first->text) || frame.dims.contains(first->text) ||
      (frame.self && frame.self->find(first->text)) || global(first->text, first->range.file))
    return false;
  Diagnostic &diagnostic = error(first->range, "unknown name '" + first->text + "'");
  std::string_view here = hereCalled(expr.text), other = isOwn(expr.text, expr.range.file) ? "" : otherThan(expr.text);
  if (global(expr.text, expr.range.file) || findBuiltin(expr.text, Space::General) || isWellKnown(expr.text) ||
      dtypeByName(expr.text))
    diagnostic.withHelp("what is built in has no prefix: write " + expr.text +
                        (other.empty() ? "" : " (" + std::string(other) + ")"));
  else if (!here.empty())
    diagnostic.withHelp(hereHint(expr.text));
  else if (std::string near = nearest(expr.text, visibleNames(frame, Wanted::Callable, expr.range.file)); !near.empty())
    diagnostic.withHelp("what is built in has no prefix; did you mean '" + near + "'?");
  else
    diagnostic.withHelp("what is built in has no prefix; docs/nn.md lists it");
  return true;
}

} // namespace kiln::language
