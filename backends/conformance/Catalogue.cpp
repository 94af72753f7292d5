// Elementwise ops, and what is common to all cases.
#include "backends/conformance/Case.h"
#include "backends/conformance/Shapes.h"

#include "backends/sdk/Graph.h"

#include <functional>
#include <numeric>
#include <random>
#include <set>

namespace kiln::conformance {

static std::vector<kiln_dtype> dtypesOf(sdk::Elements elements) {
  std::vector<kiln_dtype> result;
  for (int32_t dtype = 0; sdk::isSupported(dtype); ++dtype)
    if (sdk::contains(elements, static_cast<kiln_dtype>(dtype)))
      result.push_back(static_cast<kiln_dtype>(dtype));
  return result;
}

const std::vector<kiln_dtype> floatDtypes = dtypesOf(sdk::Elements::Floats);
const std::vector<kiln_dtype> integerDtypes = dtypesOf(sdk::Elements::Integers);
const std::vector<kiln_dtype> numberDtypes = dtypesOf(sdk::Elements::Numbers);
const std::vector<kiln_dtype> allDtypes = dtypesOf(sdk::Elements::Any);

const std::vector<std::vector<int64_t>> &edgeShapes(size_t rank) {
  static const std::vector<std::vector<int64_t>> shapes[7] = {
      {{}},
      {{4099}, {1}, {0}, {7}, {64}, {257}, {1031}},
      {{17, 257}, {1, 1}, {0, 5}, {3, 0}, {257, 3}, {64, 64}, {1, 1031}},
      {{7, 11, 13}, {1, 1, 1}, {2, 0, 3}, {3, 17, 65}, {33, 1, 7}},
      {{3, 5, 7, 11}, {1, 1, 1, 1}, {2, 3, 0, 2}, {1, 19, 1, 33}},
      {{2, 3, 5, 3, 7}, {1, 1, 1, 1, 1}, {1, 2, 0, 1, 3}, {17, 1, 3, 1, 5}},
      {{2, 3, 2, 3, 2, 3}, {1, 1, 1, 1, 1, 1}, {0, 1, 2, 1, 2, 1}, {5, 1, 7, 1, 2, 3}}};
  return shapes[rank];
}

namespace {
struct EdgeExtents {
  std::vector<std::vector<int64_t>> rows;
  size_t byDefault = 0;
};

EdgeExtents makeEdgeExtents(size_t rank) {
  constexpr int64_t edges[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17}, count = 11;
  EdgeExtents made;
  // Two axes at most take all of them, what is before those is small: elements grow with the rank.
  size_t small = rank > 3 ? rank - 2 : 0;
  for (int64_t turn = 0; turn < 3; ++turn) {
    for (int64_t i = 0; i < count; ++i) {
      std::vector<int64_t> row;
      for (size_t d = 0; d < rank; ++d) {
        auto axis = static_cast<int64_t>(d);
        // Lines of different slopes: on each axis each extent, and no two rows share a pair.
        row.push_back(d < small ? (i == axis ? 0 : 1 + (i + axis) % 3)
                                : edges[((axis + 1) * i + axis * (3 + turn)) % count]);
      }
      made.rows.push_back(row);
    }
    for (size_t d = 0; d < rank && turn == 0; ++d) {
      std::vector<int64_t> row(rank, 17);
      std::fill_n(row.begin(), small, 3);
      row[d] = 1;
      made.rows.push_back(row);
    }
    if (turn == 0)
      made.byDefault = made.rows.size();
  }
  return made;
}

const EdgeExtents &edgeExtentsOf(size_t rank) {
  static const std::vector<EdgeExtents> all = [] {
    std::vector<EdgeExtents> ranks;
    for (size_t r = 0; r <= 6; ++r)
      ranks.push_back(r ? makeEdgeExtents(r) : EdgeExtents());
    return ranks;
  }();
  return all[rank];
}
} // namespace

void addEdgeExtents(std::vector<Launch> &launches, size_t rank) {
  const EdgeExtents &edges = edgeExtentsOf(rank);
  for (size_t i = 0; i < edges.rows.size(); ++i)
    launches.push_back({edges.rows[i], false, true, i >= edges.byDefault, true});
}

void addEdgeExtentsWith(std::vector<Launch> &launches, size_t count, size_t number, int64_t value) {
  size_t first = launches.size();
  addEdgeExtents(launches, count - 1);
  for (size_t i = first; i < launches.size(); ++i)
    launches[i].extents.insert(launches[i].extents.begin() + static_cast<int64_t>(number), value);
}

Dims dimsOf(Kernel &kernel, size_t rank, bool dynamic, std::vector<Launch> &launches) {
  const auto &shapes = edgeShapes(rank);
  std::vector<int64_t> bounds(rank, rank ? 17 : 1);
  for (const auto &shape : shapes)
    for (size_t d = 0; d < rank; ++d)
      bounds[d] = std::max(bounds[d], shape[d]);
  Dims dims;
  for (size_t d = 0; d < rank; ++d)
    dims.push_back(dynamic ? kernel.extent(bounds[d]) : fixed(shapes[0][d]));
  for (const auto &shape : shapes)
    if (dynamic || &shape == &shapes[0])
      launches.push_back({dynamic ? shape : std::vector<int64_t>(), false, true});
  if (dynamic)
    addEdgeExtents(launches, rank);
  return dims;
}

kiln_extent derived(Kernel &kernel, size_t rank, bool dynamic, std::vector<Launch> &launches,
                    const std::function<int64_t(const std::vector<int64_t> &)> &f) {
  if (!dynamic)
    return fixed(f(edgeShapes(rank)[0]));
  int64_t bound = 1;
  for (Launch &launch : launches) {
    std::vector<int64_t> shape(launch.extents.begin(), launch.extents.begin() + static_cast<int64_t>(rank));
    launch.extents.push_back(f(shape));
    bound = std::max(bound, launch.extents.back());
  }
  return kernel.extent(bound);
}

void addInPlace(Case &made) {
  std::vector<Launch> again = made.launches;
  for (size_t i = 0; i < again.size(); ++i)
    if (i == 0 || i % 2) { // the first, and some of the others
      again[i].inPlace = true;
      made.launches.push_back(again[i]);
    }
}

std::string variantOf(size_t rank, bool dynamic) {
  return "rank " + std::to_string(rank) + (dynamic ? ", dynamic" : ", constant");
}

namespace {

/// Ops that the table says enough of: operands and result of one dtype, no attributes.
bool isPlain(const sdk::OpInfo &op) {
  return sdk::isElementwise(op.code) && op.attributes.empty() &&
         std::all_of(op.operands.begin(), op.operands.end(), [](const auto &each) { return each.dtype == "T"; });
}

struct Form {
  size_t rank;
  bool dynamic;
};

const std::vector<Form> &forms() {
  static const std::vector<Form> all = [] {
    std::vector<Form> result;
    for (size_t rank = 0; rank <= 6; ++rank)
      for (bool dynamic : {true, false})
        if (rank || !dynamic)
          result.push_back({rank, dynamic});
    return result;
  }();
  return all;
}

void add(std::vector<Case> &cases, const sdk::OpInfo &op, kiln_dtype dtype, const Form &form) {
  Case made{std::string(op.name),
            variantOf(form.rank, form.dynamic),
            dtype,
            std::make_shared<Kernel>("elementwise"),
            {},
            {},
            {}};
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, form.rank, form.dynamic, made.launches);
  std::vector<uint32_t> operands;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    operands.push_back(kernel.input(dtype, dims));
    made.operands.push_back({Fill::Special, -20, 20});
  }
  uint32_t result = kernel.op(made.op, operands, dtype, dims);
  kernel.output(result, 0);
  made.accuracy.ulps = sdk::isFloat(dtype) ? op.ulps : 0;
  made.reports = !sdk::isFloat(dtype) && (made.op == "div" || made.op == "rem");
  addInPlace(made);
  cases.push_back(std::move(made));
}

