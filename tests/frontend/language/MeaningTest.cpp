// What expressions and statements mean: small models run through the reference interpreter. Expected numbers are
// PyTorch's.
#include "tests/frontend/language/Interpreted.h"

namespace {

using kiln::HostTensor;
using kiln::testing::expectNear;
using kiln::testing::floats;
using kiln::testing::integers;
using kiln::testing::run;

struct Case {
  const char *name, *expression;
  bool constantOnly;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

const Case cases[] = {
#include "tests/frontend/language/Expressions.inc"
};

class Expressions : public testing::TestWithParam<Case> {};

void check(const Case &one, const std::string &header, const std::string &signature) {
  std::vector<HostTensor> results =
      run("model " + header + ":\n    def forward(" + signature + "):\n        return " + one.expression + "\n",
          {floats({2, 3}, {1, -2, 3, 0.5, 4, -1}), floats({3}, {1, 2, 3}), integers({2, 3}, {7, -7, 2, 0, 3, 5}),
           integers({2}, {2, 0})});
  ASSERT_EQ(results.size(), 1u);
  expectNear(results[0], one.shape, one.values);
}

TEST_P(Expressions, ConstantDimensions) {
  check(GetParam(), "M(T=3)", "x: f32[2, T], v: f32[T], n: i32[2, T], k: i32[2]");
}

INSTANTIATE_TEST_SUITE_P(Language, Expressions, testing::ValuesIn(cases),
                         [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

/// The same where the extents are known when the program runs only.
class DynamicExpressions : public testing::TestWithParam<Case> {};

TEST_P(DynamicExpressions, GiveTheSame) {
  check(GetParam(), "M()", "x: f32[B <= 4, T <= 8], v: f32[T], n: i32[B, T], k: i32[B]");
}

std::vector<Case> dynamicCases() {
  std::vector<Case> out;
  for (const Case &one : cases)
    if (!one.constantOnly)
      out.push_back(one);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Language, DynamicExpressions, testing::ValuesIn(dynamicCases()),
                         [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.name); });

TEST(Statements, ScanStacksAlongTheAxisAfterTheBatch) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[B <= 4, T <= 8]) -> (f32[B, T], f32[B], f32[T, B]):
        total = zeros(B)
        scan t in T carrying total:
            total = total + x[:, t]
            yield running = total
        last = total
        again = zeros(B)
        scan t in T carrying again along 0:
            again = again + x[:, t]
            yield lead = again
        return running, last, lead
)",
                                        {floats({2, 3}, {1, 2, 3, 10, 20, 30})});
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {2, 3}, {1, 3, 6, 10, 30, 60});
  expectNear(results[1], {2}, {6, 60});
  expectNear(results[2], {3, 2}, {1, 10, 3, 30, 6, 60});
}

TEST(Statements, ScanReversedCountsDownWithOutputsInPlace) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[B <= 4, T <= 8]) -> f32[B, T]:
        total = zeros(B)
        scan t in T reversed carrying total:
            total = total + x[:, t]
            yield total
        return total
)",
                                        {floats({1, 3}, {1, 2, 4})});
  expectNear(results[0], {1, 3}, {7, 6, 4});
}

TEST(Statements, ScanCarriesTuplesAndStates) {
  std::vector<HostTensor> results = run(R"(
model M():
    seen = state(f32[1], persistent)

    def forward(x: f32[B <= 4, T <= 8]) -> f32[B]:
        pair = (zeros(B), ones(B))
        scan t in T carrying pair:
            a, b = pair
            pair = (a + x[:, t], b * 2.0)
            seen = seen + 1.0
        return pair[0] * pair[1]
)",
                                        {floats({1, 3}, {1, 2, 4}), floats({1}, {5})});
  ASSERT_EQ(results.size(), 2u);
  expectNear(results[0], {1}, {56});
  expectNear(results[1], {1}, {8});
}

