// Attention and its gradients without a matrix of scores.
//
// Each invocation owns one row: of the queries in the forward pass and for the queries' gradient, of the keys for the
// gradients of keys and values. The other rows stream by in tiles, on GPUs through workgroup memory. The softmax is the
// running one (Milakov and Gimelshein; FlashAttention); the backward pass computes the scores again from lse. Tiles
// that causality hides from a whole workgroup are not looked at.
#include "backends/sdk/forms/AttentionPrinter.h"
#include "backends/sdk/forms/Forms.h"
#include <algorithm>

namespace kiln::sdk {

namespace {
constexpr int64_t widest = 256; // of a head: a row is kept in registers

bool isKept(const kiln_extent &width) { return width.slot < 0 && width.value >= 1 && width.value <= widest; }

bool isTaken(const Graph &graph, const AttentionKernel &form) {
  return graph.type(form.q).dtype != KILN_F64 && isKept(form.width) && isKept(form.valueWidth);
}

/// Rows that stream by, under a name: one element a row, or `width` of them.
struct Stream {
  std::string name;
  uint32_t value;
  int64_t width;
  uint32_t scratch = KILN_NONE; // a place in place of the value
  bool ofKeys = false;          // its heads are those of keys and values
};

class Printer : AttentionPrinter {
public:
  Printer(const Graph &graph, const AttentionKernel &form, Workgroup &group, Emitter &emitter, bool shares)
      : AttentionPrinter(graph, form, group, emitter), shares(shares), threads(shares ? 64 : 16) {}

  bool forward();
  bool queryGradient(uint32_t delta);
  bool keyGradients(uint32_t delta);

private:
  void beginRows(const kiln_extent &rows, bool ofKeys);
  void keep(const std::string &array, uint32_t value, int64_t width, bool ofKeys = false);
  void openKeys();
  void clear(const std::string &array, int64_t width);
  /// Opens the loop over the tiles of what streams, from row `first` to `last`, and brings a tile in.
  void openTiles(const std::string &first, const std::string &last, const kiln_extent &count,
                 std::vector<Stream> streams);
  void closeTiles();
  std::string streamed(const std::string &name, const std::string &j, const std::string &d);
  void openRows();
  void openWidth(int64_t width) { emitter.loopNamed("d", emitter.index(0), emitter.index(width), emitter.index(1)); }
  std::string dot(const std::string &array, const std::string &name, int64_t width);
  void addTo(const std::string &array, const std::string &factor, const std::string &name, int64_t width);
  bool storeRow(size_t result, const std::string &array, int64_t width, const std::string &factor, bool ofKeys = false);