void addCompare(std::vector<Case> &cases, const char *predicate, kiln_dtype dtype, const Form &form) {
  Case made{"compare",
            std::string(predicate) + ", " + variantOf(form.rank, form.dynamic),
            dtype,
            std::make_shared<Kernel>("elementwise"),
            {{Fill::Special}, {Fill::Special}},
            {},
            {}};
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, form.rank, form.dynamic, made.launches);
  uint32_t x = kernel.input(dtype, dims), y = kernel.input(dtype, dims);
  kernel.output(kernel.op("compare", {x, y}, KILN_BOOL, dims, {Attribute::text("predicate", predicate)}));
  cases.push_back(std::move(made));
}

void addSelect(std::vector<Case> &cases, kiln_dtype dtype, const Form &form) {
  Case made{"select",
            variantOf(form.rank, form.dynamic),
            dtype,
            std::make_shared<Kernel>("elementwise"),
            {{Fill::Special}, {Fill::Special}, {Fill::Special}},
            {},
            {}};
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, form.rank, form.dynamic, made.launches);
  uint32_t c = kernel.input(KILN_BOOL, dims), x = kernel.input(dtype, dims), y = kernel.input(dtype, dims);
  kernel.output(kernel.op("select", {c, x, y}, dtype, dims), 2);
  addInPlace(made);
  cases.push_back(std::move(made));
}