/// A body that assigns states is executed again, and what the first time left behind is dropped. Where a function is
/// over session state it may be left out of the module altogether; the address sanitizer looks on.
TEST(Statements, StatesAssignedInAScanAreCarried) {
  struct Scan {
    const char *what, *body;
  };
  const Scan scans[] = {
      {"plain", R"(
        scan t in 4 carrying y:
            keys = update(keys, cell(y[:, None]), t, axis=1)
            y = sum(keys, axis=1)
            yield z = y
        return sum(z) + sum(keys)
)"},
      {"reversed", R"(
        scan t in 4 reversed carrying y:
            keys = update(keys, cell(y[:, None]), t, axis=1)
            y = sum(keys, axis=1)
            yield z = y
        return sum(z) + sum(keys)
)"},
      {"in a function that the scan calls, and in one that function calls", R"(
        scan t in 4 carrying y:
            y = inner(y, t)
            yield z = y
        return sum(z) + sum(keys)
)"},
      {"several states, one of them only read", R"(
        scan t in 4 carrying y:
            count = count + 1.0
            keys = keys * 0.5 + cell(y[:, None]) + still
            y = y + sum(keys, axis=1) * count[:, None]
        return sum(y)
)"},
      {"nested", R"(
        scan i in 2 carrying y:
            count = count + 1.0
            scan j in 2 carrying y:
                keys = update(keys, cell(y[:, None]), i + j, axis=1)
                y = y + sum(keys, axis=1) * count[:, None]
        return sum(y)
)"},
      {"in the inner scan alone, with nothing else carried", R"(
        scan i in 2:
            scan j in 2:
                count = count + 1.0
        return sum(y) + sum(count)
)"},
      {"one scan behind the other", R"(
        scan t in 4:
            count = count + 1.0
        scan t in 4 carrying y:
            y = y * count[:, None]
            count = count - 0.5
        return sum(y)
)"},
      {"under an if of the compiler's", R"(
        scan t in 4 carrying y:
            if width > 4:
                keys = keys + cell(y[:, None])
            else:
                count = count + 1.0
            y = y + sum(keys, axis=1) + count[:, None]
        return sum(y)
)"},
  };
  for (const char *kind : {"session", "persistent"})
    for (const Scan &scan : scans) {
      std::string k = kind;
      std::string text = R"(
module Inner(width):
    cell = Linear(width, width)

    def forward(x: f32[B, 1, width]) -> f32[B, 1, width]:
        return tanh(cell(x))

model M(width=8):
    cell  = Inner(width)
    keys  = state(f32[3, 4, width], )" +
                         k + R"()
    still = state(f32[3, 4, width], )" +
                         k + R"()
    count = state(f32[3], )" +
                         k + R"()

    def inner(y: f32[3, width], t: i32):
        keys = update(keys, cell(y[:, None]), t, axis=1)
        return sum(keys, axis=1)

    def forward(x: f32[3, width]) -> f32:
        y = x)" + scan.body +
                         R"(
    def other(x: f32[B <= 3, 2]) -> f32[B, 2]:
        return 2.0 * x
)";
      mlir::MLIRContext context;
      kiln::Diagnostics diagnostics;
      EXPECT_TRUE(kiln::loadModelText(context, text, "test.kiln", {}, diagnostics)) << kind << ", " << scan.what << "\n"
                                                                                    << diagnostics.render();
    }
}

/// The numbers of a loop over state, written out by hand: keys of [1, 2], a count, two steps.
TEST(Statements, StatesAssignedInNestedAndReversedScansHaveTheirNumbers) {
  std::vector<HostTensor> results = run(R"(
model M():
    keys  = state(f32[1, 2], persistent)
    count = state(f32[1], persistent)

    def note(y: f32[1], t: i32) -> f32[1]:
        keys = update(keys, y[:, None], t, axis=1)
        return sum(keys, axis=1)

    def forward(x: f32[1]) -> (f32[1], f32[1, 2]):
        y = x
        scan t in 2 reversed carrying y:
            scan j in 3:
                count = count + 1.0
            y = note(y + count, t)
            yield z = y
        return y, z
)",
                                        {floats({1}, {1}), floats({1, 2}, {10, 20}), floats({1}, {0})});
  // t = 1: count 3, keys [10, 4], y 14; t = 0: count 6, keys [20, 4], y 24.
  ASSERT_EQ(results.size(), 4u);
  expectNear(results[0], {1}, {24});
  expectNear(results[1], {1, 2}, {24, 14});
  expectNear(results[2], {1}, {6});
  expectNear(results[3], {1, 2}, {20, 4});
}