  const bool shares;
  const int threads;
  int tile = 16; // rows of what streams
  std::vector<Stream> streams;
  std::vector<std::string> memories;
  std::string streamCount;
};
} // namespace

//===-- Rows ------------------------------------------------------------------------------------------------------===//

void AttentionPrinter::begin(const kiln_extent &rows, bool ofKeys, int rowsOfGroup) {
  const kiln_extent &heads = ofKeys ? form.keyHeads : form.heads;
  Number tiles = ceilDiv(Number(rows), rowsOfGroup), groups = Number(form.batches) * Number(heads) * tiles;
  group.grid(groups);
  emitter.line("const " + emitter.indexType() + " own = min(group, " + group.word(groups) + " - 1), above = own / " +
               group.word(tiles) + ";");
  std::string head = "above % " + number(heads);
  emitter.line("const " + emitter.indexType() + " b = above / " + number(heads) + ", " +
               (ofKeys ? "kh = " + head : "h = " + head + ", kh = h / " + std::to_string(form.groups)) + ";");
  emitter.line("const " + emitter.indexType() + " begin = own % " + group.word(tiles) + " * " +
               std::to_string(rowsOfGroup) + ", end = min(begin + " + std::to_string(rowsOfGroup) + ", " +
               number(rows) + ");");
  if (!form.causal)
    return;
  // Further away than this no query sees a key either.
  std::string keys = number(form.keys), queries = number(form.queries), place = keys + " - " + queries;
  if (form.started) {
    emitter.line("const " + emitter.indexType() + " start = " + emitter.element(form.start, {}).text + ";");
    place = "min(max(start, -" + queries + "), " + keys + " + " + std::to_string(form.window) + ")";
  }
  emitter.line("const " + emitter.indexType() + " place = " + place + ";");
}

std::string AttentionPrinter::firstKey() const {
  return form.window ? "max(0, begin + place + 1 - " + std::to_string(form.window) + ")" : "0";
}

std::string AttentionPrinter::lastKey() {
  return form.causal ? "min(" + number(form.keys) + ", end + place)" : number(form.keys);
}

/// Invocations without a row go along with the last one.
void Printer::beginRows(const kiln_extent &rows, bool ofKeys) {
  group.local(static_cast<uint32_t>(threads));
  begin(rows, ofKeys, threads);
  emitter.line("const " + emitter.indexType() + " lane = " + localX(emitter) + ";");
  emitter.line("const bool valid = group == own && begin + lane < end;");
  emitter.line("const " + emitter.indexType() + " row = min(begin + lane, end - 1);");
}

/// Opens the loop over the tiles of keys that some query of the workgroup may see.
void Printer::openKeys() {
  openTiles(firstKey(), lastKey(), form.keys,
            {{"k", form.k, form.width.value, KILN_NONE, true}, {"v", form.v, form.valueWidth.value, KILN_NONE, true}});
}

void Printer::keep(const std::string &array, uint32_t value, int64_t width, bool ofKeys) {
  emitter.line(scalar + " " + array + "[" + std::to_string(width) + "];");
  Expr d = emitter.loop(emitter.index(width));
  Index at = {Emitter::outer("b"), headOf(ofKeys), Emitter::outer("row"), d};
  emitter.line(array + "[" + d.text + "] = " + emitter.element(value, at).text + ";");
  emitter.close();
}

void Printer::clear(const std::string &array, int64_t width) {
  emitter.line(scalar + " " + array + "[" + std::to_string(width) + "];");
  Expr d = emitter.loop(emitter.index(width));
  emitter.line(array + "[" + d.text + "] = " + zero + ";");
  emitter.close();
}

void Printer::openTiles(const std::string &first, const std::string &last, const kiln_extent &count,
                        std::vector<Stream> list) {
  streams = std::move(list);
  streamCount = number(count);
  int64_t floats = 0;
  for (const Stream &stream : streams)
    floats += stream.width;
  tile = floats <= 256 ? 16 : 8; // 16 KiB at the widest
  if (shares)
    for (const Stream &stream : streams)
      memories.push_back(group.shared(scalar, tile * stream.width, 4));
  emitter.loopNamed("first", Emitter::outer(first), Emitter::outer(last), emitter.index(tile),
                    (graph.bound(count) + tile - 1) / tile);
  if (!shares)
    return;
  for (size_t i = 0; i < streams.size(); ++i) {
    const Stream &stream = streams[i];
    Expr e = emitter.loop(here("lane"), emitter.index(tile * stream.width), emitter.index(threads));
    std::string j = "(" + e.text + " / " + std::to_string(stream.width) + ")",
                d = "(" + e.text + " % " + std::to_string(stream.width) + ")";
    std::string memory = memories[i];
    memories[i].clear(); // from the place itself, this once
    emitter.line("const " + scalar + " piece = " + streamed(stream.name, j, d) + ";");
    memories[i] = memory;
    emitter.line(memory + "[" + e.text + "] = piece;");
    emitter.close();
  }
  barrier(emitter);
}

void Printer::closeTiles() {
  if (shares)
    barrier(emitter);
  emitter.close();
  memories.clear();
}

/// Element d of row first + j; rows beyond the last one are the last one again.
std::string Printer::streamed(const std::string &name, const std::string &j, const std::string &d) {
  size_t i = 0;
  while (streams[i].name != name)
    ++i;
  const Stream &stream = streams[i];
  if (i < memories.size() && !memories[i].empty())
    return memories[i] + "[" + j + " * " + std::to_string(stream.width) + " + " + d + "]";
  std::string row = emitter.fresh("r");
  emitter.line("const " + emitter.indexType() + " " + row + " = min(first + " + j + ", " + streamCount + " - 1);");
  if (stream.scratch != KILN_NONE)
    return group.load(stream.scratch, KILN_F32,
                      "(b * " + number(form.heads) + " + h) * " + number(form.queries) + " + " + row);
  Index at = {Emitter::outer("b"), headOf(stream.ofKeys), here(row)};
  if (graph.type(stream.value).rank() == 4)
    at.push_back(here(d));
  return emitter.element(stream.value, at).text;
}

/// Unrolled together with the loops over a head's width, this is what drivers take minutes to compile.
void Printer::openRows() {
  emitter.loopNamed("j", emitter.index(0), emitter.index(tile), emitter.index(1), tile, emitter.language().dontUnroll);
}

std::string Printer::dot(const std::string &array, const std::string &name, int64_t width) {
  std::string sum = emitter.fresh("dot");
  emitter.line(scalar + " " + sum + " = " + zero + ";");
  openWidth(width);
  emitter.line(sum + " = " + fma + "(" + array + "[d], " + streamed(name, "j", "d") + ", " + sum + ");");
  emitter.close();
  return sum;
}

void Printer::addTo(const std::string &array, const std::string &factor, const std::string &name, int64_t width) {
  openWidth(width);
  emitter.line(array + "[d] = " + fma + "(" + factor + ", " + streamed(name, "j", "d") + ", " + array + "[d]);");
  emitter.close();
}

std::string AttentionPrinter::hidden(const Expr &query, const Expr &key) {
  std::string name = emitter.fresh("hidden"), s = number(form.keys), t = number(form.queries);
  emitter.line(std::string(emitter.language().boolean) + " " + name + " = " + key.text + " >= " + s + " || " +
               query.text + " >= " + t + ";");
  if (form.causal)
    emitter.line(name + " = " + name + " || " + key.text + " > " + query.text + " + place;");
  if (form.window)
    emitter.line(name + " = " + name + " || " + key.text + " <= " + query.text + " + place - " +
                 std::to_string(form.window) + ";");
  if (!form.masked)
    return name;
  emitter.open("if (!" + name + ")", /*guard=*/true);
  Index at = {Emitter::outer("b"), headOf(false), query, key};
  const std::vector<kiln_extent> &dims = graph.type(form.mask).dims;
  for (size_t axis = 0; axis < at.size(); ++axis)
    if (isOne(dims[axis]))
      at[axis] = emitter.index(0);
  emitter.line(name + " = !" + emitter.element(form.mask, at).text + ";");
  emitter.close();
  return name;
}

std::string AttentionPrinter::exponential(const std::string &x) {
  return emitter.unary(OpCode::Exp, here("(" + x + ")"), KILN_F32).text;
}

std::string AttentionPrinter::scoreOf(const std::string &product) {
  if (!(form.softcap > 0))
    return product + " * " + literal(form.scale);
  Expr x = here("(" + product + " * " + literal(form.scale / form.softcap) + ")");
  emitter.line("const " + scalar + " bent = " + emitter.unary(OpCode::Tanh, x, KILN_F32).text + ";");
  return "bent * " + literal(form.softcap);
}

std::string AttentionPrinter::logOfSum(const std::string &total, const std::string &divisor, const std::string &most) {
  return "(" + total + " == " + zero + " ? " + emitter.neutral("min", KILN_F32).text + " : " + most + " + " +
         emitter.unary(OpCode::Log, here(divisor), KILN_F32).text + ")";
}

//===-- Results ---------------------------------------------------------------------------------------------------===//

bool AttentionPrinter::storeOne(size_t number, const Index &index, const std::string &text) {
  uint32_t result = form.op->results[number];
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    Transposed below = throughTransposes(graph, graph.outputs[o]);
    if (graph.definingOp(below.value) != form.op)
      return false;
    if (below.value != result)
      continue;
    Index at = index;
    for (size_t d = 0; d < at.size(); ++d)
      at[below.axes[d]] = index[d];
    const Type &type = graph.type(graph.outputs[o]);
    emitter.store(static_cast<uint32_t>(graph.inputs.size() + o), type.dtype, emitter.linear(type.dims, at),
                  here(text));
  }
  return true;
}

