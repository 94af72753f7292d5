// Sources, and ops that read their operands at another place.
#include "Emitter.h"
#include "Functions.h"
#include "kiln_codes.h"
#include <cmath>
#include <cstring>
#include <limits>

namespace kiln::sdk {

Expr Emitter::layout(const Op &op, uint32_t value, const Index &at) {
  const std::vector<kiln_extent> &dims = graph.type(value).dims;
  auto operand = [&]() -> const Type & { return graph.type(op.operands[0]); };
  Index from;
  switch (op.code) {
  case OpCode::Constant:
    return constant(op, value, at);
  case OpCode::RandomBits:
    return randomBits(op, value, at);
  case OpCode::Iota:
    return fromIndex(at[static_cast<size_t>(op.integer("axis"))], graph.type(value).dtype);
  case OpCode::Extent:
    return fromIndex(extent(op.extents("expr")[0]), graph.type(value).dtype);
  case OpCode::Reshape:
    return elementAt(op.operands[0], linear(dims, at));
  case OpCode::Transpose: {
    const std::vector<int64_t> &permutation = op.ints("permutation");
    from.resize(at.size());
    for (size_t d = 0; d < at.size(); ++d)
      from[static_cast<size_t>(permutation[d])] = at[d];
    return element(op.operands[0], from);
  }
  case OpCode::Broadcast: {
    const std::vector<int64_t> &axes = op.ints("axes");
    for (size_t d = 0; d < axes.size(); ++d) {
      const kiln_extent &size = operand().dims[d];
      bool repeated = isOne(size);
      from.push_back(repeated ? index(0) : at[static_cast<size_t>(axes[d])]);
      // A dynamic extent that differs by name may be 1.
      if (!repeated && size.slot >= 0 && !sameExtent(size, dims[static_cast<size_t>(axes[d])]))
        from.back() = inParentheses(extent(size).text + " == 1 ? 0 : " + from.back().text, {from.back(), extent(size)});
    }
    return element(op.operands[0], from);
  }
  case OpCode::Slice: {
    std::vector<kiln_extent> starts = op.extents("starts");
    for (size_t d = 0; d < at.size(); ++d)
      from.push_back(add(extent(starts[d]), mul(at[d], index(op.ints("strides")[d]))));
    return element(op.operands[0], from);
  }
  case OpCode::Pad:
    return pad(op, value, at);
  case OpCode::Concat:
    return concat(op, value, at);
  case OpCode::Reverse:
    for (size_t d = 0; d < at.size(); ++d)
      from.push_back(op.has("axes", static_cast<int64_t>(d)) ? sub(sub(extent(dims[d]), index(1)), at[d]) : at[d]);
    return element(op.operands[0], from);
  case OpCode::DynamicSlice:
    for (size_t d = 0; d < at.size(); ++d)
      from.push_back(add(start(op.operands[1 + d], operand().dims[d], dims[d]), at[d]));
    return element(op.operands[0], from);
  case OpCode::DynamicUpdateSlice:
    return dynamicUpdate(op, value, at);
  case OpCode::Dequantize:
    return dequantize(op, at);
  case OpCode::Decode:
    return decode(op, at);
  default:
    return gather(op, value, at);
  }
}

/// An index as an element.
Expr Emitter::fromIndex(const Expr &at, kiln_dtype dtype) {
  if (at.constant)
    return literal(dtype, static_cast<double>(*at.constant), *at.constant);
  return convert(bind(indexType(), at), options.wideIndex ? KILN_I64 : KILN_I32, dtype);
}

Expr Emitter::indexOf(uint32_t value, const Index &index) {
  return bind(indexType(), toIndex(element(value, index), graph.type(value).dtype));
}

Expr Emitter::givenIndex(uint32_t value, const Index &index) {
  return bind(registerType(graph.type(value).dtype), element(value, index));
}

/// An integer element as an index. What an index type does not hold is its nearest number, which is out of range too.
Expr Emitter::toIndex(const Expr &element, kiln_dtype dtype) {
  if (registerType(dtype) == indexType())
    return element;
  Expr near = element;
  if (!options.wideIndex && (dtype == KILN_I64 || dtype == KILN_U32)) {
    Expr given = bind(registerType(dtype), element);
    std::string most = literal(dtype, 0, std::numeric_limits<int32_t>::max()).text;
    std::string text = given.text + " > " + most + " ? " + most + " : ";
    if (std::string least = literal(dtype, 0, std::numeric_limits<int32_t>::min()).text; dtype == KILN_I64)
      text += given.text + " < " + least + " ? " + least + " : ";
    near = bindElement(dtype, text + given.text, {given});
  }
  return bind(indexType(), {cast(indexType(), near.text), near.level, {}});
}

//===-- Sources ---------------------------------------------------------------------------------------------------===//

/// Element i of a constant's bytes, as a literal.
static std::pair<double, int64_t> constantElement(const std::string &bytes, kiln_dtype dtype, size_t i) {
  auto read = [&](auto value) {
    std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
    return value;
  };
  switch (dtype) {
  case KILN_F32:
    return {static_cast<double>(read(float())), 0};
  case KILN_F64:
    return {read(double()), 0};
  case KILN_BF16: {
    uint32_t bits = static_cast<uint32_t>(read(uint16_t())) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return {static_cast<double>(value), 0};
  }
  case KILN_F16: {
    uint16_t bits = read(uint16_t());
    int exponent = (bits >> 10) & 31;
    double mantissa = bits & 1023, sign = bits >> 15 ? -1 : 1;
    if (exponent == 31)
      return {mantissa != 0 ? std::nan("") : sign * static_cast<double>(INFINITY), 0};
    return {sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24)), 0};
  }
  case KILN_I8:
    return {0, read(int8_t())};
  case KILN_U8:
  case KILN_BOOL:
    return {0, read(uint8_t())};
  case KILN_I32:
    return {0, read(int32_t())};
  case KILN_U32:
    return {0, read(uint32_t())};
  default:
    return {0, read(int64_t())};
  }
}