/// A loop that fails leaves values behind that later statements read: an error, and nothing else.
TEST(Statements, ALoopOverStateThatFailsIsDroppedWhole) {
  for (const char *body : {"count = count + x[:, 5]", "count = count + 1.0; y = y[:, None]", "count = count + missing",
                           "count = 3; z = 4.0 * count; yield z = x[9]"})
    for (const char *kind : {"session", "persistent"}) {
      std::string text = std::string(R"(
model M():
    count = state(f32[3], )") +
                         kind +
                         R"()

    def forward(x: f32[3]) -> f32[3]:
        y = x
        scan i in 2 carrying y:
            y = y + count
            scan t in 4 carrying y:
                )" + body +
                         R"(
            count = count * 2.0
            y = y + count
        count = count + y
        return count * y
)";
      mlir::MLIRContext context;
      kiln::Diagnostics diagnostics;
      EXPECT_FALSE(kiln::loadModelText(context, text, "test.kiln", {}, diagnostics)) << text;
      EXPECT_NE(diagnostics.render().find("error"), std::string::npos);
    }
}

TEST(Statements, NestedScansIndexWithBothSteps) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[2, 3]) -> f32:
        total = 0.0
        scan i in 2 carrying total:
            row = x[i]
            scan j in 3 carrying total:
                total = total + row[j] * (i + 1)
        return total
)",
                                        {floats({2, 3}, {1, 2, 3, 10, 20, 30})});
  expectNear(results[0], {}, {126});
}

TEST(Statements, ADictIsMadeOfPairsToo) {
  std::vector<HostTensor> results = run(R"(
model M():
    net = Sequential(Linear(2, 1, bias=False), Linear(1, 2, bias=False))

    def forward(x: f32[1, 2]):
        d = dict([("0.weight", x), ("1.weight", x.T)], b=2.0 * x)
        e = dict(d, b=x)
        return with_parameters(net, dict([(n, d[n]) for n in ("0.weight", "1.weight")]))(x), d["b"], e["b"], f32(len(e)), sum([2.0 * v for k, v in parameters(net).items() if k == "0.weight"]), f32(len([k for k in d.keys() if k == "b"])), e.values()[2] + values(dict(values=x))[0]
)",
                                        {floats({1, 2}, {1, 2}), floats({1, 2}, {3, 4}), floats({2, 1}, {0, 0})});
  ASSERT_EQ(results.size(), 7u);
  expectNear(results[4], {1, 2}, {6, 8});
  expectNear(results[5], {}, {1});
  expectNear(results[6], {1, 2}, {2, 4});
  expectNear(results[0], {1, 2}, {5, 10});
  expectNear(results[1], {1, 2}, {2, 4});
  expectNear(results[2], {1, 2}, {1, 2});
  expectNear(results[3], {}, {3});
}

TEST(Statements, FunctionsWithinFunctionsSeeTheNamesAroundThemAsTheyStand) {
  std::vector<HostTensor> results =
      run(R"(
def twice(f, x):
    return f(f(x))

def adder(n):
    def add(x):
        return x + n * scale
    scale = 10.0
    return add

def newton(f, x):
    scan i in 12 carrying x:
        x = x - f(x) / gradient(sum(f(x)), x)
    return x

module Layer(width):
    w    = parameter(f32[width, width], init=eye)
    seen = state(i32, persistent)

    def forward(x: f32[B, width]) -> f32[B, width]:
        def step(h: f32[B, width]) -> f32[B, width]:
            seen = seen + 1
            return 2.0 * h @ w.T + x
        h = x
        for _ in range(2):
            h = step(h)
        scan t in 2 carrying h:
            h = step(h)
        return h

model M():
    layer = Layer(2)

    def forward(x: f32[B <= 4, 2]):
        k = 1.0
        def scaled(y):
            return k * y
        first = scaled(x)
        k = 3.0
        h = zeros(B, 2)
        def added(y):
            def inner(z):
                return h + z + y
            return inner(scaled(y))
        scan t in 3 carrying h:
            h = added(x)
        def root(y):
            return y * y - x
        def power(n):
            return x if n == 1 else x * power(n - 1)
        return first, scaled(x), h, twice(adder(2.0), x), newton(root, x), layer(x), layer.seen.to(f32), power(3)
)",
          {floats({2, 2}, {1, 4, 2.25, 9}), floats({2, 2}, {1, 0, 0, 1}), integers({}, {0})});
  ASSERT_EQ(results.size(), 9u); // the state is the last one
  expectNear(results[0], {2, 2}, {1, 4, 2.25, 9});
  expectNear(results[1], {2, 2}, {3, 12, 6.75, 27});
  expectNear(results[2], {2, 2}, {12, 48, 27, 108});
  expectNear(results[3], {2, 2}, {41, 44, 42.25, 49});
  expectNear(results[4], {2, 2}, {1, 2, 1.5, 3});
  expectNear(results[5], {2, 2}, {31, 124, 69.75, 279});
  expectNear(results[6], {}, {4});
  expectNear(results[7], {2, 2}, {1, 64, 11.390625, 729});
}