bool Printer::storeRow(size_t number, const std::string &array, int64_t width, const std::string &factor, bool ofKeys) {
  emitter.open("if (valid)", /*guard=*/true);
  Expr d = emitter.loop(emitter.index(width));
  Index at = {Emitter::outer("b"), headOf(ofKeys), Emitter::outer("row"), d};
  bool good = storeOne(number, at, "(" + array + "[" + d.text + "]" + factor + ")");
  emitter.close();
  emitter.close();
  return good;
}

//===-- Passes ----------------------------------------------------------------------------------------------------===//

bool Printer::forward() {
  beginRows(form.queries, false);
  keep("q", form.q, form.width.value);
  clear("sum", form.valueWidth.value);
  emitter.line(scalar + " most = " + minusInfinity() + ", total = " + zero + ";");
  openKeys();
  emitter.line(scalar + " scores[" + std::to_string(tile) + "], highest = most;");
  openRows();
  std::string score = dot("q", "k", form.width.value), away = hidden(here("row"), here("(first + j)"));
  emitter.line("scores[j] = " + away + " ? " + minusInfinity() + " : " + scoreOf(score) + ";");
  // A NaN is the highest of all, and stays.
  emitter.line("if (highest == highest && !(scores[j] <= highest)) highest = scores[j];");
  emitter.close();
  emitter.line("const " + scalar + " base = highest == " + minusInfinity() + " ? " + zero + " : highest;");
  emitter.line("const " + scalar + " fade = " + exponential("most - base") + ";");
  emitter.line("total *= fade; most = highest;");
  openWidth(form.valueWidth.value);
  emitter.line("sum[d] *= fade;");
  emitter.close();
  openRows();
  emitter.line("const " + scalar + " weight = " + exponential("scores[j] - base") + ";");
  emitter.line("total += weight;");
  addTo("sum", "weight", "v", form.valueWidth.value);
  emitter.close();
  closeTiles();
  // A query that sees no key gives 0.
  emitter.line("const " + scalar + " divisor = total == " + zero + " ? " + literal(1) + " : total;");
  bool good = storeRow(0, "sum", form.valueWidth.value, " / divisor");
  if (form.op->results.size() > 1) {
    emitter.open("if (valid)", /*guard=*/true);
    Index at = {Emitter::outer("b"), Emitter::outer("h"), Emitter::outer("row")};
    good &= storeOne(1, at, logOfSum("total", "divisor", "most"));
    emitter.close();
  }
  return good;
}

