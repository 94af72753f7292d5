// Branches and loops that data decide, run through the reference interpreter. (Beside PyTorch they run in tests/e2e.)
#include "tests/frontend/language/Interpreted.h"

namespace {

using kiln::HostTensor;
using kiln::testing::expectNear;
using kiln::testing::floats;
using kiln::testing::integers;
using kiln::testing::run;

/// The results of a body over `x: f32[2], c: bool`, with each condition.
void expectBoth(const std::string &body, const std::vector<double> &taken, const std::vector<double> &otherwise) {
  for (int64_t condition : {1, 0}) {
    std::vector<HostTensor> results = run("model M():\n    def forward(x: f32[2], c: bool):\n" + body,
                                          {floats({2}, {3, -4}), integers({}, {condition})});
    ASSERT_FALSE(results.empty()) << body;
    const std::vector<double> &expected = condition ? taken : otherwise;
    SCOPED_TRACE(body);
    expectNear(results[0], results[0].shape, expected);
  }
}

TEST(If, GivesWhatBothSidesSet) {
  expectBoth(R"(
        if c:
            y = x + 1
        else:
            y = x * 2
        return y
)",
             {4, -3}, {6, -8});
  expectBoth(R"(
        y = x
        if c:
            y = x + 1
        return y
)",
             {4, -3}, {3, -4});
  expectBoth(R"(
        y, (n, p) = x, (0, x)
        if c:
            y, (n, p) = p * 2, (1, y + 1)
        elif sum(x) < 0.0:
            n = 5
        return y + n + p
)",
             {11, -10}, {11, -3});
}

TEST(If, MakesTensorsOfNumbersThatDiffer) {
  expectBoth(R"(
        n, f, b, same, k = 0, 0.5, False, 3, x.shape[0]
        if c:
            n, f, b, same = 2, 1, True, 3
            k = k + n
        y = zeros(same)
        return [n, f, b, k, y]
)",
             {2}, {0});
  expectBoth(R"(
        s = max(x)
        if c:
            s = 1
        return s
)",
             {1}, {3});
}

TEST(If, MayReturn) {
  expectBoth(R"(
        if c:
            return x
        return -x
)",
             {3, -4}, {-3, 4});
  expectBoth(R"(
        for i in range(4):
            x = x * 2
            if c and x[0] > 10.0:
                return x + i
            elif x[0] > 20.0:
                return x - i
        return x * 0
)",
             {13, -15}, {22, -34});
  // A side that may have returned, and one that goes on.
  expectBoth(R"(
        y = x
        if c:
            if x[0] > 5.0:
                return x * 100
            y = x + 1
        z = y * 2
        return z
)",
             {8, -6}, {6, -8});
  expectBoth(R"(
        y = x
        if c:
            if x[0] > 2.0:
                if x[1] > 2.0:
                    return x * 7
                elif x[1] < -2.0:
                    return x * 100
            y = x + 1
        else:
            return -x
        return y * 2
)",
             {300, -400}, {-3, 4});
}

TEST(If, IsAnExpressionToo) {
  expectBoth("        return x if c else 2.0 * x\n", {3, -4}, {6, -8});
  expectBoth("        y = (x, 1) if c else (-x, 2)\n        return y[0] * y[1]\n", {3, -4}, {-6, 8});
  expectBoth("        return 1 if c else 0\n", {1}, {0});
  expectBoth("        return x if not c or x[0] > 3.0 else -x\n", {-3, 4}, {3, -4});
  expectBoth("        return x if c and True and x[1] < 0.0 else -x\n", {3, -4}, {-3, 4});
  expectBoth("        return x if False or c else -x\n", {3, -4}, {-3, 4});
}

TEST(If, ChangesStatesAndDrawsOnOneSide) {
  std::string text = R"(
model M():
    seen = state(f32[2], persistent)

    def count(x):
        seen = seen + x
        return x

    def forward(x: f32[2], c: bool) -> f32[2]:
        if c:
            y = count(x)
            y = y + bernoulli(1.0, 2)
        else:
            y = x
        return count(y) if y[0] > 3.5 else y
)";
  for (int64_t condition : {1, 0}) {
    std::vector<HostTensor> results = run(text, {floats({2}, {3, -4}), integers({}, {condition}), floats({2}, {1, 1}),
                                                 integers({}, {1}), integers({}, {0})});
    ASSERT_EQ(results.size(), 2u);
    expectNear(results[0], {2}, condition ? std::vector<double>{4, -3} : std::vector<double>{3, -4});
    expectNear(results[1], {2}, condition ? std::vector<double>{8, -6} : std::vector<double>{1, 1});
  }
}