TEST(Statements, DefaultsOfFunctionsWithinFunctionsAreThoseOfWhereTheyAreDeclared) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[2]):
        late, early = [], []
        for k in range(3):
            def f(z):
                return z + k
            def g(z, k=k, y=k * x):
                return z + k + y
            late, early = late + [f], early + [g]
        x = 10.0 * x
        return stack(*[f(x)[0] for f in late]), stack(*[g(x)[0] for g in early])
)",
                                        {floats({2}, {1, 2})});
  ASSERT_EQ(results.size(), 2u);
  expectNear(results[0], {3}, {12, 12, 12});
  expectNear(results[1], {3}, {10, 12, 14});
}

// Values from PyTorch 2 and torchvision, as the next two.
TEST(Library, QuotientsOfPairsByNothingAndByInfinitiesAreAsOfRealNumbers) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[2]):
        y = complex_div(stack(x, x, x), stack(0.0 * x, x / stack(0.0, 1.0), x))
        return isinf(y[0]).to(i32), y[1:], stack(hann_window(1), hamming_window(1, periodic=False), blackman_window(1, periodic=False))
)",
                                        {floats({2}, {3, -4})});
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {2}, {1, 1});
  expectNear(results[1], {2, 2}, {0, 0, 1, 0});
  expectNear(results[2], {3, 1}, {1, 1, 1});
}

TEST(Library, ABoxWhoseScoreIsNoNumberIsTheBest) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(boxes: f32[3, 4], scores: f32[3]):
        return nms(boxes, scores, 0.5).to(i32), nms(boxes, scores / scores, 0.5).to(i32)
)",
                                        {floats({3, 4}, {0, 0, 2, 2, 0, 0, 2, 2, 1, 1, 1, 1}), floats({3}, {0, 1, 2})});
  ASSERT_EQ(results.size(), 2u);
  expectNear(results[0], {3}, {0, 1, 1});
  expectNear(results[1], {3}, {1, 0, 1});
}

TEST(Statements, StatesAreReadUpdatedAndReturned) {
  const char *text = R"(
module Counter(step):
    count = state(f32[2], persistent, init=ones)

    def forward(x: f32[B, 2]) -> f32[B, 2]:
        if training:
            count = count + step
            count += sum(x, axis=0)
        return x * count

model M():
    counter = Counter(10.0)

    def forward(x: f32[B <= 4, 2]) -> f32[B, 2]:
        return counter(x)
)";
  std::vector<HostTensor> arguments = {floats({1, 2}, {1, 2}), floats({2}, {3, 4})};
  std::vector<HostTensor> plain = run(text, arguments);
  ASSERT_EQ(plain.size(), 1u);
  expectNear(plain[0], {1, 2}, {3, 8});
  std::vector<HostTensor> training = run(text, arguments, "forward.training");
  ASSERT_EQ(training.size(), 2u);
  expectNear(training[0], {1, 2}, {14, 32});
  expectNear(training[1], {2}, {14, 16});
}

