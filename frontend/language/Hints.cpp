// Hints: the nearest name of the right kind, and what PyTorch's names are here.
#include "frontend/language/Hints.h"

#include "frontend/language/Elaborate.h"

namespace kiln::language {

std::string_view hereCalled(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"arange", "iota(n)"},
      {"avg_pool1d", "avg_pool(x, size)"},
      {"avg_pool2d", "avg_pool(x, size)"},
      {"binary_cross_entropy", "bce(p, y)"},
      {"binary_cross_entropy_with_logits", "bce_with_logits(x, y)"},
      {"bmm", "a @ b"},
      {"bool", "x.to(bool)"},
      {"cat", "concat(a, b, axis=0)"},
      {"chunk", "split(x, n, axis=0)"},
      {"clamp", "clip(x, low, high)"},
      {"conv1d", "conv(x, w)"},
      {"conv2d", "conv(x, w)"},
      {"conv3d", "conv(x, w)"},
      {"conv_transpose2d", "conv_transpose(x, w)"},
      {"detach", "stop_gradient(x)"},
      {"dim", "x.rank"},
      {"double", "x.to(f64)"},
      {"embedding", "take(table, ids)"},
      {"expand", "broadcast(x, d, …)"},
      {"float", "x.to(f32)"},
      {"half", "x.to(f16)"},
      {"index_select", "take(x, indices, axis)"},
      {"int", "x.to(i32)"},
      {"l1_loss", "mae(x, y)"},
      {"linear", "x @ w.T + b"},
      {"long", "x.to(i64)"},
      {"matmul", "a @ b"},
      {"max_pool1d", "max_pool(x, size)"},
      {"max_pool2d", "max_pool(x, size)"},
      {"mm", "a @ b"},
      {"ModuleList", "a list of modules: [Linear(n, n) for _ in range(k)]"},
      {"mse_loss", "mse(x, y)"},
      {"mv", "a @ b"},
      {"nll_loss", "nll(logp, targets)"},
      {"norm", "vector_norm(x, axis)"},
      {"ones_like", "ones(x.shape)"},
      {"Parameter", "parameter(f32[n], init=…)"},
      {"rand", "random_uniform(d, …)"},
      {"randn", "random_normal(d, …)"},
      {"register_buffer", "NAME = state(f32[n], persistent)"},
      {"repeat", "tile(x, n, axis)"},
      {"scaled_dot_product_attention", "attention(q, k, v)"},
      {"size", "x.shape"},
      {"smooth_l1_loss", "smooth_l1(x, y)"},
      {"swapaxes", "transpose(x, a, b)"},
      {"t", "x.T"},
      {"Tensor", "a tensor's type is its dtype and dimensions: f32[B, T]"},
      {"topk", "top_k(x, k)"},
      {"triu", "iota and a comparison; tril(n) is there"},
      {"type", "x.to(f32)"},
      {"view", "reshape(x, d, …)"},
      {"zeros_like", "zeros(x.shape)"},
  };
  for (const auto &[theirs, here] : names)
    if (theirs == name)
      return here;
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

std::vector<std::string> Elaborator::visibleNames(const Frame &frame, Wanted wanted) const {
  std::vector<std::string> names;
  if (wanted == Wanted::Anything)
    names = {"training", "inf", "nan", "pi"};
  for (const auto &[name, binding] : frame.locals)
    if (isOfKind(binding.value, wanted))
      names.push_back(name);
  for (const auto &[name, binding] : frame.dims)
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
  for (const auto &table : declarations_)
    for (const auto &[name, statement] : table)
      if (wanted == Wanted::Anything || statement->kind != StmtKind::Assign)
        names.push_back(name);
  builtinNames(names);
  return names;
}

Diagnostic &Elaborator::unknownName(const Expr &name, const std::vector<std::string> &candidates, Wanted wanted) {
  Diagnostic &diagnostic = error(name.range, "unknown name '" + name.text + "'");
  std::string near = nearest(name.text, candidates);
  if (name.text == "self")
    diagnostic.withHelp("a module's attributes are used by their names: write x, not self.x");
  else if (std::string_view here = hereCalled(name.text); wanted == Wanted::Callable && !here.empty())
    diagnostic.withHelp("PyTorch's " + name.text + " is here: " + std::string(here));
  else if (!near.empty())
    diagnostic.withHelp("did you mean '" + near + "'?");
  return diagnostic;
}

/// nn.Linear, F.leaky_relu, torch.nn.functional.gelu: there are no prefixes here. False where the name is known.
bool Elaborator::reportForeignPrefix(const Expr &expr, Frame &frame) {
  static constexpr std::string_view prefixes[] = {"torch", "nn",  "F",  "np",    "numpy",
                                                  "jnp",   "jax", "tf", "keras", "math"};
  const Expr *first = &expr.child(0);
  while (first->kind == ExprKind::Attribute)
    first = &first->child(0);
  if (first->kind != ExprKind::Name ||
      std::find(std::begin(prefixes), std::end(prefixes), first->text) == std::end(prefixes) ||
      frame.locals.contains(first->text) || frame.dims.contains(first->text) ||
      (frame.self && frame.self->find(first->text)) || global(first->text, frame.library))
    return false;
  Diagnostic &diagnostic = error(first->range, "unknown name '" + first->text + "'");
  std::string_view here = hereCalled(expr.text);
  if (global(expr.text, frame.library) || findBuiltin(expr.text, Space::General) || isWellKnown(expr.text) ||
      dtypeByName(expr.text))
    diagnostic.withHelp("what is built in has no prefix: write " + expr.text);
  else if (!here.empty())
    diagnostic.withHelp("PyTorch's " + expr.text + " is here: " + std::string(here));
  else
    diagnostic.withHelp("what is built in has no prefix; docs/language.md lists it");
  return true;
}

} // namespace kiln::language