TEST(If, StandsInLoopsAndHoldsThem) {
  std::vector<HostTensor> results = run(R"(
model M():
    seen = state(f32, persistent)

    def forward(x: f32[B <= 4, T <= 8], limit: f32) -> (f32[B], f32[B, T], f32[B]):
        h = zeros(B)
        scan t in T carrying h:
            if sum(h) < limit:
                h = h + x[:, t]
                seen = seen + 1.0
            d = h * 2 if t > 0 else h
            yield d
        if limit > 1.0:
            g = zeros(B)
            scan t in T carrying g:
                g = g + x[:, t]
                seen = seen + 10.0
        else:
            g = ones(B)
        return h, d, g
)",
                                        {floats({1, 3}, {1, 2, 4}), floats({}, {3}), floats({}, {0})});
  ASSERT_EQ(results.size(), 4u);
  expectNear(results[0], {1}, {3});
  expectNear(results[1], {1, 3}, {1, 6, 6});
  expectNear(results[2], {1}, {7});
  expectNear(results[3], {}, {32});
}

TEST(While, GoesOnWhileTheConditionHolds) {
  for (const char *bound : {"", " at most 20"}) {
    std::vector<HostTensor> results = run(std::string(R"(
model M():
    seen = state(i32, persistent)

    def forward(x: f32, none: f32) -> (f32, i32, f32):
        n = 0
        pair = (x, 0)
        while pair[0] < 10.0 and n < 100 carrying n, pair)") +
                                              bound + R"(:
            y, k = pair
            pair = (y * 2, k + 1)
            n = n + 1
            seen = seen + 2
        while none < 0.0 carrying none)" + bound +
                                              R"(:
            none = none + 1
        return pair[0], n + pair[1], none
)",
                                          {floats({}, {1.5}), floats({}, {7}), integers({}, {5})});
    ASSERT_EQ(results.size(), 4u);
    expectNear(results[0], {}, {12});
    expectNear(results[1], {}, {6});
    expectNear(results[2], {}, {7});
    expectNear(results[3], {}, {11});
  }
}

TEST(While, EndsAtItsBound) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32, y: f32[T <= 8]) -> (f32, f32, f32):
        a = x
        while a < 100.0 carrying a at most 3:
            a = a * 2
        b = x
        while b < 100.0 carrying b at most T:
            b = b * 2
        c = x
        while c < 100.0 carrying c at most 0:
            c = c * 2
        return a, b, c
)",
                                        {floats({}, {1}), floats({2}, {0, 0})});
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {}, {8});
  expectNear(results[1], {}, {4});
  expectNear(results[2], {}, {1});
}

TEST(While, StacksWhatItYields) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[2]) -> (f32[2], f32[2, 4], i32[4]):
        n = 1
        while max(x) < 10.0 carrying x, n at most 4:
            x = x * 2
            n = n + 1
            yield xs = x, ns = n
        return x, xs, ns
)",
                                        {floats({2}, {3, 1})});
  ASSERT_EQ(results.size(), 3u);
  expectNear(results[0], {2}, {12, 4});
  expectNear(results[1], {2, 4}, {6, 12, 0, 0, 2, 4, 0, 0});
  expectNear(results[2], {4}, {2, 3, 0, 0});
}

/// Each step draws its own numbers.
TEST(While, CountsForRandomNumbers) {
  for (const char *bound : {"", " at most 9"}) {
    std::vector<HostTensor> results = run(std::string(R"(
model M():
    def forward(x: f32) -> (f32, f32):
        least, most, n = x, x, 0
        while n < 5 carrying least, most, n)") +
                                              bound + R"(:
            u = random_uniform(3)
            least = minimum(least, u[0])
            most = maximum(most, u[0])
            n = n + 1
        return least, most
)",
                                          {floats({}, {0.5}), integers({}, {3}), integers({}, {0})});
    ASSERT_EQ(results.size(), 2u);
    EXPECT_LT(results[0].floats[0] + 0.1, results[1].floats[0]) << "the steps draw the same number";
  }
}

TEST(While, NestsWithScansAndBranches) {
  std::vector<HostTensor> results = run(R"(
model M():
    def forward(x: f32[T <= 8], limit: f32) -> (f32, f32[T]):
        total = zeros()
        scan t in T carrying total:
            y = x[t]
            while y < limit carrying y:
                if y < 2.0:
                    y = y + 1.0
                else:
                    k = 0
                    while k < 2 carrying y, k at most 5:
                        y = y * 1.5
                        k = k + 1
            total = total + y
            yield total
        return total[-1], total
)",
                                        {floats({3}, {1, 9, 5}), floats({}, {6})});
  ASSERT_EQ(results.size(), 2u);
  expectNear(results[1], {3}, {10.125, 19.125, 30.375});
}

} // namespace