TEST(Statements, TiedParametersAreOne) {
  std::vector<HostTensor> results = run(R"(
model M():
    a = Linear(2, 2, bias=False)
    b = Linear(2, 2, bias=False)
    b.weight = a.weight

    def forward(x: f32[B <= 4, 2]) -> f32[B, 2]:
        return b(a(x))
)",
                                        {floats({1, 2}, {1, 1}), floats({2, 2}, {1, 2, 3, 4})});
  expectNear(results[0], {1, 2}, {17, 37});
}

/// An attribute that holds its module's own function; under the address sanitizer nothing of it may leak.
TEST(Statements, AnAttributeMayBeAFunctionOfItsModule) {
  std::vector<HostTensor> results = run(R"(
module Twice():
    def once(x: f32[B, 2]) -> f32[B, 2]:
        return 3 * x
    body = Sequential(once, once)

    def forward(x: f32[B, 2]) -> f32[B, 2]:
        return body(x)

model M():
    twice = Twice()

    def forward(x: f32[B <= 4, 2]) -> f32[B, 2]:
        return twice(x)
)",
                                        {floats({1, 2}, {1, 2})});
  expectNear(results[0], {1, 2}, {9, 18});
}

TEST(Statements, SeveralNamesForOneValue) {
  std::vector<HostTensor> results = run("model M():\n"
                                        "    h = state(f32[2], persistent)\n"
                                        "    def forward(x: f32[2]):\n"
                                        "        (a, b) = c = (x, x + 1.0)\n"
                                        "        d = h = e = c[1] * 2.0\n"
                                        "        return a, b, d + h + e\n",
                                        {floats({2}, {1, 2}), floats({2}, {7, 7})});
  ASSERT_EQ(results.size(), 4u);
  expectNear(results[0], {2}, {1, 2});
  expectNear(results[1], {2}, {2, 3});
  expectNear(results[2], {2}, {12, 18});
  expectNear(results[3], {2}, {4, 6});
}

/// The names of the parameters of a model's text, in their order.
std::vector<std::string> parametersOf(const std::string &text) {
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  auto module = kiln::loadModelText(context, text, "m.kiln", {}, diagnostics);
  EXPECT_TRUE(module) << diagnostics.render();
  std::vector<std::string> names;
  if (module)
    for (mlir::Attribute entry : (*module)->getAttrOfType<mlir::ArrayAttr>("kiln.parameters"))
      names.push_back(llvm::cast<mlir::StringAttr>(llvm::cast<mlir::DictionaryAttr>(entry).get("name")).str());
  return names;
}

TEST(Statements, WordsOfDeclarationsAreNamesElsewhere) {
  const char *body = "module Body(train=2):\n"
                     "    module   = Linear(train, 2, bias=False)\n"
                     "    generate = [module]\n"
                     "    def forward(x: f32[2, 2]):\n"
                     "        train = module(x)\n"
                     "        return sum(\n"
                     "            train + generate[0](x))\n\n"
                     "model Whole():\n"
                     "    model = Body()\n"
                     "    def forward(x: f32[2, 2]):\n"
                     "        return concat([\n"
                     "            model (x)[None],\n"
                     "            model(x)[None]])\n\n"
                     "train Whole:\n"
                     "    data  = safetensors(\"d.safetensors\", x=f32[2, 2])\n"
                     "    _, a  = (1, 2)\n"
                     "    b, _  = (3, 4)\n"
                     "    model = forward(data.x)\n"
                     "    loss  = sum(model) * a * b\n"
                     "    optimizer = SGD(lr=0.1)\n"
                     "    steps = 1\n";
  EXPECT_EQ(parametersOf(body), std::vector<std::string>{"model.module.weight"});
}

/// What a parameter is called by `name=` within its module, as a GRU's, it is called in a copy of the module, too.
TEST(Statements, ACopysParametersAreCalledAsTheOriginals) {
  const char *body = "model Teacher():\n"
                     "    rnn  = RNN(2, 2, bias=False)\n"
                     "    slow = copy(rnn)\n"
                     "    def forward(x: f32[2, 2, 2]):\n"
                     "        return rnn(x)[0] + slow(x)[0]\n";
  EXPECT_EQ(parametersOf(body), (std::vector<std::string>{"rnn.weight_ih_l0", "rnn.weight_hh_l0", "slow.weight_ih_l0",
                                                          "slow.weight_hh_l0"}));
}

} // namespace