Expr Emitter::constant(const Op &op, uint32_t value, const Index &at) {
  kiln_dtype dtype = graph.type(value).dtype;
  const std::string &bytes = op.find("value")->string;
  size_t count = bytes.size() / static_cast<size_t>(byteSize(dtype));
  auto element = [&](size_t i) {
    auto [real, whole] = constantElement(bytes, dtype, i);
    return literal(dtype, real, whole);
  };
  if (count <= 1)
    return element(0);
  Expr i = bind(indexType(), linear(graph.type(value).dims, at));
  if (i.constant)
    return element(static_cast<size_t>(*i.constant));
  constexpr size_t few = 8; // no array for these
  if (count > few)
    return tableElement(bytes, dtype, i);
  std::string text;
  for (size_t e = 0; e + 1 < count; ++e)
    text += i.text + " == " + std::to_string(e) + " ? " + element(e).text + " : ";
  return bindElement(dtype, text + element(count - 1).text, {i});
}

/// Out of an array of words: exact for whatever pattern, and short.
Expr Emitter::tableElement(const std::string &bytes, kiln_dtype dtype, const Expr &i) {
  Table table(bytes);
  usedFunctions.insert(table.entry);
  auto word = [&](const std::string &number) {
    return table.name + (language().tablesAreCalled ? "(" + number + ")" : "[" + number + "]");
  };
  size_t size = byteSize(dtype);
  std::string text;
  if (size == 8) {
    std::string low = word(i.text + " * 2"), high = word(i.text + " * 2 + 1"), u = unsignedType(KILN_I64);
    text = dtype == KILN_F64 ? function("double_of") + "(" + low + ", " + high + ")"
                             : cast(registerType(dtype), "(" + cast(u, high) + " << 32) | " + cast(u, low));
  } else if (size == 4) {
    text = word(i.text);
    text = dtype == KILN_F32 ? function("float_of") + "(" + text + ")" : cast(registerType(dtype), text);
  } else {
    std::string perWord = std::to_string(4 / size), bits = std::to_string(8 * size);
    text = "((" + word(i.text + " / " + perWord) + " >> " +
           cast(unsignedType(KILN_U32), i.text + " % " + perWord + " * " + bits) + ") & " +
           (size == 2 ? "65535u" : "255u") + ")";
    text = fromStorage(dtype, dtype == KILN_I8 ? wrap(dtype, cast(registerType(KILN_I32), text)) : text);
  }
  return bindElement(dtype, text, {i});
}

Expr Emitter::randomBits(const Op &op, uint32_t value, const Index &at) {
  std::string u = unsignedType(KILN_U32);
  std::vector<Expr> in;
  for (uint32_t operand : op.operands)
    in.push_back(element(operand, {}));
  Expr i = bind(indexType(), linear(graph.type(value).dims, at));
  Expr word{cast(u, i.text + " % 4"), i.level, {}}, block{cast(u, i.text + " / 4"), i.level, {}};
  Expr zero{"0u", 0, {}}, stream{std::to_string(static_cast<uint32_t>(op.integer("stream"))) + "u", 0, {}};
  auto counter = [&](size_t c) { return c < in.size() ? Expr{cast(u, in[c].text), in[c].level, {}} : zero; };
  return call("philox", KILN_U32, {word, in[0], stream, block, counter(1), counter(2), counter(3)});
}

//===-- Choices ---------------------------------------------------------------------------------------------------===//