/// dquery, and rowsum(g * result) for the keys' dispatch.
bool Printer::queryGradient(uint32_t delta) {
  std::string keys = number(form.keys), queries = number(form.queries);
  beginRows(form.queries, false);
  keep("q", form.q, form.width.value);
  keep("g", form.gradient, form.valueWidth.value);
  clear("dq", form.width.value);
  Index at = {Emitter::outer("b"), Emitter::outer("h"), Emitter::outer("row")};
  emitter.line("const " + scalar + " lse = " + emitter.element(form.lse, at).text + ";");
  emitter.line(scalar + " delta = " + zero + ";");
  Expr d = emitter.loop(emitter.index(form.valueWidth.value));
  at.push_back(d);
  emitter.line("delta = " + fma + "(g[" + d.text + "], " + emitter.element(form.result, at).text + ", delta);");
  emitter.close();
  openKeys();
  openRows();
  std::string score = dot("q", "k", form.width.value), away = hidden(here("row"), here("(first + j)"));
  emitter.line("const " + scalar + " s = " + away + " ? " + minusInfinity() + " : " + scoreOf(score) + ";");
  std::string weight = exponential("s - lse"), slope = dot("g", "v", form.valueWidth.value);
  emitter.line("const " + scalar + " ds = first + j < " + keys + " ? " + weight + " * (" + slope + " - delta)" +
               unbent() + " : " + zero + ";");
  addTo("dq", "ds", "k", form.width.value);
  emitter.close();
  closeTiles();
  emitter.open("if (valid)", /*guard=*/true);
  emitter.line(group.store(delta, KILN_F32, "(b * " + number(form.heads) + " + h) * " + queries + " + row", "delta"));
  emitter.close();
  return storeRow(0, "dq", form.width.value, " * " + literal(form.scale));
}