void addConvert(std::vector<Case> &cases, kiln_dtype from, kiln_dtype to, const Form &form) {
  Case made{"convert",
            std::string("from ") + sdk::dtypeName(from) + ", " + variantOf(form.rank, form.dynamic),
            to,
            std::make_shared<Kernel>("elementwise"),
            {{Fill::Special, -300, 300}},
            {},
            {}};
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, form.rank, form.dynamic, made.launches);
  uint32_t x = kernel.input(from, dims);
  kernel.output(kernel.op("convert", {x}, to, dims));
  made.accuracy.ulps = sdk::isFloat(to) ? 0.5 : 0;
  cases.push_back(std::move(made));
}

/// Between a float and the integers of its width. Integers are bits of normal floats: NaNs keep no bits of their own.
void addBitcast(std::vector<Case> &cases, kiln_dtype from, kiln_dtype to, const Form &form) {
  Case made{"bitcast",
            std::string("from ") + sdk::dtypeName(from) + ", " + variantOf(form.rank, form.dynamic),
            to,
            std::make_shared<Kernel>("elementwise"),
            {sdk::isFloat(from) ? Operand{Fill::Range, -1e6, 1e6}
             : from == KILN_I64 ? Operand{Fill::Range, 0x1p52, 0x1p62}
                                : Operand{Fill::Range, 0x1p23, 0x1p30}},
            {},
            {}};
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, form.rank, form.dynamic, made.launches);
  uint32_t x = kernel.input(from, dims);
  kernel.output(kernel.op("bitcast", {x}, to, dims));
  made.accuracy.ulps = 0;
  cases.push_back(std::move(made));
}

} // namespace

void elementwiseCases(std::vector<Case> &cases) {
  for (const sdk::OpInfo &op : sdk::opTable())
    if (isPlain(op))
      for (kiln_dtype dtype : dtypesOf(op.elements))
        for (const Form &form : forms())
          add(cases, op, dtype, form);
  for (const Form &form : forms())
    for (kiln_dtype dtype : allDtypes) {
      addSelect(cases, dtype, form);
      for (const char *predicate : {"eq", "ne", "lt", "le", "gt", "ge"})
        addCompare(cases, predicate, dtype, form);
      for (kiln_dtype from : allDtypes)
        addConvert(cases, from, dtype, form);
    }
  for (const Form &form : forms())
    for (auto [real, whole] : {std::pair(KILN_F32, KILN_I32), {KILN_F32, KILN_U32}, {KILN_F64, KILN_I64}}) {
      addBitcast(cases, real, whole, form);
      addBitcast(cases, whole, real, form);
    }
}