/// x = condition ? yes() : no(), where only what is chosen may be computed.
Expr Emitter::either(kiln_dtype dtype, const Index &at, const Expr &condition, const std::function<Expr()> &yes,
                     const std::function<Expr()> &no) {
  Expr test = bind(registerType(KILN_BOOL), condition);
  int depth = std::max(floorLevel(at), test.level);
  return within(depth, [&] {
    Expr result = name(fresh("x"));
    line(registerType(dtype) + " " + result.text + ";");
    open("if (" + test.text + ")", /*guard=*/true);
    line(result.text + " = " + yes().text + ";");
    close();
    // Not `else`: something may be put between the two.
    open("if (!" + test.text + ")", /*guard=*/true);
    line(result.text + " = " + no().text + ";");
    close();
    return result;
  });
}

Expr Emitter::pad(const Op &op, uint32_t value, const Index &at) {
  const Type &operand = graph.type(op.operands[0]);
  std::vector<kiln_extent> low = op.extents("low"), high = op.extents("high");
  Index from;
  Expr inside{"", 0, {}};
  auto require = [&](const std::string &test, std::initializer_list<Expr> of) {
    inside.text += (inside.text.empty() ? "" : " && ") + test;
    for (const Expr &expr : of)
      inside.level = std::max(inside.level, expr.level);
  };
  for (size_t d = 0; d < at.size(); ++d) {
    int64_t step = op.ints("interior")[d] + 1;
    bool lower = low[d].slot >= 0 || low[d].value != 0, upper = high[d].slot >= 0 || high[d].value != 0;
    if (!lower && !upper && step == 1) {
      from.push_back(at[d]);
      continue;
    }
    Expr place = bind(indexType(), sub(at[d], extent(low[d])));
    if (lower)
      require(place.text + " >= 0", {place});
    if (step != 1) { // C's % of a negative number is not 0 or is: only tested where place is not negative
      Expr aligned = mod(place, index(step));
      require(aligned.text + " == 0", {place});
      place = div(place, index(step));
    }
    Expr size = extent(operand.dims[d]);
    require(place.text + " < " + size.text, {place, size});
    from.push_back(place);
  }
  if (inside.text.empty())
    return element(op.operands[0], from);
  inside.text = "(" + inside.text + ")";
  return either(
      graph.type(value).dtype, at, inside, [&] { return element(op.operands[0], from); },
      [&] { return element(op.operands[1], {}); });
}

/// One condition after another, none within another: drivers nest only so deep (lavapipe 80 deep, and is silent
/// beyond).
Expr Emitter::concat(const Op &op, uint32_t value, const Index &at) {
  size_t axis = static_cast<size_t>(op.integer("axis"));
  std::vector<Expr> bounds = {index(0)}; // where each operand begins, and the end
  for (uint32_t operand : op.operands)
    bounds.push_back(bind(indexType(), add(bounds.back(), extent(graph.type(operand).dims[axis]))));
  int depth = floorLevel(at);
  for (const Expr &bound : bounds)
    depth = std::max(depth, bound.level);
  return within(depth, [&] {
    Expr result = name(fresh("x"));
    kiln_dtype dtype = graph.type(value).dtype;
    line(registerType(dtype) + " " + result.text + " = " + literal(dtype, 0, 0).text + ";");
    for (size_t i = 0; i < op.operands.size(); ++i) {
      std::string test = i == 0 ? "" : at[axis].text + " >= " + bounds[i].text;
      if (i + 1 < op.operands.size())
        test += (test.empty() ? "" : " && ") + at[axis].text + " < " + bounds[i + 1].text;
      Index from = at;
      from[axis] = sub(at[axis], bounds[i]);
      open(test.empty() ? "" : "if (" + test + ")", /*guard=*/true);
      line(result.text + " = " + element(op.operands[i], from).text + ";");
      close();
    }
    return result;
  });
}

/// A computed start of a block, clamped so that the block fits.
Expr Emitter::start(uint32_t startValue, const kiln_extent &whole, const kiln_extent &block) {
  Expr at = indexOf(startValue, {});
  return clamp(at, index(0), sub(extent(whole), extent(block)));
}

Expr Emitter::dynamicUpdate(const Op &op, uint32_t value, const Index &at) {
  const Type &type = graph.type(value), &update = graph.type(op.operands[1]);
  Index from;
  Expr inside{"", 0, {}};
  for (size_t d = 0; d < at.size(); ++d) {
    if (sameExtent(type.dims[d], update.dims[d])) { // the start can only be 0
      from.push_back(at[d]);
      continue;
    }
    Expr place = bind(indexType(), sub(at[d], start(op.operands[2 + d], type.dims[d], update.dims[d])));
    Expr size = extent(update.dims[d]);
    inside.text += (inside.text.empty() ? "(" : " && ") + place.text + " >= 0 && " + place.text + " < " + size.text;
    inside.level = std::max({inside.level, place.level, size.level});
    from.push_back(place);
  }
  if (inside.text.empty())
    return element(op.operands[1], from);
  inside.text += ")";
  return either(
      type.dtype, at, inside, [&] { return element(op.operands[1], from); },
      [&] { return element(op.operands[0], at); });
}