bool Printer::keyGradients(uint32_t delta) {
  std::string queries = number(form.queries);
  beginRows(form.keys, true);
  keep("k", form.k, form.width.value, true);
  keep("v", form.v, form.valueWidth.value, true);
  clear("dk", form.width.value);
  clear("dv", form.valueWidth.value);
  headsTurn = form.groups > 1;
  if (headsTurn) // each head of queries in turn that shares these keys
    emitter.loopNamed("g", emitter.index(0), emitter.index(form.groups), emitter.index(1), form.groups,
                      emitter.language().dontUnroll);
  emitter.line("const " + emitter.indexType() + " h = kh" +
               (headsTurn ? " * " + std::to_string(form.groups) + " + g" : "") + ";");
  // From the first query that sees the workgroup's first key to the last one whose window holds its last key.
  std::string first = form.causal ? "max(0, begin - place)" : "0", last = queries;
  if (form.window)
    last = "min(" + queries + ", end - place + " + std::to_string(form.window - 1) + ")";
  openTiles(first, last, form.queries,
            {{"q", form.q, form.width.value},
             {"g", form.gradient, form.valueWidth.value},
             {"lse", form.lse, 1},
             {"delta", 0, 1, delta}});
  openRows();
  std::string score = dot("k", "q", form.width.value), away = hidden(here("(first + j)"), here("row"));
  emitter.line("const " + scalar + " s = " + away + " ? " + minusInfinity() + " : " + scoreOf(score) + ";");
  emitter.line("const " + scalar + " lse = " + streamed("lse", "j", "0") + ";");
  emitter.line("const " + scalar + " delta = " + streamed("delta", "j", "0") + ";");
  emitter.line("const " + scalar + " weight = first + j < " + queries + " ? " + exponential("s - lse") + " : " + zero +
               ";");
  addTo("dv", "weight", "g", form.valueWidth.value);
  std::string slope = dot("v", "g", form.valueWidth.value);
  emitter.line("const " + scalar + " ds = weight * (" + slope + " - delta)" + unbent() + ";");
  addTo("dk", "ds", "q", form.width.value);
  emitter.close();
  closeTiles();
  if (headsTurn)
    emitter.close();
  return storeRow(1, "dk", form.width.value, " * " + literal(form.scale), true) &&
         storeRow(2, "dv", form.valueWidth.value, "", true);
}

bool buildAttention(Builder &builder) {
  const Graph &graph = builder.graph;
  const Op *odd = nullptr,
           *op = onlyWhole(
               graph, {OpCode::Attention, OpCode::AttentionGrad, OpCode::CappedAttention, OpCode::CappedAttentionGrad},
               odd);
  if (!op)
    return false;
  const AttentionKernel form(graph, *op);
  if (!isTaken(graph, form))
    return false;
  std::vector<ScratchArray> scratch;
  if (form.backward) {
    Number rows = max(Number(form.batches) * Number(form.heads) * Number(form.queries), Number(1));
    scratch = {{0, KILN_F32, rows}};
    builder.needScratch(rows.at(graph.extentBounds) * 4);
  }
  uint32_t delta = builder.scratchPlace(0);
  for (bool shares : {false, true}) {
    builder.variant(shares ? Builder::Device::Any : Builder::Device::Processor);
    auto launch = [&](const std::function<bool(Printer &)> &print) {
      return builder.launch(scratch, [&](Workgroup &group, Emitter &emitter) {
        Printer printer(graph, form, group, emitter, shares);
        return print(printer);
      });
    };
    bool good = form.backward ? launch([&](Printer &p) { return p.queryGradient(delta); }) &&
                                    launch([&](Printer &p) { return p.keyGradients(delta); })
                              : launch([](Printer &p) { return p.forward(); });
    if (!good)
      return false;
  }
  return true;
}

} // namespace kiln::sdk