namespace {
/// Pairs that some chosen case has brought, of cases that are taken; of the others one for each is kept, to be told.
class Pairs {
public:
  explicit Pairs(const Taken &taken) : taken(taken) {}

  /// Whether the case brings one of the names that none before brought. It then has brought all of `with`.
  bool brings(Case &made, const std::vector<std::string> &names, const std::vector<std::string> &with) {
    if (isNew(brought, names) && (!taken || taken(made))) {
      brought.insert(with.begin(), with.end());
      return true;
    }
    if (!isNew(brought, names) || !isNew(refused, names))
      return false;
    refused.insert(with.begin(), with.end());
    return true;
  }

private:
  static bool isNew(const std::set<std::string> &known, const std::vector<std::string> &names) {
    return std::any_of(names.begin(), names.end(), [&](const std::string &name) { return !known.contains(name); });
  }
  const Taken &taken;
  std::set<std::string> brought, refused;
};
} // namespace

/// In an order that the seed decides, those cases that bring a pair which none before brought: an op and a variant, an
/// op and a dtype, a dtype and a form (rank, constant or dynamic), of cases that are taken, as far as there are any.
/// Before them one of each op over matrices of f32: the least that a backend takes who takes it at all.
static std::vector<Case> pairwise(std::vector<Case> cases, uint32_t seed, const Taken &taken) {
  std::vector<size_t> order(cases.size());
  std::iota(order.begin(), order.end(), static_cast<size_t>(0));
  std::mt19937 engine(seed);
  for (size_t i = order.size(); i > 1; --i) // std::shuffle is not the same everywhere
    std::swap(order[i - 1], order[engine() % i]);
  std::set<std::string> matrices;
  std::vector<bool> chosen(cases.size());
  for (size_t at : order)
    if (const Case &made = cases[at]; made.dtype == KILN_F32 && made.variant.ends_with("rank 2, constant"))
      chosen[at] = matrices.insert(made.op).second;
  Pairs pairs(taken);
  for (bool variants : {true, false}) // one of each variant first: they bring most of the others
    for (size_t at : order) {
      Case &made = cases[at];
      std::string dtype = sdk::dtypeName(made.dtype), form;
      if (size_t rank = made.variant.find("rank "); rank != std::string::npos)
        form = made.variant.substr(rank, made.variant.find(',', made.variant.find(',', rank) + 1) - rank);
      std::vector<std::string> all = {made.op + "/" + made.variant, made.op + "//" + dtype};
      if (!form.empty())
        all.push_back(dtype + "///" + form);
      std::vector<std::string> names(variants ? all.begin() : all.begin() + 1, variants ? all.begin() + 1 : all.end());
      chosen[at] = pairs.brings(made, names, all) || chosen[at];
    }
  std::vector<Case> result;
  for (size_t i = 0; i < cases.size(); ++i)
    if (chosen[i])
      result.push_back(std::move(cases[i]));
  return result;
}

std::vector<Case> allCases(bool full, uint32_t seed, bool edges, const Taken &taken, bool loops) {
  std::vector<Case> cases;
  elementwiseCases(cases);
  layoutCases(cases);
  indexCases(cases);
  reductionCases(cases);
  productCases(cases);
  fusedCases(cases);
  longCases(cases);
  if (loops)
    loopCases(cases);
  uint32_t number = seed;
  for (Case &made : cases)
    made.seed = ++number * 2654435761u;
  if (!full)
    cases = pairwise(std::move(cases), seed, taken);
  for (Case &made : cases)
    std::erase_if(made.launches,
                  [&](const Launch &launch) { return (launch.full && !full) || (launch.edge && !edges); });
  if (!edges)
    return cases;
  std::vector<Case> more = constantExtents(cases, full);
  std::move(more.begin(), more.end(), std::back_inserter(cases));
  return cases;
}

} // namespace kiln::conformance