//===-- gather ----------------------------------------------------------------------------------------------------===//

Expr Emitter::gather(const Op &op, uint32_t, const Index &at) {
  const Type &operand = graph.type(op.operands[0]), &indices = graph.type(op.operands[1]);
  size_t axis = static_cast<size_t>(op.integer("axis")), batch = static_cast<size_t>(op.integer("batch_dims"));
  size_t inner = axis + indices.rank() - batch; // of the result: where the axes behind `axis` begin
  Index which(at.begin(), at.begin() + long(batch));
  which.insert(which.end(), at.begin() + long(axis), at.begin() + long(inner));
  Expr found = indexOf(op.operands[1], which);
  Expr size = extent(operand.dims[axis]);
  report(KILN_INDEX_OUT_OF_RANGE, op,
         {found.text + " < 0 || " + found.text + " >= " + size.text, std::max(found.level, size.level), {}},
         givenIndex(op.operands[1], which), size);
  Expr place = clamp(found, index(0), sub(size, index(1)));
  Index from(at.begin(), at.begin() + long(axis));
  from.push_back(place);
  from.insert(from.end(), at.begin() + long(inner), at.end());
  return element(op.operands[0], from);
}

/// The byte of blocks that element `at` of their rows lies in, or the half of one; and the index of its block.
Expr Emitter::ofBlock(const Op &op, const Index &at, bool halves, Index &block) {
  const Type &blocks = graph.type(op.operands[0]);
  Expr size = extent(blocks.dims.back());
  Index from = at;
  block = at;
  block.back() = bind(indexType(), div(at.back(), size));
  from.back() = halves ? bind(indexType(), div(block.back(), index(2))) : block.back();
  from.push_back(mod(at.back(), size));
  Expr q = bind(registerType(blocks.dtype), element(op.operands[0], from));
  if (!halves)
    return q;
  Expr odd = bind(indexType(), mod(block.back(), index(2)));
  return bindElement(KILN_U8, odd.text + " == 1 ? " + q.text + " / 16u : " + q.text + " % 16u", {odd, q});
}

/// What the code stands for, times its block's scale.
Expr Emitter::decode(const Op &op, const Index &at) {
  Coding coding = codingCalled(op.text("coding"));
  Index block;
  Expr code = ofBlock(op, at, bitsOf(coding) == 4, block);
  std::string bytes;
  for (int i = 0; i < 1 << bitsOf(coding); ++i) {
    float number = codedNumber(coding, static_cast<uint8_t>(i));
    bytes.append(reinterpret_cast<const char *>(&number), sizeof number);
  }
  Expr wide = tableElement(bytes, KILN_F32, bind(indexType(), toIndex(code, KILN_U8)));
  Expr scale = convert(element(op.operands[1], block), graph.type(op.operands[1]).dtype, KILN_F32);
  return bindElement(KILN_F32, wide.text + " * " + scale.text, {wide, scale});
}

/// A byte or half of one, times its block's scale.
Expr Emitter::dequantize(const Op &op, const Index &at) {
  const Type &blocks = graph.type(op.operands[0]);
  bool halves = blocks.dtype == KILN_U8, lifted = op.operands.size() > 2;
  Index block;
  Expr q = ofBlock(op, at, halves, block);
  auto scalar = [&](uint32_t operand) { return convert(element(operand, block), graph.type(operand).dtype, KILN_F32); };
  Expr wide = convert(q, blocks.dtype, KILN_F32), scale = scalar(op.operands[1]);
  std::string text = halves && !lifted ? "(" + wide.text + " - " + literal(KILN_F32, 8, 0).text + ")" : wide.text;
  text += " * " + scale.text;
  if (!lifted)
    return bindElement(KILN_F32, text, {wide, scale});
  Expr minimum = scalar(op.operands[2]);
  return bindElement(KILN_F32, text + " + " + minimum.text, {wide, scale, minimum});
}

/// A report where the condition's names are known, but not twice for the same.
void Emitter::report(kiln_status_kind kind, const Op &op, const Expr &condition, const Expr &value, const Expr &limit) {
  int depth = std::max({condition.level, value.level, limit.level, guardLevel()});
  std::string key = "!" + std::to_string(op.number) + condition.text;
  for (const Scope &scope : scopes)
    if (scope.known.contains(key))
      return;
  within(depth, [&] {
    line(around.report(kind, op.number, condition.text, value.text, limit.text));
    return scopes.back().known[key] = value;
  });
}

} // namespace kiln::sdk
