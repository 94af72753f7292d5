// Hints: the nearest name of the right kind, and what PyTorch's names are here.
#include "frontend/language/Hints.h"

#include "frontend/language/Elaborate.h"

#include <algorithm>

namespace kiln::language {

/// What PyTorch calls so, and how it is written here.
static constexpr std::pair<std::string_view, std::string_view> functions[] = {
    {"absolute", "abs(x)"},
    {"adaptive_avg_pool1d", "adaptive_avg_pool(x, size)"},
    {"adaptive_avg_pool2d", "adaptive_avg_pool(x, size)"},
    {"adaptive_avg_pool3d", "adaptive_avg_pool(x, size)"},
    {"adaptive_max_pool1d", "adaptive_max_pool(x, size)"},
    {"adaptive_max_pool2d", "adaptive_max_pool(x, size)"},
    {"adaptive_max_pool3d", "adaptive_max_pool(x, size)"},
    {"AdaptiveLogSoftmaxWithLoss", "cross_entropy(logits, targets)"},
    {"add", "a + b"},
    {"add_", "x = x + y"},
    {"addbmm", "c + sum(a @ b, axis=0)"},
    {"addcdiv", "c + value * a / b"},
    {"addcmul", "c + value * a * b"},
    {"addmm", "c + a @ b"},
    {"addmv", "c + a @ b"},
    {"addr", "c + a[:, None] * b"},
    {"allclose", "all(isclose(a, b))"},
    {"aminmax", "min(x), max(x)"},
    {"arange", "iota(n)"},
    {"arccos", "acos(x)"},
    {"arccosh", "acosh(x)"},
    {"arcsin", "asin(x)"},
    {"arcsinh", "asinh(x)"},
    {"arctan", "atan(x)"},
    {"arctan2", "atan2(y, x)"},
    {"arctanh", "atanh(x)"},
    {"argsort", "sort(x, axis)[1]"},
    {"argwhere", "left out: shapes do not depend on what tensors hold; a mask says which count"},
    {"as_tensor", "an argument of the function: f32[B, n]"},
    {"autograd", "gradient(y, x)"},
    {"avg_pool1d", "avg_pool(x, size)"},
    {"avg_pool2d", "avg_pool(x, size)"},
    {"avg_pool3d", "avg_pool(x, size)"},
    {"backward", "left out: a train recipe makes the gradients"},
    {"baddbmm", "c + a @ b"},
    {"batch_norm", "BatchNorm2d(features)"},
    {"BCELoss", "bce(p, y)"},
    {"BCEWithLogitsLoss", "bce_with_logits(x, y)"},
    {"bfloat16", "bf16"},
    {"bilinear", "Bilinear(left, right, outputs)"},
    {"binary_cross_entropy", "bce(p, y)"},
    {"binary_cross_entropy_with_logits", "bce_with_logits(x, y)"},
    {"bitwise_and", "a & b"},
    {"bitwise_left_shift", "a << b"},
    {"bitwise_not", "~a"},
    {"bitwise_or", "a | b"},
    {"bitwise_right_shift", "a >> b"},
    {"bitwise_xor", "a ^ b"},
    {"bmm", "a @ b"},
    {"bool", "x.to(bool)"},
    {"cat", "concat(a, b, axis=0)"},
    {"chain_matmul", "a @ b @ c"},
    {"checkpoint", "left out: `kiln build --memory-budget` computes parts of the forward half twice"},
    {"chunk", "split(x, n, axis=0)"},
    {"clamp", "clip(x, low, high)"},
    {"clamp_", "x = clip(x, low, high)"},
    {"clamp_max", "clip(x, high=v)"},
    {"clamp_min", "clip(x, v)"},
    {"clip_grad_norm_", "clip = 1.0, in the recipe"},
    {"clip_grad_value_", "clip = clip_value(1.0), in the recipe"},
    {"clone", "left out: x itself"},
    {"column_stack", "concat(a, b, axis=1)"},
    {"concatenate", "concat(a, b, axis=0)"},
    {"contiguous", "left out: x itself"},
    {"conv1d", "conv(x, w)"},
    {"conv2d", "conv(x, w)"},
    {"conv3d", "conv(x, w)"},
    {"conv_transpose1d", "conv_transpose(x, w)"},
    {"conv_transpose2d", "conv_transpose(x, w)"},
    {"conv_transpose3d", "conv_transpose(x, w)"},
    {"copy_", "x = y"},
    {"cosine_embedding_loss", "cosine_embedding(x, y, label)"},
    {"CosineEmbeddingLoss", "cosine_embedding(x, y, label)"},
    {"CosineSimilarity", "cosine_similarity(x, y)"},
    {"count_nonzero", "sum((x != 0).to(i32))"},
    {"cpu", "left out: x itself"},
    {"cross", "cross_product(a, b)"},
    {"CrossEntropyLoss", "cross_entropy(logits, targets)"},
    {"ctc_loss", "ctc(logp, targets, input_lengths, target_lengths)"},
    {"CTCLoss", "ctc(logp, targets, input_lengths, target_lengths)"},
    {"cuda", "left out: x itself"},
    {"CyclicLR", "cyclic(base, peak, up), in lr="},
    {"deg2rad", "x * (pi / 180)"},
    {"detach", "stop_gradient(x)"},
    {"diag_embed", "diag(x)"},
    {"diagflat", "diag(flatten(x))"},
    {"dim", "x.rank"},
    {"dist", "vector_norm(a - b)"},
    {"div", "a / b"},
    {"div_", "x = x / y"},
    {"divide", "a / b"},
    {"dot", "sum(a * b)"},
    {"double", "x.to(f64)"},
    {"Dropout1d", "Dropout2d(p)"},
    {"dropout1d", "Dropout2d(p)"},
    {"Dropout3d", "Dropout2d(p)"},
    {"dstack", "stack(a, b, axis=-1)"},
    {"eigvalsh", "eigh(x)[0]"},
    {"embedding", "take(table, ids)"},
    {"embedding_bag", "EmbeddingBag(count, width)"},
    {"empty", "zeros(d, …)"},
    {"eq", "a == b"},
    {"equal", "all(a == b)"},
    {"eval", "inference(part), for a part; the program itself knows its modes"},
    {"expand", "broadcast(x, d, …)"},
    {"expand_as", "broadcast(x, y.shape)"},
    {"expit", "sigmoid(x)"},
    {"fill_", "x = full(x.shape, value)"},
    {"fix", "trunc(x)"},
    {"flip", "reverse(x, axis)"},
    {"fliplr", "reverse(x, 1)"},
    {"flipud", "reverse(x, 0)"},
    {"float", "x.to(f32)"},
    {"float16", "f16"},
    {"float32", "f32"},
    {"float64", "f64"},
    {"float_power", "x ** y"},
    {"floor_divide", "a // b"},
    {"fmod", "truncated_mod(a, b)"},
    {"from_numpy", "an argument of the function: f32[B, n]"},
    {"full_like", "full(x.shape, value)"},
    {"functional_call", "with_parameters(part, values)(x)"},
    {"gaussian_nll_loss", "gaussian_nll(x, y, var)"},
    {"GaussianNLLLoss", "gaussian_nll(x, y, var)"},
    {"ge", "a >= b"},
    {"ger", "a[:, None] * b"},
    {"grad", "gradient(y, x)"},
    {"greater", "a > b"},
    {"greater_equal", "a >= b"},
    {"group_norm", "GroupNorm(groups, features)"},
    {"gt", "a > b"},
    {"half", "x.to(f16)"},
    {"hessian", "gradient(…) of each of gradient(y, x)"},
    {"hinge_embedding_loss", "hinge_embedding(x, label)"},
    {"HingeEmbeddingLoss", "hinge_embedding(x, label)"},
    {"hsplit", "split(x, n, axis=1)"},
    {"hstack", "concat(a, b, axis=1)"},
    {"huber_loss", "huber(x, y)"},
    {"HuberLoss", "huber(x, y)"},
    {"index_add", "scatter_add(x, indices, updates, axis)"},
    {"index_copy", "scatter_set(x, indices, updates, axis)"},
    {"index_reduce", "scatter_max(x, indices, updates, axis), scatter_min, scatter_mul"},
    {"index_select", "take(x, indices, axis)"},
    {"inner", "sum(a * b, axis=-1)"},
    {"instance_norm", "InstanceNorm2d(features)"},
    {"int", "x.to(i32)"},
    {"int32", "i32"},
    {"int64", "i64"},
    {"inverse", "inv(x)"},
    {"isinstance", "is_number(x)"},
    {"isneginf", "x == -inf"},
    {"isposinf", "x == inf"},
    {"item", "left out: a scalar is a tensor of no axes"},
    {"jacrev", "gradient(…) of each element of y"},
    {"KLDivLoss", "kl_div(logp, target)"},
    {"l1_loss", "mae(x, y)"},
    {"L1Loss", "mae(x, y)"},
    {"LambdaLR", "any expression of `step`, in lr="},
    {"LazyConv2d", "Conv2d(inputs, outputs, size)"},
    {"LazyLinear", "Linear(inputs, outputs)"},
    {"le", "a <= b"},
    {"less", "a < b"},
    {"less_equal", "a <= b"},
    {"linear", "x @ w.T + b"},
    {"LinearLR", "warmup(count) * …, in lr="},
    {"local_response_norm", "LocalResponseNorm(size)"},
    {"logdet", "slogdet(x)[1]"},
    {"logical_and", "a & b"},
    {"logical_not", "~a"},
    {"logical_or", "a | b"},
    {"logical_xor", "a ^ b"},
    {"logsigmoid", "log_sigmoid(x)"},
    {"long", "x.to(i64)"},
    {"lp_pool1d", "lp_pool(x, order, size)"},
    {"lp_pool2d", "lp_pool(x, order, size)"},
    {"lp_pool3d", "lp_pool(x, order, size)"},
    {"lt", "a < b"},
    {"map", "[f(x) for x in list]"},
    {"margin_ranking_loss", "margin_ranking(a, b, label)"},
    {"MarginRankingLoss", "margin_ranking(a, b, label)"},
    {"masked_select",
     "left out: shapes do not depend on what tensors hold; where(mask, x, 0) keeps them in their places"},
    {"matmul", "a @ b"},
    {"matrix_norm", "vector_norm(x, axis=(-2, -1)), for Frobenius' norm"},
    {"max_pool1d", "max_pool(x, size)"},
    {"max_pool2d", "max_pool(x, size)"},
    {"max_pool3d", "max_pool(x, size)"},
    {"mm", "a @ b"},
    {"Module", "module NAME(arguments): declares one"},
    {"ModuleDict", "dict(name=module, …)"},
    {"ModuleList", "a list of modules: [Linear(n, n) for _ in range(k)]"},
    {"moveaxis", "moved(x, axis, to)"},
    {"movedim", "moved(x, axis, to)"},
    {"mse_loss", "mse(x, y)"},
    {"MSELoss", "mse(x, y)"},
    {"msort", "sort(x, 0)[0]"},
    {"mul", "a * b"},
    {"mul_", "x = x * y"},
    {"multi_dot", "a @ b @ c"},
    {"multi_margin_loss", "multi_margin(x, targets)"},
    {"multilabel_margin_loss", "multilabel_margin(x, y)"},
    {"multilabel_soft_margin_loss", "multilabel_soft_margin(x, y)"},
    {"MultiLabelMarginLoss", "multilabel_margin(x, y)"},
    {"MultiLabelSoftMarginLoss", "multilabel_soft_margin(x, y)"},
    {"MultiMarginLoss", "multi_margin(x, targets)"},
    {"multinomial", "argmax(gumbel_softmax(logits))"},
    {"multiply", "a * b"},
    {"mv", "a @ b"},
    {"nansum", "sum(nan_to_num(x))"},
    {"ndim", "x.rank"},
    {"ne", "a != b"},
    {"nelement", "the product of x.shape"},
    {"new_full", "full(d, …, value)"},
    {"new_ones", "ones(d, …)"},
    {"new_zeros", "zeros(d, …)"},
    {"nll_loss", "nll(logp, targets)"},
    {"NLLLoss", "nll(logp, targets)"},
    {"no_grad", "stop_gradient(x), or frozen(part)"},
    {"nonzero", "left out: shapes do not depend on what tensors hold; a mask says which count"},
    {"norm", "vector_norm(x, axis)"},
    {"not_equal", "a != b"},
    {"numel", "the product of x.shape"},
    {"ones_like", "ones(x.shape)"},
    {"outer", "a[:, None] * b"},
    {"PairwiseDistance", "pairwise_distance(x, y)"},
    {"Parameter", "parameter(f32[n], init=…)"},
    {"ParameterList", "a list of parameters: [parameter(f32[n]) for _ in range(k)]"},
    {"poisson_nll_loss", "poisson_nll(x, y)"},
    {"PoissonNLLLoss", "poisson_nll(x, y)"},
    {"positive", "x itself"},
    {"prelu", "PReLU()"},
    {"print", "left out: return it, and `run` shows it"},
    {"rad2deg", "x * (180 / pi)"},
    {"rand", "random_uniform(d, …)"},
    {"rand_like", "random_uniform(x.shape)"},
    {"randint", "floor(random_uniform(d, …) * n).to(i32)"},
    {"randn", "random_normal(d, …)"},
    {"randn_like", "random_normal(x.shape)"},
    {"ravel", "flatten(x)"},
    {"register_buffer", "NAME = state(f32[n], persistent)"},
    {"remainder", "a % b"},
    {"repeat", "tile(x, n, axis)"},
    {"requires_grad_", "frozen(part), or parameter(…, trainable=False)"},
    {"row_stack", "concat(a, b, axis=0)"},
    {"scaled_dot_product_attention", "attention(q, k, v)"},
    {"scatter_", "x = scatter(x, indices, updates, axis)"},
    {"scatter_add_", "x = scatter_reduce(x, indices, updates, axis)"},
    {"select", "x[:, i]"},
    {"SequentialLR", "where(step < n, …, …), in lr="},
    {"sigmoid_focal_loss", "focal(x, y)"},
    {"signbit", "negative(x)"},
    {"size", "x.shape"},
    {"smooth_l1_loss", "smooth_l1(x, y)"},
    {"SmoothL1Loss", "smooth_l1(x, y)"},
    {"soft_margin_loss", "soft_margin(x, label)"},
    {"SoftMarginLoss", "soft_margin(x, label)"},
    {"spectral_norm", "SpectralNorm(layer)"},
    {"std_mean", "std(x), mean(x)"},
    {"sub", "a - b"},
    {"sub_", "x = x - y"},
    {"subtract", "a - b"},
    {"super", "left out: a module has no base"},
    {"svd", "eigh(x.T @ x), for the values' squares and the right vectors"},
    {"svdvals", "sqrt(eigh(x.T @ x)[0]), rising"},
    {"swapaxes", "transpose(x, a, b)"},
    {"swapdims", "transpose(x, a, b)"},
    {"SyncBatchNorm", "BatchNorm2d(features); with --shards each shard has its own statistics"},
    {"t", "x.T"},
    {"take_along_dim", "gather(x, indices, axis)"},
    {"Tensor", "a tensor's type is its dtype and dimensions: f32[B, T]"},
    {"tensor", "an argument of the function, or numbers: stack(1.0, 2.0)"},
    {"topk", "top_k(x, k)"},
    {"TransformerDecoder", "a list of layers: [TransformerDecoderLayer(width, heads) for _ in range(k)]"},
    {"TransformerEncoder", "a list of layers: [TransformerEncoderLayer(width, heads) for _ in range(k)]"},
    {"trapz", "trapezoid(y, x)"},
    {"triplet_margin_loss", "triplet(anchor, positive, negative)"},
    {"TripletMarginLoss", "triplet(anchor, positive, negative)"},
    {"triu", "~tril_mask(n, m, above=-1)"},
    {"true_divide", "a / b"},
    {"type", "x.to(f32)"},
    {"unbind", "x[0], x[1], …"},
    {"unflatten", "x.reshape(…)"},
    {"unique", "left out: shapes do not depend on what tensors hold; bincount(x, n) counts whole numbers"},
    {"upsample", "interpolate(x, size)"},
    {"upsample_bilinear", "interpolate(x, size, mode=\"bilinear\", align_corners=True)"},
    {"upsample_nearest", "interpolate(x, size)"},
    {"UpsamplingBilinear2d", "Upsample(size, mode=\"bilinear\", align_corners=True)"},
    {"UpsamplingNearest2d", "Upsample(size)"},
    {"var_mean", "var(x), mean(x)"},
    {"vdot", "sum(a * b)"},
    {"vecdot", "sum(a * b, axis=-1)"},
    {"view", "reshape(x, d, …)"},
    {"view_as", "reshape(x, y.shape)"},
    {"vmap", "written with the batch as an axis of its arguments"},
    {"vsplit", "split(x, n, axis=0)"},
    {"vstack", "concat(a, b, axis=0)"},
    {"weight_norm", "WeightNorm(layer)"},
    {"xlog1py", "x * log1p(y)"},
    {"zero_", "x = zeros(x.shape)"},
    {"zeros_like", "zeros(x.shape)"},
};

std::string_view hereCalled(std::string_view name) {
  for (const auto &[theirs, here] : functions)
    if (theirs == name)
      return here;
  return {};
}

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
  std::string_view here = hereCalled(expr.text);
  if (global(expr.text, expr.range.file) || findBuiltin(expr.text, Space::General) || isWellKnown(expr.text) ||
      dtypeByName(expr.text))
    diagnostic.withHelp("what is built in has no prefix: write " + expr.text);
  else if (!here.empty())
    diagnostic.withHelp(hereHint(expr.text));
  else if (std::string near = nearest(expr.text, visibleNames(frame, Wanted::Callable, expr.range.file)); !near.empty())
    diagnostic.withHelp("what is built in has no prefix; did you mean '" + near + "'?");
  else
    diagnostic.withHelp("what is built in has no prefix; docs/nn.md lists it");
  return true;
}

} // namespace kiln::language
